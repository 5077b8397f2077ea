"""The projector service: folds the log into read models, fires timers, answers queries."""
