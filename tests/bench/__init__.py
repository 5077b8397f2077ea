"""`make bench`: how fast, against what the machine could do and against peers, both sides in the same run."""
