"""What both services share: the domain, the log, the broker's contract."""
