-- name: latest
-- The last $5 events that match, newest first. $3 types or $4 categories, null: all.
SELECT position, epoch, tenant, category, stream_id, version, event_id, type, schema_version, occurred_at,
       recorded_at, actor, command_id, correlation_id, causation_id, data
FROM log.event
WHERE ($1::text IS NULL OR tenant = $1) AND ($2::uuid IS NULL OR stream_id = $2)
  AND ($3::text[] IS NULL OR type = ANY ($3) OR category = ANY ($4))
ORDER BY position DESC
LIMIT $5;

-- name: following
-- Events after position $5 up to $6 that match, at most $7 of them.
SELECT position, epoch, tenant, category, stream_id, version, event_id, type, schema_version, occurred_at,
       recorded_at, actor, command_id, correlation_id, causation_id, data
FROM log.event
WHERE position > $5 AND position <= $6
  AND ($1::text IS NULL OR tenant = $1) AND ($2::uuid IS NULL OR stream_id = $2)
  AND ($3::text[] IS NULL OR type = ANY ($3) OR category = ANY ($4))
ORDER BY position
LIMIT $7;

-- name: at
-- The event at a position.
SELECT position, epoch, tenant, category, stream_id, version, event_id, type, schema_version, occurred_at,
       recorded_at, actor, command_id, correlation_id, causation_id, data
FROM log.event WHERE position = $1;

-- name: stream
-- The events of a stream; without a tenant, of all streams with that id.
SELECT position, epoch, tenant, category, stream_id, version, event_id, type, schema_version, occurred_at,
       recorded_at, actor, command_id, correlation_id, causation_id, data
FROM log.event
WHERE stream_id = $2 AND ($1::text IS NULL OR tenant = $1)
ORDER BY tenant, version;

-- name: family
-- What has one first cause, by position, at most $3 of them.
SELECT position, epoch, tenant, category, stream_id, version, event_id, type, schema_version, occurred_at,
       recorded_at, actor, command_id, correlation_id, causation_id, data
FROM log.event
WHERE tenant = $1 AND correlation_id = $2
ORDER BY position
LIMIT $3;

-- name: stats
-- Events by what $2 says (tenant, category, type or day), with their payloads' bytes and their first and last time.
SELECT CASE $2 WHEN 'tenant' THEN tenant WHEN 'category' THEN category WHEN 'type' THEN type
               ELSE to_char(recorded_at AT TIME ZONE 'UTC', 'YYYY-MM-DD') END AS what,
       count(*) AS events, count(DISTINCT stream_id) AS streams, sum(octet_length(data))::bigint AS bytes,
       min(recorded_at) AS first, max(recorded_at) AS last
FROM log.event
WHERE $1::text IS NULL OR tenant = $1
GROUP BY 1
ORDER BY 1;

-- name: head
-- Where the log ends.
SELECT position, epoch FROM log.head;

-- name: record
-- Who did what, to what, and why.
INSERT INTO log.operation (actor, verb, subject, why, details) VALUES ($1, $2, $3, $4, $5);

-- name: operations
-- The last $1 operations, newest first.
SELECT at, actor, verb, subject, why, details FROM log.operation ORDER BY id DESC LIMIT $1;

-- name: raise_epoch
-- A new timeline begins after the last position. No row: somebody else has begun one.
UPDATE log.head SET epoch = epoch + 1 WHERE epoch = $1
RETURNING position, epoch;

-- name: places
-- Where readers of the log stand, beside its end.
SELECT h.position AS head, h.epoch, c.position AS folded, c.epoch AS folded_epoch
FROM log.head h LEFT JOIN read.checkpoint c ON c.name = 'projector';

-- name: lift_refusal
-- Forget that command $2 of tenant $1 was refused: the next time it comes it is judged anew.
DELETE FROM log.refusal WHERE tenant = $1 AND command_id = $2;
