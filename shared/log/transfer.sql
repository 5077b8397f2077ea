-- name: events
-- A page of events after position $1, up to $2, at most $3.
SELECT position, epoch, tenant, category, stream_id, version, event_id, type, schema_version, occurred_at,
       recorded_at, actor, command_id, correlation_id, causation_id, data
FROM log.event
WHERE position > $1 AND position <= $2
ORDER BY position
LIMIT $3;

-- name: receipts
-- All receipts of positions from $1 to $2, by position.
SELECT tenant, command_id, fingerprint, position, events, recorded_at
FROM log.receipt
WHERE position BETWEEN $1 AND $2
ORDER BY position, tenant, command_id;

-- name: discarded
-- The events up to position $1 that folding goes on without, as far as the log holds them.
SELECT d.tenant, d.event_id, d.stream_id, d.position, d.discarded_at
FROM read.discarded d
JOIN log.event e ON e.position = d.position AND e.tenant = d.tenant AND e.event_id = d.event_id
WHERE d.position <= $1
ORDER BY d.position;

-- name: head
-- Where the log ends.
SELECT position, epoch FROM log.head;

-- name: lock_head
-- Where the log ends, and nothing is appended until commit.
SELECT position, epoch FROM log.head FOR UPDATE;

-- name: is_empty
-- Whether nothing was ever written: neither an event nor a receipt.
SELECT NOT EXISTS (SELECT FROM log.event) AND NOT EXISTS (SELECT FROM log.receipt);

-- name: lift_refusals
-- Of commands that are accepted by what is copied in: they came while it was not there yet, and were refused for it.
DELETE FROM log.refusal r
USING unnest($1::text[], $2::uuid[]) AS accepted (tenant, command_id)
WHERE r.tenant = accepted.tenant AND r.command_id = accepted.command_id;

-- name: move_head
-- After what was copied in; readers are told. An epoch that is above the file's stays: somebody forked the log, so that it
-- goes on apart from the one that the file is from.
UPDATE log.head SET position = $1::bigint, epoch = greatest(epoch, $2)
RETURNING pg_notify('kithlog_log', $1::bigint::text);

-- name: join_timeline
-- Read models that have folded nothing yet are of whatever timeline the log is.
UPDATE read.checkpoint c SET epoch = h.epoch, turn = c.turn + 1
FROM log.head h WHERE c.position = 0 AND c.epoch <> h.epoch;

-- name: pass_over
-- Events that folding is to go on without, before it meets them: written once, and whatever knows of others looks again.
WITH written AS (
    INSERT INTO read.discarded (tenant, event_id, stream_id, position, discarded_at)
    SELECT * FROM unnest($1::text[], $2::uuid[], $3::uuid[], $4::bigint[], $5::timestamptz[])
    ON CONFLICT (tenant, event_id) DO NOTHING
    RETURNING 1
)
UPDATE read.checkpoint SET turn = turn + 1 WHERE EXISTS (SELECT 1 FROM written);
