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
    sort       timestamptz NOT NULL DEFAULT '-infinity',  -- what queries sort and page by, with the key
    body       json NOT NULL,
    search     tsvector,
    PRIMARY KEY (generation, tenant, key)
) PARTITION BY LIST (generation);
CREATE INDEX row_by_owner ON read.row (generation, tenant, owner, sort, key);

-- A new generation with its partition; `listed` when a whole tenant's rows are paged through. A function with its
-- owner's rights, because only the owner of read.row may add partitions. Answers the generation's id.
CREATE FUNCTION read.create_generation(of_model text, of_version integer, with_status text, listed boolean)
    RETURNS integer
    LANGUAGE plpgsql
    SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    made integer;
BEGIN
    INSERT INTO read.generation (model, version, status) VALUES (of_model, of_version, with_status)
    RETURNING id INTO made;
    -- The fillfactor leaves room for a row's next version on its page (HOT).
    EXECUTE format('CREATE TABLE read.%I PARTITION OF read.row FOR VALUES IN (%s) WITH (fillfactor = 80)',
                   'row_' || made, made);
    EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE ON read.%I TO kithlog_app', 'row_' || made);
    IF listed THEN
        EXECUTE format('CREATE INDEX ON read.%I (tenant, sort, key)', 'row_' || made);
    END IF;
    RETURN made;
END
$$;

-- Removes a generation that is not live, with its rows. Answers whether there was one.
CREATE FUNCTION read.drop_generation(generation_id integer)
    RETURNS boolean
    LANGUAGE plpgsql
    SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    DELETE FROM read.generation WHERE id = generation_id AND status <> 'live';
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    EXECUTE format('DROP TABLE read.%I', 'row_' || generation_id);
    RETURN true;
END
$$;

-- Notifications still to fire. A row is deleted when it is settled, so all rows are pending.
CREATE TABLE read.timer (
    tenant     text NOT NULL,
    id         uuid NOT NULL,         -- the notification's stream: its version 1 can be written once
    subject_id uuid NOT NULL,
    seeker_id  uuid NOT NULL,
    guards     uuid[] NOT NULL,       -- streams that must hold nothing that the projector has not folded
    due_at     timestamptz NOT NULL,
    outcome    text,                  -- null: to be judged when due; else settled as this at once (withdrawn, …)
    ending     json,                  -- with an outcome: the reason, and the event that brought it about
    body       json NOT NULL,
    PRIMARY KEY (tenant, id),
    CHECK ((outcome IS NULL) = (ending IS NULL))
) WITH (fillfactor = 80);
CREATE INDEX timer_by_due ON read.timer (due_at, id);
CREATE INDEX timer_by_subject ON read.timer (tenant, subject_id);
CREATE INDEX timer_by_seeker ON read.timer (tenant, seeker_id, due_at);

-- How much each recipient was told on their last day, so that a flood is held back however many batches it comes in.
CREATE TABLE read.told (
    tenant       text NOT NULL,
    recipient_id uuid NOT NULL,
    since        timestamptz NOT NULL,  -- the midnight on the recipient's clock that the count began at
    times        integer NOT NULL CHECK (times >= 0),
    PRIMARY KEY (tenant, recipient_id)
) WITH (fillfactor = 50);

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
REVOKE ALL ON FUNCTION read.create_generation, read.drop_generation FROM PUBLIC;
GRANT EXECUTE ON FUNCTION read.create_generation, read.drop_generation TO kithlog_app;
