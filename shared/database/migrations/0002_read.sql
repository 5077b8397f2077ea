-- What readers see: derived from the log, rebuilt from it at any time.

CREATE SCHEMA read;

-- How far a projection has folded the log; moves with the rows in one transaction, by compare-and-set.
CREATE TABLE read.checkpoint (
    name     text PRIMARY KEY,
    position bigint NOT NULL CHECK (position >= 0),
    epoch    integer NOT NULL CHECK (epoch >= 1),
    moved_at timestamptz NOT NULL DEFAULT clock_timestamp()
) WITH (fillfactor = 10);

-- The generations of each read model: one is live; another may be being built beside it, older ones are kept to go back.
CREATE TABLE read.generation (
    id         integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    model      text NOT NULL,
    version    integer NOT NULL CHECK (version >= 1),
    status     text NOT NULL CHECK (status IN ('live', 'building', 'retired')),
    position   bigint NOT NULL DEFAULT 0,   -- how far a generation that is not live has been folded
    created_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE UNIQUE INDEX one_live_generation ON read.generation (model) WHERE status = 'live';
CREATE UNIQUE INDEX one_building_generation ON read.generation (model) WHERE status = 'building';

-- All read models share one shape: a document, and the few columns by which documents are found, sorted and paged.
-- A generation is a partition, so that a new one is loaded beside the live one and dropped as a table.
CREATE TABLE read.row (
    generation integer NOT NULL,
    tenant     text NOT NULL,
    key        text NOT NULL,
    owner      uuid,          -- whose it is: the seeker, the contact or the programme
    state      text,          -- what queries filter by
    sort       timestamptz,   -- what queries sort and page by
    body       json NOT NULL,
    search     tsvector,
    PRIMARY KEY (generation, tenant, key)
) PARTITION BY LIST (generation);
CREATE INDEX row_by_owner ON read.row (generation, tenant, owner, sort, key);
CREATE INDEX row_by_sort ON read.row (generation, tenant, sort, key);

-- Notifications still to fire. A row is deleted when it is settled, so all rows are pending.
CREATE TABLE read.timer (
    tenant     text NOT NULL,
    id         uuid NOT NULL,         -- the notification's stream: its version 1 can be written once
    subject_id uuid NOT NULL,
    seeker_id  uuid NOT NULL,
    guards     uuid[] NOT NULL,       -- streams that must hold nothing that the projector has not folded
    due_at     timestamptz NOT NULL,
    outcome    text,                  -- null: to be judged when due; else settled as this at once (withdrawn, …)
    body       json NOT NULL,
    PRIMARY KEY (tenant, id)
);
CREATE INDEX timer_by_due ON read.timer (due_at, id);
CREATE INDEX timer_by_subject ON read.timer (tenant, subject_id);
CREATE INDEX timer_by_seeker ON read.timer (tenant, seeker_id, due_at);

-- Streams whose fold failed: from that version on their events wait here, by reference, while others go on.
CREATE TABLE read.parked (
    tenant     text NOT NULL,
    stream_id  uuid NOT NULL,
    category   text NOT NULL,
    position   bigint NOT NULL,       -- the first event that was not folded
    model      text NOT NULL,
    error      text NOT NULL,
    parked_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (tenant, stream_id)
);

GRANT USAGE ON SCHEMA read TO kithlog_app;
GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA read TO kithlog_app;
GRANT CREATE ON SCHEMA read TO kithlog_app;
