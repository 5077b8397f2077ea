-- A row is looked up by its key, or found by its owner or in its tenant's order. In a table without statistics yet all of
-- its indexes cost the same, and the planner took one that shares the tenant alone with a lookup: every lookup went
-- through a whole tenant. The predicates, always true of the queries that are meant, keep lookups off these indexes
-- whatever the statistics say.
-- Each new index is there before the old one goes: queries go on meanwhile.

CREATE INDEX row_by_owner_new ON read.row (generation, tenant, owner, sort, key) WHERE owner IS NOT NULL;
DROP INDEX read.row_by_owner;
ALTER INDEX read.row_by_owner_new RENAME TO row_by_owner;

DO $$
DECLARE
    listing record;
BEGIN
    FOR listing IN
        SELECT indexname, indexdef FROM pg_indexes WHERE schemaname = 'read' AND indexdef LIKE '%(tenant, sort, key)'
    LOOP
        EXECUTE replace(listing.indexdef, listing.indexname, listing.indexname || '_new') || ' WHERE sort IS NOT NULL';
        EXECUTE format('DROP INDEX read.%I', listing.indexname);
        EXECUTE format('ALTER INDEX read.%I RENAME TO %I', listing.indexname || '_new', listing.indexname);
    END LOOP;
END
$$;

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
        EXECUTE format('CREATE INDEX ON read.%I (tenant, sort, key) WHERE sort IS NOT NULL', 'row_' || made);
    END IF;
    RETURN made;
END
$$;
