-- The log: what happened, in one dense order, for ever.

CREATE SCHEMA log;

-- The one clock of recorded time and of firing. A function, so that every process shares the database's time.
CREATE FUNCTION log.now() RETURNS timestamptz
    LANGUAGE sql VOLATILE PARALLEL SAFE
    RETURN clock_timestamp();

-- One row: the last position given out and the timeline's epoch. Its lock orders all appends, so that the order of
-- positions is the order of commits: a reader that has seen position n has seen all before it.
CREATE TABLE log.head (
    the_only boolean PRIMARY KEY DEFAULT true CHECK (the_only),
    position bigint NOT NULL CHECK (position >= 0),
    epoch    integer NOT NULL CHECK (epoch >= 1)
) WITH (fillfactor = 10);  -- room for its many versions on one page (HOT)

INSERT INTO log.head (position, epoch) VALUES (0, 1);

CREATE TABLE log.event (
    position       bigint PRIMARY KEY CHECK (position >= 1),
    epoch          integer NOT NULL,
    tenant         text NOT NULL CHECK (tenant <> ''),
    category       text NOT NULL,
    stream_id      uuid NOT NULL,
    version        integer NOT NULL CHECK (version >= 1),
    event_id       uuid NOT NULL,
    type           text NOT NULL,
    schema_version smallint NOT NULL CHECK (schema_version >= 1),
    occurred_at    timestamptz NOT NULL,
    recorded_at    timestamptz NOT NULL,
    actor          text NOT NULL,
    command_id     uuid NOT NULL,
    correlation_id uuid NOT NULL,
    causation_id   uuid NOT NULL,
    data           bytea NOT NULL,  -- UTF-8 JSON; bytes write and read 1.4 times as fast as jsonb (log.readable casts)
    UNIQUE (tenant, stream_id, version)
);

-- The first answer to each command, so that a repeated one gets it again.
CREATE TABLE log.receipt (
    tenant      text NOT NULL,
    command_id  uuid NOT NULL,
    fingerprint bytea NOT NULL,    -- of the command's content: the same id with other content is an error
    position    bigint NOT NULL,   -- of its last event
    events      integer NOT NULL CHECK (events >= 0),
    recorded_at timestamptz NOT NULL,
    PRIMARY KEY (tenant, command_id)
);

-- How far the relay has published; moved only after the broker's confirms.
CREATE TABLE log.relay_cursor (
    name     text PRIMARY KEY,
    position bigint NOT NULL CHECK (position >= 0),
    epoch    integer NOT NULL CHECK (epoch >= 1)
) WITH (fillfactor = 10);

-- For people with psql.
CREATE VIEW log.readable AS
SELECT position, tenant, category, stream_id, version, type, schema_version, occurred_at, recorded_at, actor,
       convert_from(data, 'UTF8')::jsonb AS data, event_id, command_id, correlation_id, causation_id, epoch
FROM log.event;

-- History is not rewritten, not even by the tables' owner in a hurry.
CREATE FUNCTION log.refuse_change() RETURNS trigger
    LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% on %.% is refused: history is append-only', TG_OP, TG_TABLE_SCHEMA, TG_TABLE_NAME
        USING ERRCODE = 'restrict_violation', HINT = 'Record a correction as a new event.';
END
$$;

CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON log.event
    FOR EACH STATEMENT EXECUTE FUNCTION log.refuse_change();
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON log.receipt
    FOR EACH STATEMENT EXECUTE FUNCTION log.refuse_change();

-- The one way into the log. Appends all events of a batch, or nothing.
--
-- check_*   : the version each touched stream must have before the batch
-- receipt_* : one per command; receipt_last counts the batch's events (from 1) up to its last, receipt_events its own
-- the others: one element per event, in order
--
-- Returns `base` (position before the first event), `epoch` and `recorded_at` when written. When a stream stands
-- elsewhere than expected or a command has its receipt already, nothing is written and `moved` / `known` say which
-- (indices from 1), with the actual versions in `actual`.
--
-- The head's row is locked first: each statement after that sees all that was committed before, so the checks are
-- exact, and what they let through can't fail on a unique key.
CREATE FUNCTION log.append(
    check_tenant text[], check_stream uuid[], check_version integer[],
    receipt_tenant text[], receipt_command uuid[], receipt_fingerprint bytea[],
    receipt_last integer[], receipt_events integer[],
    tenants text[], categories text[], streams uuid[], versions integer[], event_ids uuid[], types text[],
    schema_versions smallint[], occurred timestamptz[], actors text[], commands uuid[], correlations uuid[],
    causations uuid[], payloads bytea[],
    OUT base bigint, OUT epoch integer, OUT recorded_at timestamptz,
    OUT moved integer[], OUT actual integer[], OUT known integer[]
)
    LANGUAGE plpgsql
    SET plan_cache_mode = force_generic_plan
    SET enable_seqscan = off  -- else a plan made while the tables were small is kept when they are not
AS $$
BEGIN
    SELECT h.position, h.epoch INTO base, epoch FROM log.head h FOR UPDATE;

    SELECT array_agg(c.ordinal ORDER BY c.ordinal), array_agg(c.version_now ORDER BY c.ordinal)
    INTO moved, actual
    FROM (
        SELECT u.ordinal::integer, u.version,
               coalesce((SELECT e.version FROM log.event e
                         WHERE e.tenant = u.tenant AND e.stream_id = u.stream_id
                         ORDER BY e.version DESC LIMIT 1), 0) AS version_now
        FROM unnest(check_tenant, check_stream, check_version)
             WITH ORDINALITY AS u (tenant, stream_id, version, ordinal)
    ) c
    WHERE c.version_now <> c.version;

    SELECT array_agg(u.ordinal::integer)
    INTO known
    FROM unnest(receipt_tenant, receipt_command) WITH ORDINALITY AS u (tenant, command_id, ordinal)
    WHERE (SELECT true FROM log.receipt r WHERE r.tenant = u.tenant AND r.command_id = u.command_id);

    IF moved IS NOT NULL OR known IS NOT NULL THEN
        RETURN;
    END IF;

    recorded_at := log.now();
    INSERT INTO log.event (position, epoch, tenant, category, stream_id, version, event_id, type, schema_version,
                           occurred_at, recorded_at, actor, command_id, correlation_id, causation_id, data)
    SELECT base + u.ordinal, append.epoch, u.tenant, u.category, u.stream_id, u.version, u.event_id, u.type,
           u.schema_version, u.occurred_at, append.recorded_at, u.actor, u.command_id, u.correlation_id,
           u.causation_id, u.data
    FROM unnest(tenants, categories, streams, versions, event_ids, types, schema_versions, occurred, actors,
                commands, correlations, causations, payloads)
         WITH ORDINALITY AS u (tenant, category, stream_id, version, event_id, type, schema_version, occurred_at,
                               actor, command_id, correlation_id, causation_id, data, ordinal);

    INSERT INTO log.receipt (tenant, command_id, fingerprint, position, events, recorded_at)
    SELECT u.tenant, u.command_id, u.fingerprint, base + u.last, u.events, append.recorded_at
    FROM unnest(receipt_tenant, receipt_command, receipt_fingerprint, receipt_last, receipt_events)
         AS u (tenant, command_id, fingerprint, last, events);

    IF cardinality(streams) > 0 THEN
        UPDATE log.head h SET position = base + cardinality(streams);
        PERFORM pg_notify('kithlog_log', (base + cardinality(streams))::text);
    END IF;
END
$$;

-- What readers look up by key. Functions, for the same reason as `log.append`: their plans are made once for a session,
-- perhaps while the tables are empty, and must be right when they are not. LATERAL with OFFSET keeps it a lookup for
-- each key; a join might be planned as a scan of the whole log.

-- All events of some streams, each after a version.
CREATE FUNCTION log.read_streams(tenants text[], streams uuid[], versions integer[]) RETURNS SETOF log.event
    LANGUAGE plpgsql STABLE
    SET plan_cache_mode = force_generic_plan
    SET enable_seqscan = off
AS $$
BEGIN
    RETURN QUERY
    SELECT found.*
    FROM unnest(tenants, streams, versions) AS u (tenant, stream_id, after)
    CROSS JOIN LATERAL (SELECT e.* FROM log.event e
                        WHERE e.tenant = u.tenant AND e.stream_id = u.stream_id AND e.version > u.after
                        OFFSET 0) AS found
    ORDER BY found.tenant, found.stream_id, found.version;
END
$$;

-- The events of some ranges of positions (after, upto].
CREATE FUNCTION log.read_ranges(after bigint[], upto bigint[]) RETURNS SETOF log.event
    LANGUAGE plpgsql STABLE
    SET plan_cache_mode = force_generic_plan
    SET enable_seqscan = off
AS $$
BEGIN
    RETURN QUERY
    SELECT found.*
    FROM unnest(after, upto) AS u (after, upto)
    CROSS JOIN LATERAL (SELECT e.* FROM log.event e
                        WHERE e.position > u.after AND e.position <= u.upto
                        OFFSET 0) AS found
    ORDER BY found.position;
END
$$;

-- The receipts of some commands.
CREATE FUNCTION log.find_receipts(tenants text[], commands uuid[]) RETURNS SETOF log.receipt
    LANGUAGE plpgsql STABLE
    SET plan_cache_mode = force_generic_plan
    SET enable_seqscan = off
AS $$
BEGIN
    RETURN QUERY
    SELECT found.*
    FROM unnest(tenants, commands) AS u (tenant, command_id)
    CROSS JOIN LATERAL (SELECT r.* FROM log.receipt r
                        WHERE r.tenant = u.tenant AND r.command_id = u.command_id
                        OFFSET 0) AS found;
END
$$;

-- What the services may do. Being a role of the cluster, it is made before the migrations, where it is not there.
GRANT USAGE ON SCHEMA log TO kithlog_app;
GRANT SELECT, INSERT ON log.event, log.receipt TO kithlog_app;
GRANT SELECT, UPDATE ON log.head TO kithlog_app;
GRANT SELECT, INSERT, UPDATE ON log.relay_cursor TO kithlog_app;
GRANT SELECT ON log.readable TO kithlog_app;
