-- name: take_turn
-- Batches are concluded one at a time, so that how often somebody was told today is exact. Held until commit.
SELECT pg_advisory_xact_lock(hashtextextended('kithlog.firing', 0));

-- name: told
-- How often some addressees ($1[i], $2[i]) were told since their day began, at $3[i], or later: for somebody who has moved
-- to the west meanwhile it began before the day that they were told on.
SELECT u.tenant, u.id, u.since, told.times
FROM unnest($1::text[], $2::uuid[], $3::timestamptz[]) AS u (tenant, id, since)
CROSS JOIN LATERAL (
    SELECT told.times FROM read.told told
    WHERE told.tenant = u.tenant AND told.recipient_id = u.id AND told.since >= u.since
    LIMIT 1
) told;

-- name: now
-- The one clock of firing.
SELECT log.now();

-- name: lock
-- A batch of due timers after a place in the order, locked; those that the fold is just writing are left to the next
-- pass, those of parked streams until somebody has looked. Nothing else is read here: of a row that was rewritten since
-- the statement began it is the new version that is locked, while all that is beside it would be as of before.
SELECT t.tenant, t.id, t.due_at FROM read.timer t
WHERE t.due_at <= $1 AND (t.due_at, t.id) > ($2, $3)
  AND NOT EXISTS (SELECT 1 FROM read.parked p WHERE p.tenant = t.tenant AND p.stream_id = ANY (t.guards))
ORDER BY t.due_at, t.id
LIMIT $4
FOR UPDATE SKIP LOCKED;

-- name: claim
-- The timers ($1[i], $2[i]) that were locked. With each come the checkpoint as of which it is known, what is known of the
-- recipient (the seeker whom it is about), how many older ones of that seeker's were put off to the same moment, which
-- places them within a second after it (`in_turn`), and are still to be told, and the event that armed it or, with an
-- outcome, brought it about. What is put off is so to a whole second: only what falls due afresh is due at one itself, and
-- for all of it that has one moment they are counted once, or a crowd of one seeker's would take the square of its number.
-- LATERAL, so that each is found by its index whatever the planner believes. All are judged at one moment, this one: of
-- many that are due the last are claimed long after the first. None are claimed by whose policies ($3, a digest) they were
-- not reckoned, nor of streams that were parked meanwhile: what they wait for is before this checkpoint.
WITH clock AS MATERIALIZED (SELECT log.now() AS now)
SELECT t.tenant, t.id, t.subject_id, t.seeker_id, t.due_at, t.outcome, t.ending, of_ending.rule ->> 'policy' AS policy,
       of_timer.subject, of_timer.recipient ->> 'role' AS role, t.guards, t.body,
       c.position AS checkpoint, c.epoch, r.body AS recipient,
       max(put_off.ahead) OVER (PARTITION BY t.tenant, t.seeker_id, t.due_at) AS ahead,
       cause.event_id AS cause_id, cause.correlation_id, clock.now
FROM (
    SELECT t.*, row_number() OVER (PARTITION BY t.tenant, t.seeker_id, t.due_at) AS of_moment
    FROM unnest($1::text[], $2::uuid[]) AS u (tenant, id)
    CROSS JOIN LATERAL (SELECT t.* FROM read.timer t WHERE t.tenant = u.tenant AND t.id = u.id LIMIT 1) t
    WHERE NOT EXISTS (SELECT 1 FROM read.parked p WHERE p.tenant = t.tenant AND p.stream_id = ANY (t.guards))
) t
JOIN read.checkpoint c ON c.name = 'projector' AND coalesce(c.policies, '') IN ('', $3)
CROSS JOIN clock
CROSS JOIN LATERAL json_to_record(CASE json_typeof(t.body) WHEN 'object' THEN t.body ELSE '{}' END)
           AS of_timer (subject text, recipient json, armed_by json)
CROSS JOIN LATERAL json_to_record(coalesce(t.ending, '{}')) AS of_ending (rule json, cause json)
LEFT JOIN LATERAL (
    SELECT r.body FROM read.row r
    WHERE r.generation = (SELECT g.id FROM read.generation g WHERE g.model = 'timing_recipient' AND g.status = 'live')
      AND r.tenant = t.tenant AND r.key = t.seeker_id::text
    LIMIT 1
) r ON true
CROSS JOIN LATERAL (
    SELECT count(*)::integer AS ahead FROM read.timer o
    WHERE t.of_moment = 1 AND t.due_at = date_trunc('second', t.due_at)
      AND o.tenant = t.tenant AND o.seeker_id = t.seeker_id
      AND o.due_at > t.due_at AND o.due_at < t.due_at + interval '1 second'
      AND o.outcome IS NULL
      AND (o.body ->> 'due_at')::timestamptz < t.due_at
      AND (o.body ->> 'expires_at')::timestamptz > greatest(o.due_at, clock.now)
      AND o.body -> 'recipient' ->> 'role' = 'seeker'
      AND (SELECT p.stream_id FROM read.parked p  -- not as a join, which would go through all that is parked
           WHERE p.tenant = o.tenant AND p.stream_id = ANY (o.guards) LIMIT 1) IS NULL
) put_off
LEFT JOIN LATERAL (
    SELECT cause.event_id, cause.correlation_id FROM log.event cause
    WHERE cause.position = (coalesce(of_ending.cause, of_timer.armed_by) ->> 'position')::bigint
    LIMIT 1
) cause ON true
ORDER BY t.due_at, t.id;

-- name: lock_head
-- Nothing is appended any more until commit; a statement of its own, so that those after it see all that came before.
SELECT position, epoch FROM log.head FOR UPDATE;

-- name: head
-- The log's last position, as of now.
SELECT position FROM log.head;

-- name: ahead
-- The first events after a position ($1) up to another ($2), at most $3, without those by which timers fell due: they make
-- no other needless.
SELECT position, epoch, tenant, category, stream_id, version, event_id, type, schema_version, occurred_at,
       recorded_at, actor, command_id, correlation_id, causation_id, data
FROM log.event
WHERE position > $1 AND position <= $2 AND NOT (type = 'notification.due' AND version = 1)
ORDER BY position
LIMIT $3;

-- name: behind
-- What waits of the parked streams of some tenants ($2) up to a position ($1) and is of some types ($4), of each tenant at
-- most $3 events. Streams that can't hold such are not looked at; of the others, each is found by its index.
SELECT e.*
FROM unnest($2::text[]) AS u (tenant)
CROSS JOIN LATERAL (
    SELECT e.*
    FROM read.parked p
    CROSS JOIN LATERAL (
        SELECT position, epoch, tenant, category, stream_id, version, event_id, type, schema_version, occurred_at,
               recorded_at, actor, command_id, correlation_id, causation_id, data
        FROM log.event e
        WHERE e.tenant = p.tenant AND e.stream_id = p.stream_id AND e.position BETWEEN p.position AND $1
          AND e.type = ANY ($4::text[]) AND NOT (category = 'notification' AND version = 1)
        LIMIT $3
    ) e
    WHERE p.tenant = u.tenant AND p.category IN (SELECT split_part(type, '.', 1) FROM unnest($4::text[]) AS type)
    LIMIT $3
) e;

-- name: moved
-- Those of some streams that hold an event after a position: the ordinals (from 1) of the pairs ($1[i], $2[i]).
SELECT u.ordinal::integer
FROM unnest($1::text[], $2::uuid[]) WITH ORDINALITY AS u (tenant, stream_id, ordinal)
WHERE (SELECT e.position FROM log.event e
       WHERE e.tenant = u.tenant AND e.stream_id = u.stream_id
       ORDER BY e.version DESC LIMIT 1) > $3;

-- name: conclude
-- Settled timers go, deferred ones get their new time, and what people were told is counted.
WITH settled AS (
    DELETE FROM read.timer t
    USING unnest($1::text[], $2::uuid[]) AS u (tenant, id)
    WHERE t.tenant = u.tenant AND t.id = u.id
), deferred AS (
    UPDATE read.timer t SET due_at = u.until
    FROM unnest($3::text[], $4::uuid[], $5::timestamptz[]) AS u (tenant, id, until)
    WHERE t.tenant = u.tenant AND t.id = u.id
)
INSERT INTO read.told AS told (tenant, recipient_id, since, times)
SELECT u.tenant, u.recipient_id, u.since, u.times
FROM unnest($6::text[], $7::uuid[], $8::timestamptz[], $9::integer[]) AS u (tenant, recipient_id, since, times)
ON CONFLICT (tenant, recipient_id) DO UPDATE
SET since = greatest(told.since, excluded.since), times = excluded.times;

-- name: seconds_to_next
-- Until the next timer falls due after an instant; null: none is pending.
SELECT extract(epoch FROM min(due_at) - log.now())::float8 FROM read.timer WHERE due_at > $1;

-- name: figures
-- Pending timers (as the statistics have it), how many are overdue, and by how many seconds the most. The clock is read
-- once: asked for each timer, as a VOLATILE function is, it leads to no place in the index. The lower bound says that a
-- range is meant, of which the planner expects little: of one bound that it can't know it expects a third of all, for
-- which it would rather go through the table, once a second.
SELECT pg_stat_get_live_tuples('read.timer'::regclass) AS pending, count(*) AS overdue,
       coalesce(extract(epoch FROM log.now() - min(due_at)), 0)::float8 AS late
FROM read.timer
WHERE due_at BETWEEN '-infinity' AND (SELECT log.now());
