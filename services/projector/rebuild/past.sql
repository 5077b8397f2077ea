-- name: checkpoint
-- How far the models have come, by which the streams of a seeker are found.
SELECT position FROM read.checkpoint WHERE name = 'projector';

-- name: events_of_seeker
-- The events up to position $3 of all streams that the rows of a seeker ($2) are folded from: their own, those of
-- their interviews, leads, relationships and notifications, and those of the contacts that they had to do with. Without
-- those that folding goes on without.
WITH mine AS (
    SELECT g.model, r.key, r.body
    FROM read.generation g
    JOIN read.row r ON r.generation = g.id AND r.tenant = $1 AND r.owner = $2
    WHERE g.status = 'live' AND g.model IN ('pipeline', 'lead', 'relationship', 'contact', 'notification')
), streams AS (
    SELECT $2::uuid AS id
    UNION SELECT key::uuid FROM mine
    UNION SELECT (body ->> 'contact_id')::uuid FROM mine WHERE model = 'relationship'
)
SELECT e.position, e.epoch, e.tenant, e.category, e.stream_id, e.version, e.event_id, e.type, e.schema_version,
       e.occurred_at, e.recorded_at, e.actor, e.command_id, e.correlation_id, e.causation_id, e.data
FROM streams s
CROSS JOIN LATERAL (SELECT * FROM log.event e WHERE e.tenant = $1 AND e.stream_id = s.id AND e.position <= $3) e
WHERE NOT EXISTS (SELECT 1 FROM read.discarded d WHERE d.tenant = e.tenant AND d.event_id = e.event_id)
ORDER BY e.position;

-- name: forgotten
-- Those of some contacts ($2) who were forgotten by now, and at which position: by the log, for the models may lag.
SELECT stream_id, position
FROM log.event
WHERE tenant = $1 AND stream_id = ANY ($2::uuid[]) AND type = 'contact.forgotten';

-- name: led_to
-- Whom some leads ($2) have led to by conversations that were planned, or introductions that were made, through them.
SELECT r.key, contact.id
FROM read.generation g
JOIN read.row r ON r.generation = g.id AND r.tenant = $1 AND r.key = ANY ($2::text[])
CROSS JOIN LATERAL json_array_elements_text(r.body -> 'led_to') AS contact (id)
WHERE g.status = 'live' AND g.model = 'lead';

-- name: events_of_stream
-- The events of one stream, in order.
SELECT position, epoch, tenant, category, stream_id, version, event_id, type, schema_version, occurred_at, recorded_at,
       actor, command_id, correlation_id, causation_id, data
FROM log.event
WHERE tenant = $1 AND stream_id = $2
ORDER BY version;
