-- name: count
-- What a replay would send, by type and tenant: events after position $5 up to $6, recorded from $7 on and before $8.
SELECT type, tenant, count(*) AS events, sum(octet_length(data))::bigint AS bytes, min(position) AS first, max(position) AS last
FROM log.event
WHERE position > $5 AND position <= $6
  AND ($1::text IS NULL OR tenant = $1) AND ($2::uuid IS NULL OR stream_id = $2)
  AND ($3::text[] IS NULL OR type = ANY ($3) OR category = ANY ($4))
  AND ($7::timestamptz IS NULL OR recorded_at >= $7) AND ($8::timestamptz IS NULL OR recorded_at < $8)
GROUP BY type, tenant
ORDER BY type;

-- name: page
-- Those of them after position $5 up to $6, at most $9.
SELECT position, epoch, tenant, category, stream_id, version, event_id, type, schema_version, occurred_at,
       recorded_at, actor, command_id, correlation_id, causation_id, data
FROM log.event
WHERE position > $5 AND position <= $6
  AND ($1::text IS NULL OR tenant = $1) AND ($2::uuid IS NULL OR stream_id = $2)
  AND ($3::text[] IS NULL OR type = ANY ($3) OR category = ANY ($4))
  AND ($7::timestamptz IS NULL OR recorded_at >= $7) AND ($8::timestamptz IS NULL OR recorded_at < $8)
ORDER BY position
LIMIT $9;

-- name: head
-- Where the log ends.
SELECT position FROM log.head;

-- name: start
-- A replay, before its first message.
INSERT INTO log.replay (id, queue, wanted, rate, room, status, after, upto, position, total, actor, why)
VALUES ($1, $2, $3, $4, $5, 'running', $6, $7, $6, $8, $9, $10);

-- name: take
-- One process at a time works on a replay; the lock lives and dies with its session.
SELECT pg_try_advisory_lock(hashtextextended('kithlog.replay.' || $1, 0));

-- name: give
-- Leave a replay that was only looked at.
SELECT pg_advisory_unlock(hashtextextended('kithlog.replay.' || $1, 0));

-- name: move
-- Everything up to $3 is confirmed, $4 messages more. Answers the status: other than running, somebody wants it to end.
UPDATE log.replay SET position = $3, sent = sent + $4, moved_at = log.now()
WHERE id = $1 AND position = $2
RETURNING status;

-- name: conclude
-- All of it was sent.
UPDATE log.replay SET status = 'done', position = upto, moved_at = log.now() WHERE id = $1 AND status = 'running'
RETURNING status;

-- name: set_status
-- From one of some states ($3) into another ($2). No row: it was in none of them.
UPDATE log.replay SET status = $2, moved_at = log.now() WHERE id = $1 AND status = ANY ($3)
RETURNING status;

-- name: one
-- A replay.
SELECT * FROM log.replay WHERE id = $1;

-- name: list
-- All replays, newest first.
SELECT * FROM log.replay ORDER BY started_at DESC, id LIMIT $1;
