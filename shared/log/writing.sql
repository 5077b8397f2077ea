-- name: append
-- Append a batch, or nothing; see log.append in the migrations.
SELECT base, epoch, recorded_at, moved, actual, known
FROM log.append($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21);

-- name: receipts
-- The receipts of some commands, by tenant and command id.
SELECT tenant, command_id, fingerprint, position, events, recorded_at FROM log.find_receipts($1, $2);

-- name: refusals
-- The refusals of some commands, by tenant and command id.
SELECT tenant, command_id, fingerprint, refusal FROM log.find_refusals($1, $2);

-- name: refuse
-- Keep refusals, each unless there is one already; returns those that stand. See log.refuse in the migrations.
SELECT tenant, command_id, fingerprint, refusal FROM log.refuse($1, $2, $3, $4);

-- name: confirm
-- Take the head's lock for a moment: that is written to the WAL, so the commit waits for what commits wait for.
SELECT position FROM log.head FOR UPDATE;

-- name: written
-- Where the events of some ranges of positions were written: ($1[i], $2[i]], in order.
SELECT position, category, stream_id, version, type, event_id FROM log.read_ranges($1, $2);
