-- What was refused and told so to somebody who does not wait for it: over AMQP, or as a line of an import. The broker
-- delivers again what was not acknowledged, and an import may be sent again; decided on what has happened since, such a
-- command might be accepted after all. Beside the log and not in it: rows go after thirty days (and with an operator's
-- `kithlog dead retry`), and are no part of an export.
CREATE TABLE log.refusal (
    tenant      text NOT NULL,
    command_id  uuid NOT NULL,
    fingerprint bytea NOT NULL,    -- as a receipt's; of the version that was expected, too, where one was named
    refusal     json NOT NULL,     -- what was answered
    recorded_at timestamptz NOT NULL DEFAULT log.now(),
    PRIMARY KEY (tenant, command_id, fingerprint)
);
CREATE INDEX refusal_by_time ON log.refusal (recorded_at);

-- Keeps refusals before they are told; what was kept before stays. Returns those that stand. One that is missing has a
-- receipt: its command was accepted, and that is its answer.
--
-- The head's row is locked first, as by log.append: a command is either refused or accepted.
CREATE FUNCTION log.refuse(tenants text[], commands uuid[], fingerprints bytea[], refusals json[])
    RETURNS SETOF log.refusal
    LANGUAGE plpgsql
    SET plan_cache_mode = force_generic_plan
    SET enable_seqscan = off
AS $$
BEGIN
    PERFORM FROM log.head FOR UPDATE;

    -- Twice as many old ones as came: so they don't pile up, and nobody has to sweep.
    DELETE FROM log.refusal r
    WHERE r.ctid = ANY (ARRAY(SELECT old.ctid FROM log.refusal old
                              WHERE old.recorded_at < log.now() - interval '30 days'
                              ORDER BY old.recorded_at LIMIT 2 * cardinality(tenants)));

    INSERT INTO log.refusal (tenant, command_id, fingerprint, refusal)
    SELECT u.tenant, u.command_id, u.fingerprint, u.refusal
    FROM unnest(tenants, commands, fingerprints, refusals) AS u (tenant, command_id, fingerprint, refusal)
    WHERE (SELECT true FROM log.receipt r WHERE r.tenant = u.tenant AND r.command_id = u.command_id) IS NULL
    ON CONFLICT DO NOTHING;

    RETURN QUERY SELECT * FROM log.find_refusals(tenants, commands);
END
$$;

-- The refusals of some commands.
CREATE FUNCTION log.find_refusals(tenants text[], commands uuid[]) RETURNS SETOF log.refusal
    LANGUAGE plpgsql STABLE
    SET plan_cache_mode = force_generic_plan
    SET enable_seqscan = off
AS $$
BEGIN
    RETURN QUERY
    SELECT found.*
    FROM unnest(tenants, commands) AS u (tenant, command_id)
    CROSS JOIN LATERAL (SELECT r.* FROM log.refusal r
                        WHERE r.tenant = u.tenant AND r.command_id = u.command_id
                        OFFSET 0) AS found;
END
$$;

-- No receipt for what was refused: what was frozen between asking for refusals and appending can't slip through. A
-- command that names a version can: it is refused to that version alone, which no receipt tells.
CREATE FUNCTION log.check_not_refused() RETURNS trigger
    LANGUAGE plpgsql
    SET plan_cache_mode = force_generic_plan
    SET enable_seqscan = off
AS $$
BEGIN
    IF EXISTS (SELECT FROM accepted a
               CROSS JOIN LATERAL (SELECT FROM log.refusal r
                                   WHERE r.tenant = a.tenant AND r.command_id = a.command_id
                                     AND r.fingerprint = a.fingerprint
                                   OFFSET 0) AS refused) THEN
        RAISE EXCEPTION 'a command was refused before' USING ERRCODE = 'exclusion_violation';
    END IF;
    RETURN NULL;
END
$$;
CREATE TRIGGER not_refused AFTER INSERT ON log.receipt REFERENCING NEW TABLE AS accepted
    FOR EACH STATEMENT EXECUTE FUNCTION log.check_not_refused();

GRANT SELECT, INSERT, DELETE ON log.refusal TO kithlog_app;
