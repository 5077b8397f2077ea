-- What reads a model's live generation says of which version that is, whether or not a row was found: it may be another
-- release's.

-- name: get
-- One row of a model's live generation, and how far the models have come.
SELECT c.position, r.body,
       (SELECT g.version FROM read.generation g WHERE g.model = $1 AND g.status = 'live') AS version
FROM read.checkpoint c
LEFT JOIN read.row r
       ON r.generation = (SELECT g.id FROM read.generation g WHERE g.model = $1 AND g.status = 'live')
      AND r.tenant = $2 AND r.key = $3
WHERE c.name = 'projector';

-- name: page_of_owner
-- A page of an owner's rows, ascending by (sort, key), after a cursor, within a span of `sort`.
SELECT c.position, r.sort, r.key, r.body,
       (SELECT g.version FROM read.generation g WHERE g.model = $1 AND g.status = 'live') AS version
FROM read.checkpoint c
LEFT JOIN LATERAL (
    SELECT r.sort, r.key, r.body
    FROM read.row r
    WHERE r.generation = (SELECT g.id FROM read.generation g WHERE g.model = $1 AND g.status = 'live')
      AND r.tenant = $2 AND r.owner = $9
      AND ($3::text[] IS NULL OR r.state = ANY ($3))
      AND r.sort >= coalesce($4::timestamptz, '-infinity') AND r.sort <= coalesce($5::timestamptz, 'infinity')
      AND ($7::text IS NULL OR (r.sort, r.key) > ($6::timestamptz, $7))
    ORDER BY r.sort, r.key
    LIMIT $8
) r ON true
WHERE c.name = 'projector';

-- name: page_of_owner_descending
-- The same from the other end.
SELECT c.position, r.sort, r.key, r.body,
       (SELECT g.version FROM read.generation g WHERE g.model = $1 AND g.status = 'live') AS version
FROM read.checkpoint c
LEFT JOIN LATERAL (
    SELECT r.sort, r.key, r.body
    FROM read.row r
    WHERE r.generation = (SELECT g.id FROM read.generation g WHERE g.model = $1 AND g.status = 'live')
      AND r.tenant = $2 AND r.owner = $9
      AND ($3::text[] IS NULL OR r.state = ANY ($3))
      AND r.sort >= coalesce($4::timestamptz, '-infinity') AND r.sort <= coalesce($5::timestamptz, 'infinity')
      AND ($7::text IS NULL OR (r.sort, r.key) < ($6::timestamptz, $7))
    ORDER BY r.sort DESC, r.key DESC
    LIMIT $8
) r ON true
WHERE c.name = 'projector';

-- name: page_of_tenant
-- A page of all rows of a tenant, ascending by (sort, key).
SELECT c.position, r.sort, r.key, r.body,
       (SELECT g.version FROM read.generation g WHERE g.model = $1 AND g.status = 'live') AS version
FROM read.checkpoint c
LEFT JOIN LATERAL (
    SELECT r.sort, r.key, r.body
    FROM read.row r
    WHERE r.generation = (SELECT g.id FROM read.generation g WHERE g.model = $1 AND g.status = 'live')
      AND r.tenant = $2
      AND ($3::text[] IS NULL OR r.state = ANY ($3))
      AND r.sort >= coalesce($4::timestamptz, '-infinity') AND r.sort <= coalesce($5::timestamptz, 'infinity')
      AND ($7::text IS NULL OR (r.sort, r.key) > ($6::timestamptz, $7))
    ORDER BY r.sort, r.key
    LIMIT $8
) r ON true
WHERE c.name = 'projector';

-- name: page_of_tenant_descending
-- The same from the other end.
SELECT c.position, r.sort, r.key, r.body,
       (SELECT g.version FROM read.generation g WHERE g.model = $1 AND g.status = 'live') AS version
FROM read.checkpoint c
LEFT JOIN LATERAL (
    SELECT r.sort, r.key, r.body
    FROM read.row r
    WHERE r.generation = (SELECT g.id FROM read.generation g WHERE g.model = $1 AND g.status = 'live')
      AND r.tenant = $2
      AND ($3::text[] IS NULL OR r.state = ANY ($3))
      AND r.sort >= coalesce($4::timestamptz, '-infinity') AND r.sort <= coalesce($5::timestamptz, 'infinity')
      AND ($7::text IS NULL OR (r.sort, r.key) < ($6::timestamptz, $7))
    ORDER BY r.sort DESC, r.key DESC
    LIMIT $8
) r ON true
WHERE c.name = 'projector';

-- name: willing_contacts
-- The first of a tenant's contacts who are willing to be asked by anybody, by (sort, key): they offered hours, or are in
-- a programme's directory, and did not ask for peace since.
SELECT c.position, r.key, r.body,
       (SELECT g.version FROM read.generation g WHERE g.model = 'contact' AND g.status = 'live') AS version
FROM read.checkpoint c
LEFT JOIN LATERAL (
    SELECT r.sort, r.key, r.body
    FROM read.row r
    WHERE r.generation = (SELECT g.id FROM read.generation g WHERE g.model = 'contact' AND g.status = 'live')
      AND r.tenant = $1 AND r.state = 'reachable'
      AND (r.body->>'hours_offered_at' IS NOT NULL OR r.body->>'source' = 'programme_directory')
    ORDER BY r.sort, r.key
    LIMIT $2
) r ON true
WHERE c.name = 'projector';

-- name: search_notebook
-- A seeker's pieces that hold some words, newest first. Their words are read in the language that is asked for, now and
-- not when they were written, so that a seeker who moves on to another language finds the old pieces, too.
SELECT c.position, r.sort, r.key, r.body,
       (SELECT g.version FROM read.generation g WHERE g.model = 'notebook' AND g.status = 'live') AS version
FROM read.checkpoint c
LEFT JOIN LATERAL (
    SELECT r.sort, r.key, r.body
    FROM read.row r
    WHERE r.generation = (SELECT g.id FROM read.generation g WHERE g.model = 'notebook' AND g.status = 'live')
      AND r.tenant = $1 AND r.owner = $2
      AND ($5::text[] IS NULL OR r.state = ANY ($5))
      AND r.sort >= coalesce($9::timestamptz, '-infinity') AND r.sort <= coalesce($10::timestamptz, 'infinity')
      AND ($7::text IS NULL OR (r.sort, r.key) < ($6::timestamptz, $7))
      AND to_tsvector(
              $4::text::regconfig,
              json_build_array(r.body->'title', r.body->'text', r.body->'points', r.body->'advice', r.body->'resources')
          ) @@ websearch_to_tsquery($4::text::regconfig, $3)
    ORDER BY r.sort DESC, r.key DESC
    LIMIT $8
) r ON true
WHERE c.name = 'projector';

-- name: timers
-- A seeker's pending notifications, soonest first: by when they are to be fired, which for one that was put off is later
-- than its body says. Without those that nobody will be told of, for they will have expired by then.
SELECT c.position, t.due_at AS sort, t.id::text AS key, t.body
FROM read.checkpoint c
LEFT JOIN LATERAL (
    SELECT t.due_at, t.id, t.body
    FROM read.timer t
    WHERE t.tenant = $1 AND t.seeker_id = $2 AND t.outcome IS NULL
      AND (t.body ->> 'expires_at')::timestamptz > t.due_at
      AND t.due_at <= coalesce($6::timestamptz, 'infinity')
      AND ($4::uuid IS NULL OR (t.due_at, t.id) > ($3::timestamptz, $4))
    ORDER BY t.due_at, t.id
    LIMIT $5
) t ON true
WHERE c.name = 'projector';

-- name: due
-- When some pending notifications are to be fired; one that was put off, later than its body says.
SELECT id, due_at FROM read.timer WHERE tenant = $1 AND id = ANY ($2::uuid[]) AND outcome IS NULL;

-- name: next_timers
-- When the next pending notification of a policy is due for each of some subjects that has one.
SELECT subject_id, min(due_at) AS due_at
FROM read.timer
WHERE tenant = $1 AND subject_id = ANY ($2::uuid[]) AND outcome IS NULL AND body->>'policy' = $3
GROUP BY subject_id;

-- name: checkpoint
-- How far the models have come.
SELECT position FROM read.checkpoint WHERE name = 'projector';

-- name: rows
-- Rows of a model's live generation by key, in no order.
SELECT c.position, r.key, r.body,
       (SELECT g.version FROM read.generation g WHERE g.model = $1 AND g.status = 'live') AS version
FROM read.checkpoint c
LEFT JOIN read.row r
       ON r.generation = (SELECT g.id FROM read.generation g WHERE g.model = $1 AND g.status = 'live')
      AND r.tenant = $2 AND r.key = ANY ($3::text[])
WHERE c.name = 'projector';

-- name: rows_of_owners
-- The first rows of several owners together, by (sort, key).
SELECT c.position, r.key, r.body,
       (SELECT g.version FROM read.generation g WHERE g.model = $1 AND g.status = 'live') AS version
FROM read.checkpoint c
LEFT JOIN LATERAL (
    SELECT r.sort, r.key, r.body
    FROM read.row r
    WHERE r.generation = (SELECT g.id FROM read.generation g WHERE g.model = $1 AND g.status = 'live')
      AND r.tenant = $2 AND r.owner = ANY ($3::uuid[])
    ORDER BY r.sort, r.key
    LIMIT $4
) r ON true
WHERE c.name = 'projector';
