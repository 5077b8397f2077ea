"""The command service: judges commands, appends their events, publishes what was appended."""
