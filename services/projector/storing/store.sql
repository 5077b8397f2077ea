-- name: start_checkpoint
-- The checkpoint's row, made where there is none: before the first event of the present timeline.
INSERT INTO read.checkpoint (name, position, epoch)
SELECT 'projector', 0, h.epoch FROM log.head h
ON CONFLICT (name) DO NOTHING;

-- name: lock_checkpoint
-- The checkpoint, held against other projectors that start at the same moment.
SELECT position, epoch, turn FROM read.checkpoint WHERE name = 'projector' FOR UPDATE;

-- name: next_turn
-- Rows were changed beside the fold: what a projector holds in memory is stale from here on.
UPDATE read.checkpoint SET turn = turn + 1 WHERE name = 'projector';

-- name: generations
-- The live generation of each model.
SELECT g.model, g.version, g.id FROM read.generation g WHERE g.status = 'live';

-- name: create_generation
-- A live generation for a model that has none.
SELECT read.create_generation($1, $2, 'live', $3);

-- name: look
-- The checkpoint, the digest of the policies by which timers were reckoned, and the log's head, of one moment; and whether
-- unfinished generations are to be dropped.
SELECT c.position, c.epoch, c.turn, c.policies, h.position AS head, h.epoch AS head_epoch,
       EXISTS (SELECT FROM read.generation WHERE status IN ('building', 'scratch') AND stale IS NOT NULL) AS marked
FROM read.checkpoint c, log.head h
WHERE c.name = 'projector';

-- name: holds
-- Whether the log holds all of some events: at $1[i] that of the id $2[i], written down at $3[i].
SELECT count(*) = cardinality($1::bigint[])
FROM unnest($1::bigint[], $2::uuid[], $3::timestamptz[]) AS u (position, event_id, recorded_at)
CROSS JOIN LATERAL (
    SELECT FROM log.event e
    WHERE e.position = u.position AND e.event_id = u.event_id AND e.recorded_at = u.recorded_at
    LIMIT 1
) e;

-- name: parked
-- The streams whose events wait.
SELECT tenant, stream_id FROM read.parked;

-- name: discarded
-- The events after a position that folding goes on without.
SELECT tenant, event_id FROM read.discarded WHERE position > $1;

-- name: load
-- Rows by generation, tenant and key; LATERAL, so that each is found by its index whatever the planner believes.
SELECT u.ordinal::integer, r.body
FROM unnest($1::integer[], $2::text[], $3::text[]) WITH ORDINALITY AS u (generation, tenant, key, ordinal)
CROSS JOIN LATERAL (
    SELECT r.body FROM read.row r
    WHERE r.generation = u.generation AND r.tenant = u.tenant AND r.key = u.key
    LIMIT 1
) r;

-- name: load_owned
-- All rows of a generation that belong to some owners. OFFSET keeps it a lookup for each, whatever the planner believes.
SELECT u.tenant, u.owner, r.key, r.body
FROM unnest($2::text[], $3::uuid[]) AS u (tenant, owner)
CROSS JOIN LATERAL (
    SELECT r.key, r.body FROM read.row r
    WHERE r.generation = $1 AND r.tenant = u.tenant AND r.owner = u.owner
    OFFSET 0
) r;

-- name: load_mentioning
-- The rows of some generations in which an id of the same tenant stands: at $2[i] and $3[i]. OFFSET keeps the planner from
-- going through the rows of all generations and tenants.
SELECT r.generation, r.tenant, r.key, r.body
FROM (SELECT u.tenant, array_agg('%' || u.id || '%') AS patterns
      FROM unnest($2::text[], $3::text[]) AS u (tenant, id) GROUP BY u.tenant) u
CROSS JOIN unnest($1::integer[]) AS g (id)
CROSS JOIN LATERAL (
    SELECT r.generation, r.tenant, r.key, r.body FROM read.row r
    WHERE r.generation = g.id AND r.tenant = u.tenant AND r.body::text LIKE ANY (u.patterns)
    OFFSET 0
) r;

-- name: retired
-- The generations that are kept to go back to, but for those of some models ($1), be they of this release or not.
SELECT id FROM read.generation WHERE status = 'retired' AND model <> ALL ($1::text[]);

-- name: forget_retired
-- Removes the rows of one of those ($1) that mention contacts who were forgotten. Whoever does go back lacks them until
-- they are mended (`kithlog verify --heal`). One at a time, so that no plan goes through rows of the live ones for it:
-- with all in one statement, the planner joined those first once it knew how many there were. None of one that has been
-- gone back to since it was asked for: a switch waits for this, or this finds that it is live.
WITH kept AS (SELECT id FROM read.generation WHERE id = $1 AND status = 'retired' FOR SHARE)
DELETE FROM read.row r
USING unnest($2::text[], $3::uuid[]) AS u (tenant, id)
WHERE EXISTS (SELECT FROM kept) AND r.generation = $1 AND r.tenant = u.tenant
  AND (r.body::text LIKE '%' || u.id || '%' OR r.key LIKE u.id || '%');

-- name: apply
-- One page's changes, or nothing at all when the checkpoint is not where they start from, or would pass the end of the
-- log, as with messages of a timeline that was given up: the checkpoint moves first and everything else depends on
-- that. Answers how many checkpoints moved (0 or 1).
--   $1 position, $2 epoch, $31 turn to start from; $3 position to move to
--   $4..$10 rows written, $11..$13 rows deleted, $14..$22 timers written, $23..$24 timers deleted, $25..$30 parked
WITH moved AS (
    UPDATE read.checkpoint SET position = $3, moved_at = clock_timestamp()
    WHERE name = 'projector' AND position = $1 AND epoch = $2 AND turn = $31
      AND EXISTS (SELECT 1 FROM log.head h WHERE h.position >= $3 AND h.epoch = $2)
    RETURNING 1
), rows_written AS (
    INSERT INTO read.row AS r (generation, tenant, key, owner, state, sort, body)
    SELECT u.generation, u.tenant, u.key, u.owner, u.state, coalesce(u.sort, '-infinity'), u.body::json
    FROM unnest($4::integer[], $5::text[], $6::text[], $7::uuid[], $8::text[], $9::timestamptz[], $10::text[])
         AS u (generation, tenant, key, owner, state, sort, body)
    WHERE EXISTS (SELECT 1 FROM moved)
    ON CONFLICT (generation, tenant, key) DO UPDATE
    SET owner = excluded.owner, state = excluded.state, sort = excluded.sort, body = excluded.body
), rows_deleted AS (
    DELETE FROM read.row r
    USING unnest($11::integer[], $12::text[], $13::text[]) AS u (generation, tenant, key)
    WHERE r.generation = u.generation AND r.tenant = u.tenant AND r.key = u.key AND EXISTS (SELECT 1 FROM moved)
), timers_written AS (
    INSERT INTO read.timer AS t (tenant, id, subject_id, seeker_id, guards, due_at, outcome, ending, body)
    SELECT u.tenant, u.id, u.subject_id, u.seeker_id, u.guards::uuid[], u.due_at, u.outcome, u.ending::json,
           u.body::json
    FROM unnest($14::text[], $15::uuid[], $16::uuid[], $17::uuid[], $18::text[], $19::timestamptz[], $20::text[],
                $21::text[], $22::text[])
         AS u (tenant, id, subject_id, seeker_id, guards, due_at, outcome, ending, body)
    WHERE EXISTS (SELECT 1 FROM moved)
    ON CONFLICT (tenant, id) DO UPDATE
    SET guards = excluded.guards, due_at = excluded.due_at, outcome = excluded.outcome, ending = excluded.ending,
        body = excluded.body
), timers_deleted AS (
    DELETE FROM read.timer t
    USING unnest($23::text[], $24::uuid[]) AS u (tenant, id)
    WHERE t.tenant = u.tenant AND t.id = u.id AND EXISTS (SELECT 1 FROM moved)
), newly_parked AS (
    INSERT INTO read.parked (tenant, stream_id, category, position, model, error)
    SELECT u.tenant, u.stream_id, u.category, u.position, u.model, u.error
    FROM unnest($25::text[], $26::uuid[], $27::text[], $28::bigint[], $29::text[], $30::text[])
         AS u (tenant, stream_id, category, position, model, error)
    WHERE EXISTS (SELECT 1 FROM moved)
    ON CONFLICT (tenant, stream_id) DO NOTHING
)
SELECT count(*) FROM moved;

-- name: reckoned_by
-- The digest of the timing policies by which the pending timers were reckoned.
SELECT policies FROM read.checkpoint WHERE name = 'projector';

-- name: movement
-- The log's head and how far the models have come; 0 before anything was folded.
SELECT h.position, coalesce(c.position, 0)
FROM log.head h LEFT JOIN read.checkpoint c ON c.name = 'projector';
