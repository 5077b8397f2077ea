"""The history feed: the log for those who have no access to the database, `GET /v1/events`."""
