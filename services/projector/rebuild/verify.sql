-- name: positions
-- Places at which the log's positions are not 1, 2, 3 … up to its head. Here and below, a row that is not wrong says
-- only that the search has come by a position which $1 divides.
SELECT w.wrong, 'position ' || e.position AS subject, 'follows position ' || e.before || ' of the log' AS detail
FROM (SELECT position, lag(position, 1, 0::bigint) OVER (ORDER BY position) AS before FROM log.event) e
CROSS JOIN LATERAL (SELECT e.position <> e.before + 1 AS wrong) w
WHERE w.wrong OR e.position % $1 = 0
UNION ALL
SELECT true, 'head', 'says ' || h.position || ', the last event is at ' || l.position
FROM log.head h, (SELECT coalesce(max(position), 0) AS position FROM log.event) l
WHERE h.position <> l.position;

-- name: versions
-- Events whose version does not follow that of the event before them in their stream, or that change its category.
SELECT w.wrong, 'position ' || e.position AS subject,
       e.category || ' ' || e.stream_id || ' has version ' || e.version || ' after version ' || e.before AS detail
FROM (
    SELECT position, category, stream_id, version,
           lag(version, 1, 0) OVER stream AS before, lag(category, 1, category) OVER stream AS category_before,
           lag(position, 1, 0::bigint) OVER stream AS position_before
    FROM log.event
    WINDOW stream AS (PARTITION BY tenant, stream_id ORDER BY version)
) e
CROSS JOIN LATERAL (
    SELECT e.version <> e.before + 1 OR e.category <> e.category_before OR e.position <= e.position_before AS wrong
) w
WHERE w.wrong OR e.position % $1 = 0;

-- name: epochs
-- Events of an earlier epoch than the event before them.
SELECT w.wrong, 'position ' || e.position AS subject, 'epoch ' || e.epoch || ' after epoch ' || e.before AS detail
FROM (SELECT position, epoch, lag(epoch, 1, 1) OVER (ORDER BY position) AS before FROM log.event) e
CROSS JOIN LATERAL (SELECT e.epoch < e.before AS wrong) w
WHERE w.wrong OR e.position % $1 = 0
UNION ALL
SELECT true, 'head', 'epoch ' || h.epoch || ', but events are of epoch ' || l.epoch
FROM log.head h, (SELECT coalesce(max(epoch), 1) AS epoch FROM log.event) l
WHERE h.epoch < l.epoch;

-- name: receipts
-- Receipts that tell of other events than their command has written, and commands whose events are there without one.
-- What firing appends (version 1 of a notification's stream, by that stream's id) has none. Nor can be told whether
-- those of commands are missing that wrote nothing.
SELECT w.wrong, 'command ' || coalesce(r.command_id, e.command_id) AS subject,
       CASE WHEN r.command_id IS NULL THEN 'has no receipt, and the log holds ' || e.events || ' events of it up to '
                 || e.last || ': repeated, it would be executed again'
            ELSE 'its receipt tells of ' || r.events || ' events up to position ' || r.position || ', the log holds '
                 || coalesce(e.events, 0) || ' up to ' || coalesce(e.last::text, 'none') END AS detail
FROM log.receipt r
FULL JOIN (
    SELECT tenant, command_id, count(*) AS events, max(position) AS last, min(position) AS first,
           bool_and(category = 'notification' AND version = 1 AND stream_id = command_id) AS fired
    FROM log.event GROUP BY tenant, command_id
) e ON e.tenant = r.tenant AND e.command_id = r.command_id
CROSS JOIN LATERAL (
    SELECT CASE WHEN r.command_id IS NULL THEN NOT e.fired
                ELSE r.events <> coalesce(e.events, 0)
                     OR (r.events > 0 AND (e.last <> r.position OR e.first <> r.position - r.events + 1)) END AS wrong
) w
WHERE w.wrong OR e.last % $1 = 0;

-- name: unfolded
-- All events of some types ($1), and those that wait of parked streams, but for those that folding goes on without.
SELECT position, epoch, tenant, category, stream_id, version, event_id, type, schema_version, occurred_at,
       recorded_at, actor, command_id, correlation_id, causation_id, data
FROM log.event e
WHERE (type = ANY ($1::text[])
       OR EXISTS (SELECT 1 FROM read.parked p
                  WHERE p.tenant = e.tenant AND p.stream_id = e.stream_id AND p.position <= e.position))
  AND NOT EXISTS (SELECT 1 FROM read.discarded d WHERE d.tenant = e.tenant AND d.event_id = e.event_id)
ORDER BY position;

-- name: subjects
-- The keys of the timing subjects in which some contacts ($2) take part, and of those of some seekers (among $2, too), as
-- far as it is known from what is live.
SELECT r.body ->> 'key' AS key
FROM read.generation g JOIN read.row r ON r.generation = g.id AND r.tenant = $1 AND r.owner = ANY ($2::uuid[])
WHERE g.status = 'live' AND g.model = 'timing_link' AND r.body ->> 'model' = 'timing_subject'
UNION
SELECT r.key
FROM read.generation g JOIN read.row r ON r.generation = g.id AND r.tenant = $1 AND r.owner = ANY ($2::uuid[])
WHERE g.status = 'live' AND g.model = 'timing_subject';
