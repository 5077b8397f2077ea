"""What is folded again from the log beside the live fold: to replace it, to compare, mend or reorder it, or to see what
was known once. It imports `storing`, `models` and `folding`, and knows nothing of the loops that are running."""
