-- A replay waits while its queue holds so many messages that more of them could make it drop some. For those that have
-- been begun: what they are given by default now.
ALTER TABLE log.replay ADD COLUMN room integer NOT NULL DEFAULT 500 CHECK (room > 0);
