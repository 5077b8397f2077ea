-- name: append
-- Append a batch, or nothing; see log.append in the migrations.
SELECT base, epoch, recorded_at, moved, actual, known
FROM log.append($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21);

-- name: receipts
-- The receipts of some commands, by tenant and command id.
SELECT r.tenant, r.command_id, r.fingerprint, r.position, r.events, r.recorded_at
FROM unnest($1::text[], $2::uuid[]) AS u (tenant, command_id)
JOIN log.receipt r ON r.tenant = u.tenant AND r.command_id = u.command_id;

-- name: written
-- Where the events of some ranges of positions were written: ($1[i], $2[i]], in order.
SELECT e.position, e.category, e.stream_id, e.version, e.type, e.event_id
FROM unnest($1::bigint[], $2::bigint[]) AS u (after, upto)
JOIN log.event e ON e.position > u.after AND e.position <= u.upto
ORDER BY e.position;

-- name: head
-- The last position and the epoch.
SELECT position, epoch FROM log.head;

-- name: read
-- A page of the whole log after a position.
SELECT position, epoch, tenant, category, stream_id, version, event_id, type, schema_version, occurred_at,
       recorded_at, actor, command_id, correlation_id, causation_id, data
FROM log.event
WHERE position > $1
ORDER BY position
LIMIT $2;

-- name: read_streams
-- All events of some streams of a tenant, each after a version.
SELECT e.position, e.epoch, e.tenant, e.category, e.stream_id, e.version, e.event_id, e.type, e.schema_version,
       e.occurred_at, e.recorded_at, e.actor, e.command_id, e.correlation_id, e.causation_id, e.data
FROM unnest($1::text[], $2::uuid[], $3::integer[]) AS u (tenant, stream_id, after)
JOIN log.event e ON e.tenant = u.tenant AND e.stream_id = u.stream_id AND e.version > u.after
ORDER BY e.tenant, e.stream_id, e.version;
