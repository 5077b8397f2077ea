"""Firing: what is due becomes an event of the log, once. It goes by what PostgreSQL holds, whoever has folded it; it
imports the alarm that `live` rings, and of `storing` how to connect."""
