-- name: take_lead
-- Become the leader, if nobody is. The lock lives and dies with the session.
SELECT pg_try_advisory_lock(hashtextextended('kithlog.relay.' || $1, 0));

-- name: start_cursor
-- The cursor's row, made where there is none: before the first event.
INSERT INTO log.relay_cursor (name, position, epoch)
SELECT $1, 0, epoch FROM log.head
ON CONFLICT (name) DO NOTHING;

-- name: cursor
-- How far has been published.
SELECT position, epoch FROM log.relay_cursor WHERE name = $1;

-- name: move_cursor
-- From where it is known to be to after what was confirmed. No row: somebody else has moved it.
UPDATE log.relay_cursor SET position = $3, epoch = $4 WHERE name = $1 AND position = $2
RETURNING position;
