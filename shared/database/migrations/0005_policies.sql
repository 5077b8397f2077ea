-- By which timing policies pending timers were reckoned: a digest of them. Where the projector has others, it reckons
-- all timers anew before it goes on.
ALTER TABLE read.checkpoint ADD COLUMN policies text NOT NULL DEFAULT '';
