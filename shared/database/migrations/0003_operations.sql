-- What operators do to a running system: recorded, and kept apart from what the projector is doing at that moment.

-- Rises whenever something other than folding the next events changed rows, parked streams or generations. A projector
-- moves the checkpoint only from the turn that it knows, so what it holds in memory is never written over such a change.
ALTER TABLE read.checkpoint ADD COLUMN turn bigint NOT NULL DEFAULT 0;

-- Who did what, when and why. Beside the log and not in it: it is about the system, not about interviews.
CREATE TABLE log.operation (
    id      bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at      timestamptz NOT NULL DEFAULT log.now(),
    actor   text NOT NULL,           -- who was at the terminal: user@machine, or KITHLOG_ACTOR
    verb    text NOT NULL,           -- such as `parked retry`
    subject text NOT NULL,           -- what it was done to
    why     text,
    details json NOT NULL
);
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON log.operation
    FOR EACH STATEMENT EXECUTE FUNCTION log.refuse_change();

-- Replays: a part of the log published once more, to one queue. `position` moves after the broker's confirms.
CREATE TABLE log.replay (
    id         uuid PRIMARY KEY,
    queue      text NOT NULL,
    wanted     json NOT NULL,        -- which events: tenant, stream, types, span of positions and times
    rate       integer CHECK (rate > 0),  -- events a second; null: as fast as the broker takes them
    status     text NOT NULL CHECK (status IN ('running', 'paused', 'cancelled', 'done')),
    after      bigint NOT NULL,      -- begins after this position
    upto       bigint NOT NULL CHECK (upto > after),
    position   bigint NOT NULL CHECK (position BETWEEN after AND upto),  -- looked at and confirmed up to here
    total      bigint NOT NULL CHECK (total > 0),
    sent       bigint NOT NULL DEFAULT 0 CHECK (sent BETWEEN 0 AND total),
    actor      text NOT NULL,
    why        text,
    started_at timestamptz NOT NULL DEFAULT log.now(),
    moved_at   timestamptz NOT NULL DEFAULT log.now()
) WITH (fillfactor = 50);

GRANT SELECT, INSERT ON log.operation TO kithlog_app;
GRANT SELECT, INSERT, UPDATE ON log.replay TO kithlog_app;
