-- name: page
-- Events after position $1 that match, at most $2 of them, looked for among the next $3 positions; with the log's head
-- and clock, the server by when it was started, and `found`, which tells whether some were left out because those before
-- them have $4 bytes already.
SELECT h.position AS head, h.epoch AS timeline, log.now() AS now, pg_postmaster_start_time() AS server, e.found,
       e.position, e.epoch, e.tenant, e.category, e.stream_id, e.version, e.event_id, e.type, e.schema_version,
       e.occurred_at, e.recorded_at, e.actor, e.command_id, e.correlation_id, e.causation_id, e.data
FROM log.head h
LEFT JOIN LATERAL (
    SELECT *, count(*) OVER () AS found,
           sum(octet_length(data)) OVER (ORDER BY position ROWS UNBOUNDED PRECEDING) - octet_length(data) AS before
    FROM (
        SELECT * FROM log.event
        WHERE position > $1 AND position <= least($1, 9223372036854775807 - $3) + $3
          AND ($5::text IS NULL OR tenant = $5)
          AND ($6::text[] IS NULL OR type = ANY ($6) OR category = ANY ($7))
        ORDER BY position LIMIT $2
    ) matching
) e ON e.before < $4
ORDER BY e.position;

-- name: fork
-- The last position, up to $1, whose event is of epoch $2 or an earlier one. Epochs only rise along the log, so the
-- range that holds it is halved until nothing else is left; each event is looked up by itself (LIMIT), whatever a plan
-- that was made while the log was short would take for cheaper.
WITH RECURSIVE range (low, high) AS (
    SELECT 0::bigint, least($1, (SELECT position FROM log.head))
    UNION ALL
    SELECT CASE WHEN e.epoch <= $2 THEN e.position ELSE low END,
           CASE WHEN e.epoch <= $2 THEN high ELSE e.position - 1 END
    FROM range, LATERAL (SELECT position, epoch FROM log.event WHERE position = (low + high + 1) / 2 LIMIT 1) e
    WHERE low < high
)
SELECT low FROM range WHERE low = high;

-- name: head
-- Where the log ends.
SELECT position FROM log.head;

-- name: await_stand_by
-- Where commits wait for a stand-by, wait as they do, and lock nothing; elsewhere, nothing is written.
-- Answers which server has committed that, by when it was started.
SELECT pg_postmaster_start_time(),
       CASE WHEN current_setting('synchronous_standby_names') <> '' THEN pg_logical_emit_message(true, 'kithlog', '') END;
