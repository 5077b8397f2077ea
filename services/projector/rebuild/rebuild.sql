-- name: take_part
-- Whoever writes into generations that are not live says so; held by the session.
SELECT pg_advisory_lock_shared(hashtextextended('kithlog.rebuild.part', 0));

-- name: await_parts
-- Until nobody does: a process whose rebuild was killed may be committing still.
SELECT pg_advisory_lock(hashtextextended('kithlog.rebuild.part', 0)),
       pg_advisory_unlock(hashtextextended('kithlog.rebuild.part', 0));

-- name: situation
-- The checkpoint and the log's head, of one moment.
SELECT c.position, c.epoch, c.turn, h.position AS head, h.epoch AS head_epoch, c.policies
FROM log.head h LEFT JOIN read.checkpoint c ON c.name = 'projector';

-- name: hold_checkpoint
-- Every projector is held back until commit; queries and firing go on. Apart from the look at the situation, which would
-- see the checkpoint as it is after having waited, and the head as it was before.
SELECT FROM read.checkpoint WHERE name = 'projector' FOR UPDATE;

-- name: parked
-- The streams whose events wait, each from a position on. Not those parked by an event that a restored log does not hold:
-- where it grows again, another may stand there, even of the same stream and command, but of a later epoch.
SELECT p.tenant, p.stream_id, p.position
FROM read.parked p
JOIN log.event e ON e.position = p.position AND e.tenant = p.tenant AND e.stream_id = p.stream_id
LEFT JOIN read.checkpoint c ON c.name = 'projector'
WHERE e.epoch <= coalesce(c.epoch, e.epoch);

-- name: discarded
-- The events that folding goes on without, likewise.
SELECT d.tenant, d.event_id
FROM read.discarded d
JOIN log.event e ON e.position = d.position AND e.tenant = d.tenant AND e.event_id = d.event_id
LEFT JOIN read.checkpoint c ON c.name = 'projector'
WHERE e.epoch <= coalesce(c.epoch, e.epoch);

-- name: generations
-- All generations, the latest of each model first.
SELECT id, model, version, status, position, epoch, stale FROM read.generation ORDER BY model, id DESC;

-- name: create_generation
-- An empty generation of a model beside the live one.
SELECT read.create_generation($1, $2, $3, $4);

-- name: begin_generations
-- Generations that stand before the first event, of a timeline.
UPDATE read.generation SET position = 0, epoch = $2 WHERE id = ANY ($1::integer[]);

-- name: analyze_generation
-- Fresh statistics, for reading a generation as a whole.
SELECT read.analyze_generation($1);

-- name: advance
-- Moves generations that are not live from one position to another; answers how many stood there.
WITH moved AS (
    UPDATE read.generation SET position = $3
    WHERE id = ANY ($1::integer[]) AND position = $2 AND status <> 'live'
    RETURNING 1
)
SELECT count(*) FROM moved;

-- name: upsert_rows
-- Rows that may be there already.
INSERT INTO read.row AS r (generation, tenant, key, owner, state, sort, body)
SELECT u.generation, u.tenant, u.key, u.owner, u.state, u.sort, u.body::json
FROM unnest($1::integer[], $2::text[], $3::text[], $4::uuid[], $5::text[], $6::timestamptz[], $7::text[])
     AS u (generation, tenant, key, owner, state, sort, body)
ON CONFLICT (generation, tenant, key) DO UPDATE
SET owner = excluded.owner, state = excluded.state, sort = excluded.sort, body = excluded.body;

-- name: delete_rows
-- Rows that are not to be there.
DELETE FROM read.row r
USING unnest($1::integer[], $2::text[], $3::text[]) AS u (generation, tenant, key)
WHERE r.generation = u.generation AND r.tenant = u.tenant AND r.key = u.key;

-- name: differing_rows
-- The rows in which two generations ($1 and $2) are not the same letter by letter, of those whose keys' first hashed byte
-- is below $3 (256: all).
SELECT coalesce(a.tenant, b.tenant) AS tenant, coalesce(a.key, b.key) AS key,
       a.body AS live_body, a.owner AS live_owner, a.state AS live_state, a.sort AS live_sort,
       b.body AS body, b.owner, b.state, b.sort
FROM (SELECT * FROM read.row
      WHERE generation = $1 AND ($3 >= 256 OR get_byte(decode(md5(key), 'hex'), 0) < $3)) a
FULL JOIN (SELECT * FROM read.row
           WHERE generation = $2 AND ($3 >= 256 OR get_byte(decode(md5(key), 'hex'), 0) < $3)) b
     ON a.tenant = b.tenant AND a.key = b.key
WHERE (a.body::text, a.owner, a.state, a.sort) IS DISTINCT FROM (b.body::text, b.owner, b.state, b.sort);

-- name: some_differing_rows
-- The same of those whose tenants and keys are $3[i] and $4[i]; a statement of its own, and LATERAL, so that each is found
-- by its index whatever the planner believes: while few are compared, the checkpoint is held.
SELECT u.tenant, u.key,
       a.body AS live_body, a.owner AS live_owner, a.state AS live_state, a.sort AS live_sort,
       b.body AS body, b.owner, b.state, b.sort
FROM unnest($3::text[], $4::text[]) AS u (tenant, key)
LEFT JOIN LATERAL (
    SELECT * FROM read.row r WHERE r.generation = $1 AND r.tenant = u.tenant AND r.key = u.key LIMIT 1
) a ON true
LEFT JOIN LATERAL (
    SELECT * FROM read.row r WHERE r.generation = $2 AND r.tenant = u.tenant AND r.key = u.key LIMIT 1
) b ON true
WHERE (a.body::text, a.owner, a.state, a.sort) IS DISTINCT FROM (b.body::text, b.owner, b.state, b.sort);

-- name: count_rows
-- How many rows a generation holds of those that are looked at: see differing_rows, and unless they are null the tenants
-- and keys are $3[i] and $4[i].
SELECT count(*) FROM read.row
WHERE generation = $1 AND ($2 >= 256 OR get_byte(decode(md5(key), 'hex'), 0) < $2)
  AND ($3::text[] IS NULL OR (tenant, key) IN (SELECT * FROM unnest($3, $4::text[])));

-- name: subjects
-- A page of a generation's timing subjects after a place, those of one recipient together, each with its recipient of
-- another generation; see differing_rows for $7.
SELECT s.tenant, s.owner, s.sort, s.key, s.body, r.body AS recipient
FROM (
    SELECT s.tenant, s.owner, s.sort, s.key, s.body FROM read.row s
    WHERE s.generation = $1 AND s.owner IS NOT NULL AND (s.tenant, s.owner, s.sort, s.key) > ($3, $4, $5, $6)
      AND ($7 >= 256 OR get_byte(decode(md5(key), 'hex'), 0) < $7)
    ORDER BY s.tenant, s.owner, s.sort, s.key
    LIMIT $8
) s
LEFT JOIN read.row r ON r.generation = $2 AND r.tenant = s.tenant AND r.key = s.owner::text
ORDER BY s.tenant, s.owner, s.sort, s.key;

-- name: some_subjects
-- The same for some subjects by tenant and key.
SELECT s.tenant, s.key, s.body, r.body AS recipient
FROM unnest($3::text[], $4::text[]) AS u (tenant, key)
JOIN read.row s ON s.generation = $1 AND s.tenant = u.tenant AND s.key = u.key
LEFT JOIN read.row r ON r.generation = $2 AND r.tenant = s.tenant AND r.key = s.owner::text
ORDER BY s.tenant, s.key;

-- name: timers_of
-- The timers of some subjects ($1[i], $2[i]).
SELECT t.tenant, t.id, t.subject_id, t.seeker_id, t.guards, t.due_at, t.outcome, t.body, log.now() AS now
FROM unnest($1::text[], $2::uuid[]) AS u (tenant, subject_id)
JOIN read.timer t ON t.tenant = u.tenant AND t.subject_id = u.subject_id;

-- name: timers_of_nobody
-- A page of timers after a place ($2, $3), with the bodies of those that are pending and whose subjects a generation ($1)
-- does not know. All of a page are answered, so that $4 bounds what is looked up, however few those are.
SELECT t.tenant, t.id, t.subject_id, t.due_at, CASE WHEN t.outcome IS NULL AND s.known IS NULL THEN t.body END AS body
FROM (
    SELECT t.tenant, t.id, t.subject_id, t.due_at, t.outcome, t.body FROM read.timer t
    WHERE (t.tenant, t.id) > ($2, $3)
    ORDER BY t.tenant, t.id
    LIMIT $4
) t
LEFT JOIN LATERAL (
    SELECT true AS known FROM read.row s
    WHERE s.generation = $1 AND s.tenant = t.tenant AND s.key = t.subject_id::text
    LIMIT 1
) s ON true
ORDER BY t.tenant, t.id;

-- name: first_events
-- The positions at which some streams ($1[i], $2[i]) begin in the log, and whether that event is folded nowhere: for it
-- waits, or was discarded.
SELECT e.tenant, e.stream_id, e.position,
       EXISTS (SELECT FROM read.parked p
               WHERE p.tenant = e.tenant AND p.stream_id = e.stream_id AND p.position <= e.position)
       OR EXISTS (SELECT FROM read.discarded d WHERE d.tenant = e.tenant AND d.event_id = e.event_id) AS left_out
FROM unnest($1::text[], $2::uuid[]) AS u (tenant, stream_id)
JOIN log.event e ON e.tenant = u.tenant AND e.stream_id = u.stream_id AND e.version = 1;

-- name: retire
-- The live generations of some models, which stand at position $2, are kept to go back to.
UPDATE read.generation SET status = 'retired', position = $2, epoch = $3
WHERE model = ANY ($1::text[]) AND status = 'live';

-- name: enliven
-- Generations become live.
UPDATE read.generation SET status = 'live', note = $2, stale = NULL WHERE id = ANY ($1::integer[]);

-- name: turn
-- Whatever projectors hold in memory is not what the rows are any more; the checkpoint goes where the rows are.
UPDATE read.checkpoint SET turn = turn + 1, position = $1, epoch = $2, moved_at = clock_timestamp()
WHERE name = 'projector';

-- name: unpark_others
-- Streams go on that are not among some ($1[i], $2[i]).
DELETE FROM read.parked
WHERE (tenant, stream_id) NOT IN (SELECT * FROM unnest($1::text[], $2::uuid[]));

-- name: forget_other_discarded
-- Events are not passed over any more that are not among some ($1[i], $2[i]).
DELETE FROM read.discarded
WHERE (tenant, event_id) NOT IN (SELECT * FROM unnest($1::text[], $2::uuid[]));

-- name: forget_lost_endings
-- Endings brought about by events that a restored log does not hold: there, an event of up to epoch $1 is none of those.
DELETE FROM read.timer t
WHERE t.outcome IS NOT NULL AND t.ending -> 'cause' ->> 'position' IS NOT NULL
  AND NOT EXISTS (SELECT 1 FROM log.event e
                  WHERE e.position = (t.ending -> 'cause' ->> 'position')::bigint AND e.epoch <= $1);

-- name: upsert_timers
-- Pending timers as they are to be; one that was put off stays so unless anything else about it has changed.
INSERT INTO read.timer AS t (tenant, id, subject_id, seeker_id, guards, due_at, outcome, ending, body)
SELECT u.tenant, u.id, u.subject_id, u.seeker_id, u.guards::uuid[], u.due_at, u.outcome, u.ending::json, u.body::json
FROM unnest($1::text[], $2::uuid[], $3::uuid[], $4::uuid[], $5::text[], $6::timestamptz[], $7::text[], $8::text[],
            $9::text[])
     AS u (tenant, id, subject_id, seeker_id, guards, due_at, outcome, ending, body)
ON CONFLICT (tenant, id) DO UPDATE
SET seeker_id = excluded.seeker_id, guards = excluded.guards, due_at = excluded.due_at, outcome = excluded.outcome,
    ending = excluded.ending, body = excluded.body;

-- name: delete_timers
-- Timers that are not to be there.
DELETE FROM read.timer t
USING unnest($1::text[], $2::uuid[]) AS u (tenant, id)
WHERE t.tenant = u.tenant AND t.id = u.id;

-- name: end_timers
-- Pending timers are not to fall due any more, but to be recorded as ended, at once.
UPDATE read.timer t SET outcome = u.outcome, ending = u.ending::json, due_at = log.now(), guards = '{}'
FROM unnest($1::text[], $2::uuid[], $3::text[], $4::text[]) AS u (tenant, id, outcome, ending)
WHERE t.tenant = u.tenant AND t.id = u.id AND t.outcome IS NULL;

-- name: overrides
-- A page of a generation's ($1) timing recipients after a place ($2, $3), with the bodies of those who have overrides. All
-- of a page are answered, so that $4 bounds what is looked at, however few those are.
SELECT tenant, key, CASE WHEN body ->> 'overrides' <> '{}' THEN body END AS body
FROM read.row
WHERE generation = $1 AND (tenant, key) > ($2, $3)
ORDER BY tenant, key
LIMIT $4;

-- name: reckoned
-- They were reckoned by these now.
UPDATE read.checkpoint SET policies = $1 WHERE name = 'projector';

-- name: heal_rows
-- Rows of one generation ($1) become what they are in another ($2): those with tenant $3[i] and key $4[i].
WITH wanted AS (
    SELECT * FROM unnest($3::text[], $4::text[]) AS u (tenant, key)
), gone AS (
    DELETE FROM read.row r USING wanted w
    WHERE r.generation = $1 AND r.tenant = w.tenant AND r.key = w.key
      AND NOT EXISTS (SELECT 1 FROM read.row n WHERE n.generation = $2 AND n.tenant = w.tenant AND n.key = w.key)
)
INSERT INTO read.row AS r (generation, tenant, key, owner, state, sort, body)
SELECT $1, n.tenant, n.key, n.owner, n.state, n.sort, n.body
FROM wanted w JOIN read.row n ON n.generation = $2 AND n.tenant = w.tenant AND n.key = w.key
ON CONFLICT (generation, tenant, key) DO UPDATE
SET owner = excluded.owner, state = excluded.state, sort = excluded.sort, body = excluded.body;

-- name: subjects_of
-- The keys of a recipient's ($3) subjects.
SELECT key FROM read.row WHERE generation = $1 AND tenant = $2 AND owner = $3::uuid;

-- name: scrap
-- Generations that nobody is to go on with.
UPDATE read.generation SET status = 'scratch' WHERE id = ANY ($1::integer[]) AND status <> 'live';
