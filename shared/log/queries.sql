-- name: append
-- Append a batch, or nothing; see log.append in the migrations.
SELECT base, epoch, recorded_at, moved, actual, known
FROM log.append($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21);

-- name: receipts
-- The receipts of some commands, by tenant and command id.
SELECT tenant, command_id, fingerprint, position, events, recorded_at FROM log.find_receipts($1, $2);

-- name: refusals
-- The refusals of some commands, by tenant and command id.
SELECT tenant, command_id, fingerprint, refusal FROM log.find_refusals($1, $2);

-- name: refuse
-- Keep refusals, each unless there is one already; returns those that stand. See log.refuse in the migrations.
SELECT tenant, command_id, fingerprint, refusal FROM log.refuse($1, $2, $3, $4);

-- name: confirm
-- Take the head's lock for a moment: that is written to the WAL, so the commit waits for what commits wait for.
SELECT position FROM log.head FOR UPDATE;

-- name: await_stand_by
-- Where commits wait for a stand-by, wait as they do, and lock nothing; elsewhere, nothing is written.
-- Answers which server has committed that, by when it was started.
SELECT pg_postmaster_start_time(),
       CASE WHEN current_setting('synchronous_standby_names') <> '' THEN pg_logical_emit_message(true, 'kithlog', '') END;

-- name: written
-- Where the events of some ranges of positions were written: ($1[i], $2[i]], in order.
SELECT position, category, stream_id, version, type, event_id FROM log.read_ranges($1, $2);

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
