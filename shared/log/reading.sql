-- name: head
-- The last position and the epoch.
SELECT position, epoch FROM log.head;

-- name: read
-- A page of the whole log after a position, of at most $2 events and without those before which it has $3 bytes already.
SELECT position, epoch, tenant, category, stream_id, version, event_id, type, schema_version, occurred_at,
       recorded_at, actor, command_id, correlation_id, causation_id, data
FROM (
    SELECT *, sum(octet_length(data)) OVER (ORDER BY position ROWS UNBOUNDED PRECEDING) - octet_length(data) AS before
    FROM (SELECT * FROM log.event WHERE position > $1 ORDER BY position LIMIT $2) following
) page
WHERE before < $3
ORDER BY position;

-- name: read_replicated
-- The same; where commits wait for a stand-by, this statement's own does, too.
WITH stand_by AS MATERIALIZED (
    SELECT pg_logical_emit_message(true, 'kithlog', '') WHERE current_setting('synchronous_standby_names') <> ''
)
SELECT position, epoch, tenant, category, stream_id, version, event_id, type, schema_version, occurred_at,
       recorded_at, actor, command_id, correlation_id, causation_id, data
FROM (
    SELECT *, sum(octet_length(data)) OVER (ORDER BY position ROWS UNBOUNDED PRECEDING) - octet_length(data) AS before
    FROM (SELECT * FROM log.event WHERE position > $1 ORDER BY position LIMIT $2) following
) page LEFT JOIN stand_by ON true
WHERE before < $3
ORDER BY position;

-- name: read_streams
-- All events of some streams, each after a version; by tenant, stream and version.
SELECT position, epoch, tenant, category, stream_id, version, event_id, type, schema_version, occurred_at,
       recorded_at, actor, command_id, correlation_id, causation_id, data
FROM log.read_streams($1, $2, $3);
