"""Firing: what is due becomes an event of the log, once. It goes by what PostgreSQL holds, whoever has folded it, and
imports of the fold only the alarm between the two."""
