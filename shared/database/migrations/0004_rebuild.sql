-- Building read models beside the live ones, to replace them or to compare with them.

-- `scratch`: built only to compare with, never to become live, and of no use to anybody else.
ALTER TABLE read.generation
    ADD COLUMN epoch integer NOT NULL DEFAULT 1,  -- the timeline that `position` is of
    ADD COLUMN note  text,                        -- why it became live although its rows differ
    DROP CONSTRAINT generation_status_check,
    ADD CONSTRAINT generation_status_check CHECK (status IN ('live', 'building', 'retired', 'scratch'));

-- As before, but the partition is made by itself and then attached: that lets readers and writers of the others go on,
-- where CREATE TABLE … PARTITION OF waits for all of them and makes all others wait for it.
CREATE OR REPLACE FUNCTION read.create_generation(of_model text, of_version integer, with_status text, listed boolean)
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
    EXECUTE format('CREATE TABLE read.%I (LIKE read.row INCLUDING DEFAULTS INCLUDING CONSTRAINTS INCLUDING INDEXES) '
                   'WITH (fillfactor = 80)', 'row_' || made);
    EXECUTE format('ALTER TABLE read.row ATTACH PARTITION read.%I FOR VALUES IN (%s)', 'row_' || made, made);
    EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE ON read.%I TO kithlog_app', 'row_' || made);
    IF listed THEN
        EXECUTE format('CREATE INDEX ON read.%I (tenant, sort, key)', 'row_' || made);
    END IF;
    RETURN made;
END
$$;

-- Fresh statistics of a generation's rows, before they are read as a whole.
CREATE FUNCTION read.analyze_generation(generation_id integer)
    RETURNS void
    LANGUAGE plpgsql
    SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    EXECUTE format('ANALYZE read.%I', 'row_' || generation_id);
END
$$;
REVOKE ALL ON FUNCTION read.analyze_generation FROM PUBLIC;
GRANT EXECUTE ON FUNCTION read.analyze_generation TO kithlog_app;
