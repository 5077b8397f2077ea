"""The projector service: folds the log into read models, fires timers, answers queries.

From the bottom: `folding` and `models` are pure; `storing` is the side of PostgreSQL; `rebuild` folds again from the
log, `live` what comes; `queries`, `feed` and `firing` go by what was folded; `service` puts them together. None imports
what is above it or beside it.
"""
