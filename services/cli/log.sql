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

-- name: streams
-- The streams with an id ($2), of a tenant or of all, each with its last version.
SELECT tenant, max(version) AS version
FROM log.event
WHERE stream_id = $2 AND ($1::text IS NULL OR tenant = $1)
GROUP BY tenant
ORDER BY tenant;

-- name: stream
-- The events of a stream after version $3, at most $4 of them.
SELECT position, epoch, tenant, category, stream_id, version, event_id, type, schema_version, occurred_at,
       recorded_at, actor, command_id, correlation_id, causation_id, data
FROM log.event
WHERE tenant = $1 AND stream_id = $2 AND version > $3
ORDER BY version
LIMIT $4;

-- name: connected
-- Events at some positions ($3), and of what shares a first cause ($2) with them: what led to them, what was written with
-- them, and what followed from them; with $4 all of it. At most $5 of them, those that were asked for before others, by
-- position; beside each, how many there are, and how many share those first causes.
WITH RECURSIVE family AS MATERIALIZED (
    SELECT position, event_id, command_id, causation_id
    FROM log.event
    WHERE tenant = $1 AND correlation_id = ANY ($2::uuid[])
), causes AS (
    SELECT position, causation_id FROM family WHERE position = ANY ($3::bigint[])
    UNION
    SELECT f.position, f.causation_id FROM causes c JOIN family f ON f.event_id = c.causation_id
), effects AS (
    SELECT position, event_id FROM family WHERE position = ANY ($3)
    UNION
    SELECT f.position, f.event_id FROM effects e JOIN family f ON f.causation_id = e.event_id
), near AS (
    SELECT position FROM causes
    UNION SELECT position FROM effects
    UNION SELECT position FROM family WHERE $4::boolean OR command_id IN (
        SELECT command_id FROM family WHERE position = ANY ($3)
    )
), shown AS (
    SELECT position, count(*) OVER () AS connected FROM near ORDER BY position = ANY ($3) DESC, position LIMIT $5
)
SELECT connected, (SELECT count(*) FROM family) AS sharing,
       position, epoch, tenant, category, stream_id, version, event_id, type, schema_version, occurred_at,
       recorded_at, actor, command_id, correlation_id, causation_id, data
FROM shown JOIN log.event USING (position)
ORDER BY position;

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
-- The last $2 operations, newest first; unless $1 is null, those by that verb, or on what has that name or, of a
-- tenant, that id.
SELECT at, actor, verb, subject, why, details FROM log.operation
WHERE $1::text IS NULL OR verb = $1 OR subject = $1 OR split_part(subject, '/', 2) = $1
ORDER BY id DESC LIMIT $2;

-- name: raise_epoch
-- A new timeline, $2, begins after the last position, $3. No row: somebody else has begun one, or has written.
UPDATE log.head SET epoch = $2 WHERE epoch = $1 AND position = $3
RETURNING position, epoch;

-- name: served
-- How many sessions services have here, or verbs that read by a pool of theirs (see shared/database/pool.py).
SELECT count(*) FROM pg_stat_activity
WHERE datname = current_database() AND pid <> pg_backend_pid() AND application_name = 'kithlog';

-- name: places
-- Where readers of the log stand, beside its end; in which database.
SELECT h.position AS head, h.epoch, c.position AS folded, c.epoch AS folded_epoch, current_database() AS database
FROM log.head h LEFT JOIN read.checkpoint c ON c.name = 'projector';

-- name: lift_refusal
-- Forget that command $2 of tenant $1 was refused: the next time it comes it is judged anew.
DELETE FROM log.refusal WHERE tenant = $1 AND command_id = $2;
