-- Events that operators have let folding go on without: whatever folds the log afresh passes over them, as what is live
-- does. By the event's id, for after a restore another event may stand at its position.
CREATE TABLE read.discarded (
    tenant       text NOT NULL,
    event_id     uuid NOT NULL,
    stream_id    uuid NOT NULL,
    position     bigint NOT NULL,
    discarded_at timestamptz NOT NULL DEFAULT log.now(),   -- by whom and why: log.operation
    PRIMARY KEY (tenant, event_id)
);
GRANT SELECT, INSERT, UPDATE, DELETE ON read.discarded TO kithlog_app;

-- Why an earlier generation can't be gone back to any more.
ALTER TABLE read.generation ADD COLUMN stale text;
