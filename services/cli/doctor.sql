-- name: server
-- What the server says of itself, with its time.
SELECT current_setting('server_version') AS version, current_setting('server_version_num')::integer AS number,
       current_setting('fsync') AS fsync, current_setting('full_page_writes') AS full_page_writes,
       current_setting('synchronous_commit') AS synchronous_commit, pg_is_in_recovery() AS recovering,
       current_setting('max_connections')::integer AS most,
       (SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend') AS connections;

-- name: now
-- The one clock of recorded time.
SELECT log.now();

-- name: applied
-- The migrations that were applied here.
SELECT number, checksum FROM public.kithlog_migration;

-- name: may_work
-- Whether the user of the connection may work in the services' role.
SELECT pg_has_role(session_user, $1,
                   CASE WHEN current_setting('server_version_num')::integer < 160000 THEN 'MEMBER' ELSE 'SET' END);

-- name: oldest_transaction
-- The transaction of this database that is open longest, in seconds; others' are seen only with pg_read_all_stats.
SELECT pid, usename, application_name, state, extract(epoch FROM clock_timestamp() - xact_start)::float8 AS seconds
FROM pg_stat_activity
WHERE datname = current_database() AND pid <> pg_backend_pid() AND xact_start IS NOT NULL
ORDER BY xact_start
LIMIT 1;

-- name: slots
-- Replication slots that nobody reads, with the bytes of WAL that they hold back: null where one never had a reader, or
-- the server has given it up, for it held more than max_slot_wal_keep_size.
SELECT slot_name, coalesce(wal_status = 'lost', false) AS lost,
       pg_wal_lsn_diff(pg_current_wal_lsn(), restart_lsn)::bigint AS bytes
FROM pg_replication_slots
WHERE NOT active AND NOT pg_is_in_recovery();

-- name: dead_tuples
-- Tables with more dead rows than vacuum should leave: at least $1, and more than a fifth of the living.
SELECT schemaname || '.' || relname AS name, n_dead_tup AS dead, n_live_tup AS live
FROM pg_stat_user_tables
WHERE schemaname IN ('log', 'read') AND n_dead_tup >= $1 AND n_dead_tup > n_live_tup / 5
ORDER BY n_dead_tup DESC;

-- name: log_end
-- The head beside the last event there is.
SELECT h.position, h.epoch, (SELECT max(position) FROM log.event) AS last FROM log.head h;

-- name: leader
-- The session that leads the relay of that name.
WITH lock AS (SELECT hashtextextended('kithlog.relay.' || $1, 0) AS key)
SELECT l.pid, a.application_name
FROM lock, pg_locks l LEFT JOIN pg_stat_activity a USING (pid)
WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 1
  AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
  AND l.classid::bigint = (lock.key >> 32) & 4294967295 AND l.objid::bigint = lock.key & 4294967295;

-- name: places
-- The log's end, and how far relay and projector have come.
SELECT h.position AS head, h.epoch, c.position AS relayed, p.position AS folded, p.epoch AS folded_epoch
FROM log.head h
LEFT JOIN log.relay_cursor c ON c.name = $1
LEFT JOIN read.checkpoint p ON p.name = 'projector';

-- name: live
-- The version of each read model that is live.
SELECT model, version FROM read.generation WHERE status = 'live';

-- name: unfinished
-- What killed rebuilds and verifications have left, with its bytes; nothing while one is at work, whose it may be.
WITH lock AS (SELECT hashtextextended('kithlog.rebuild', 0) AS key)
SELECT g.model, g.status, g.position, g.created_at,
       coalesce(pg_total_relation_size(to_regclass('read.row_' || g.id)), 0) AS bytes
FROM read.generation g
WHERE g.status IN ('building', 'scratch')
  AND NOT EXISTS (
      SELECT FROM lock, pg_locks l
      WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 1
        AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
        AND l.classid::bigint = (lock.key >> 32) & 4294967295 AND l.objid::bigint = lock.key & 4294967295)
ORDER BY g.id;

-- name: parked
-- How many streams are parked, and the first event that waits.
SELECT count(*) AS streams, min(position) AS first FROM read.parked;

-- name: overdue
-- Timers that should have fired more than $1 seconds ago, and by how many seconds the oldest; those of parked streams
-- are held on purpose. As a range from a clock that is read once: see firing.sql, figures.
SELECT count(*) AS timers, coalesce(max(extract(epoch FROM log.now() - t.due_at)), 0)::float8 AS seconds
FROM read.timer t
WHERE t.due_at BETWEEN '-infinity' AND (SELECT log.now() - $1 * interval '1 second')
  AND NOT EXISTS (SELECT FROM read.parked p WHERE p.tenant = t.tenant AND p.stream_id = ANY (t.guards));
