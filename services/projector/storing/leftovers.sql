-- name: take_turn
-- Only one rebuild, rollback or verification at a time works on a database; held by the session.
SELECT pg_try_advisory_lock(hashtextextended('kithlog.rebuild', 0));

-- name: end_turn
-- The turn is the next one's, though the session goes on.
SELECT pg_advisory_unlock(hashtextextended('kithlog.rebuild', 0));

-- name: unfinished
-- The generations that somebody is building, or was.
SELECT id FROM read.generation WHERE status IN ('building', 'scratch') ORDER BY id;

-- name: mark_unfinished
-- Somebody was forgotten of whom a generation's rows may tell; to finish it takes the mark away.
UPDATE read.generation SET stale = 'a contact was forgotten' WHERE id = $1 AND status IN ('building', 'scratch');

-- name: marked
-- Unfinished generations of whose rows somebody was forgotten.
SELECT id FROM read.generation WHERE status IN ('building', 'scratch') AND stale IS NOT NULL ORDER BY id;

-- name: claim_rows
-- The read models for this transaction alone, so that generations can be dropped; waited for no longer than queries,
-- which wait behind it, can bear. After it nothing is waited for: what else may hold a generation, as ANALYZE does,
-- takes long.
SET LOCAL lock_timeout = '100ms';
LOCK TABLE ONLY read.row IN ACCESS EXCLUSIVE MODE;
SET LOCAL lock_timeout = '1ms';

-- name: drop_generation
-- Removes a generation that is not live; false when there was none.
SELECT read.drop_generation($1);
