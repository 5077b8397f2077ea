-- name: take
-- A parked stream leaves the list, if it is parked at position $3 (null: wherever); it comes back to it in the same
-- transaction should its fold fail again.
DELETE FROM read.parked WHERE tenant = $1 AND stream_id = $2 AND position = coalesce($3, position)
RETURNING position;

-- name: waiting
-- The events of a stream from position $3 on, up to $4, but for those that folding goes on without.
SELECT position, epoch, tenant, category, stream_id, version, event_id, type, schema_version, occurred_at,
       recorded_at, actor, command_id, correlation_id, causation_id, data
FROM log.event e
WHERE tenant = $1 AND stream_id = $2 AND position >= $3 AND position <= $4
  AND NOT EXISTS (SELECT 1 FROM read.discarded d WHERE d.tenant = e.tenant AND d.event_id = e.event_id)
ORDER BY version;

-- name: events_of_seekers
-- The events of some types ($4), up to a position ($3), from which some seekers ($2) as recipients and their timing
-- subjects are folded: on the streams of both, on those of their notifications, of the contacts who take part or are
-- asked for them, and of the programmes that the seekers were ever in. Without those that are not folded, for they wait
-- or were discarded.
WITH live AS (
    SELECT g.model, r.key, r.body
    FROM read.generation g JOIN read.row r ON r.generation = g.id AND r.tenant = $1 AND r.owner = ANY ($2::uuid[])
    WHERE g.status = 'live' AND g.model IN ('timing_subject', 'notification')
), streams AS (
    SELECT unnest($2::uuid[]) AS id
    UNION
    SELECT key::uuid FROM live
    UNION
    SELECT contact.id::uuid FROM live CROSS JOIN LATERAL json_array_elements_text(body -> 'contact_ids') AS contact (id)
    WHERE model = 'timing_subject'
    UNION  -- also of who dropped out: while they took part it mattered whether they were to be left in peace
    SELECT contact.id::uuid
    FROM live JOIN log.event d ON d.tenant = $1 AND d.stream_id = live.key::uuid AND d.type = 'interview.dropped_out'
    CROSS JOIN LATERAL json_array_elements_text(convert_from(d.data, 'UTF8')::json -> 'dropped_ids') AS contact (id)
    WHERE live.model = 'timing_subject'
    UNION
    SELECT (arming ->> 'through')::uuid FROM live CROSS JOIN LATERAL json_array_elements(body -> 'armings') AS arming
    WHERE model = 'timing_subject' AND arming ->> 'through' IS NOT NULL
    UNION
    SELECT p.key::uuid
    FROM read.generation g JOIN read.row p ON p.generation = g.id AND p.tenant = $1
    WHERE g.status = 'live' AND g.model = 'programme'
      AND EXISTS (SELECT FROM read.generation h
                  CROSS JOIN unnest($2::uuid[]) AS seeker (id)
                  JOIN read.row r ON r.generation = h.id AND r.tenant = $1 AND r.key = p.key || '/' || seeker.id
                  WHERE h.status = 'live' AND h.model = 'participant')
    UNION  -- also where what began the programme was discarded, so that no row tells of it
    SELECT (enrolment ->> 'programme_id')::uuid
    FROM read.generation g JOIN read.row r ON r.generation = g.id AND r.tenant = $1 AND r.key = ANY ($2::uuid[]::text[])
    CROSS JOIN LATERAL json_array_elements(r.body -> 'enrolments') AS enrolment
    WHERE g.status = 'live' AND g.model = 'timing_recipient'
)
SELECT e.position, e.epoch, e.tenant, e.category, e.stream_id, e.version, e.event_id, e.type, e.schema_version,
       e.occurred_at, e.recorded_at, e.actor, e.command_id, e.correlation_id, e.causation_id, e.data
FROM streams s
CROSS JOIN LATERAL (SELECT * FROM log.event e WHERE e.tenant = $1 AND e.stream_id = s.id AND e.position <= $3) e
WHERE e.type = ANY ($4::text[])
  AND NOT EXISTS (SELECT 1 FROM read.discarded d WHERE d.tenant = e.tenant AND d.event_id = e.event_id)
  AND NOT EXISTS (SELECT 1 FROM read.parked p
                  WHERE p.tenant = e.tenant AND p.stream_id = e.stream_id AND p.position <= e.position)
ORDER BY e.position;

-- name: discard
-- An event that folding goes on without, now and whenever the log is folded afresh.
INSERT INTO read.discarded (tenant, event_id, stream_id, position) VALUES ($1, $2, $3, $4);

-- name: outdate
-- Generations that are not live were folded without what waited from position $2 on: nobody is to go on with one that is
-- being built, nor back to an earlier one that stands there or beyond, for what they lack lies before where they stand.
UPDATE read.generation
SET status = CASE status WHEN 'building' THEN 'scratch' ELSE status END,
    stale = CASE status WHEN 'retired' THEN $1 ELSE stale END
WHERE status = 'building' OR (status = 'retired' AND position >= $2);

-- name: discarded
-- The events of a tenant ($1, null: all) that folding goes on without, in the order in which that was decided; by whom
-- and why, where it was here.
SELECT d.tenant, d.stream_id, d.position, e.type, d.event_id, d.discarded_at, o.actor, o.why
FROM read.discarded d
LEFT JOIN log.event e ON e.position = d.position AND e.tenant = d.tenant AND e.event_id = d.event_id
LEFT JOIN LATERAL (
    SELECT o.actor, o.why FROM log.operation o
    WHERE o.verb = 'parked discard' AND o.subject = d.tenant || '/' || d.stream_id
      AND (o.details ->> 'discarded')::bigint = d.position
    ORDER BY o.id DESC
    LIMIT 1
) o ON true
WHERE $1::text IS NULL OR d.tenant = $1
ORDER BY d.discarded_at, d.position;

-- name: list
-- Parked streams, the longest parked first, with how many of their events wait and how many timers are held.
SELECT p.tenant, p.category, p.stream_id, p.position, p.model, p.error, p.parked_at,
       (SELECT count(*) FROM log.event e
        WHERE e.tenant = p.tenant AND e.stream_id = p.stream_id AND e.position >= p.position) AS waiting,
       (SELECT count(*) FROM read.timer t WHERE t.tenant = p.tenant AND p.stream_id = ANY (t.guards)) AS timers
FROM read.parked p
WHERE ($1::text IS NULL OR p.tenant = $1) AND ($2::uuid IS NULL OR p.stream_id = $2)
ORDER BY p.parked_at, p.position;
