-- What is undated happened when it was recorded: it is never earlier than what was written down before, however far the
-- clocks of services are apart.
CREATE OR REPLACE FUNCTION log.append(
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
           u.schema_version, coalesce(u.occurred_at, append.recorded_at), append.recorded_at, u.actor, u.command_id,
           u.correlation_id, u.causation_id, u.data
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
