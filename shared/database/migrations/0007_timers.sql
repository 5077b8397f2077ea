-- The same for timers, which are looked up by their id, or found by subject or seeker. A migration of its own: firing locks
-- timers before it looks at rows, so whoever holds the rows must not ask for the timers.

CREATE INDEX timer_by_subject_new ON read.timer (tenant, subject_id) WHERE subject_id IS NOT NULL;
CREATE INDEX timer_by_seeker_new ON read.timer (tenant, seeker_id, due_at) WHERE seeker_id IS NOT NULL;
DROP INDEX read.timer_by_subject, read.timer_by_seeker;
ALTER INDEX read.timer_by_subject_new RENAME TO timer_by_subject;
ALTER INDEX read.timer_by_seeker_new RENAME TO timer_by_seeker;
