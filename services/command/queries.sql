-- name: relay_movement
-- The log's head and how far the relay $1 has published, for leader and stand-bys alike.
SELECT h.position, coalesce(c.position, 0)
FROM log.head h LEFT JOIN log.relay_cursor c ON c.name = $1;
