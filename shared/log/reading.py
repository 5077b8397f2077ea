"""The log as it is read by who does not write to it: by position and by stream."""

from __future__ import annotations

from uuid import UUID

import asyncpg

from shared.database.queries import load_queries
from shared.envelope import Recorded
from shared.log.appending import Head

QUERIES = load_queries("shared.log", "reading.sql")

NOTIFY_CHANNEL = "kithlog_log"
"""PostgreSQL channel on which each committed batch announces the log's head."""

NO_BOUND = 2**62
"""Bytes that no page comes to."""


class ReadableLog:
    """Reads through the pool. Raises what asyncpg raises while PostgreSQL is away."""

    def __init__(self, pool: asyncpg.Pool[asyncpg.Record]) -> None:
        self._pool = pool

    async def head(self) -> Head:
        row = await self._pool.fetchrow(QUERIES["head"])
        assert row is not None
        return Head(row["position"], row["epoch"])

    async def read(self, after: int, limit: int, most_bytes: int = NO_BOUND) -> list[Recorded[bytes]]:
        """Up to `limit` events with positions after `after`, in order, and up to the one whose payload reaches
        `most_bytes` in sum. What it returns has no gaps, now or later."""
        return [Recorded(*row) for row in await self._pool.fetch(QUERIES["read"], after, limit, most_bytes)]

    async def read_stream(self, tenant: str, stream_id: UUID, after: int = 0) -> list[Recorded[bytes]]:
        """The events of a stream with versions above `after`, in order."""
        rows = await self._pool.fetch(QUERIES["read_streams"], [tenant], [stream_id], [after])
        return [Recorded(*row) for row in rows]
