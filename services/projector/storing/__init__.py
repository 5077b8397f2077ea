"""What was folded, in PostgreSQL: rows, timers and the checkpoint, moved together or not at all. It imports `folding`
alone."""
