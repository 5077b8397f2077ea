-- Nothing was ever filed in it: what a seeker wrote is searched by its words when it is asked for.
ALTER TABLE read.row DROP COLUMN search;
