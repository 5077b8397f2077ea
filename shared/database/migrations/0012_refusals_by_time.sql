-- As before, but for the clock, which is read once. Asked for each refusal, as a VOLATILE function is, it led to no place in
-- the index: where none was old, all of thirty days were gone through, at each call and with the head's row locked.
CREATE OR REPLACE FUNCTION log.refuse(tenants text[], commands uuid[], fingerprints bytea[], refusals json[])
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
                              WHERE old.recorded_at < (SELECT log.now() - interval '30 days')
                              ORDER BY old.recorded_at LIMIT 2 * cardinality(tenants)));

    INSERT INTO log.refusal (tenant, command_id, fingerprint, refusal)
    SELECT u.tenant, u.command_id, u.fingerprint, u.refusal
    FROM unnest(tenants, commands, fingerprints, refusals) AS u (tenant, command_id, fingerprint, refusal)
    WHERE (SELECT true FROM log.receipt r WHERE r.tenant = u.tenant AND r.command_id = u.command_id) IS NULL
    ON CONFLICT DO NOTHING;

    RETURN QUERY SELECT * FROM log.find_refusals(tenants, commands);
END
$$;
