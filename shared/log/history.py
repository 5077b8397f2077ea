"""The log page by page for readers who want a part of it, and have to know that they got all of that part."""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

import asyncpg

from shared.database.pool import session_of
from shared.database.queries import load_queries
from shared.envelope import Recorded
from shared.log.appending import Head

QUERIES = load_queries("shared.log", "history.sql")

WINDOW = 20_000
"""Positions looked through for one page, so that a filter that matches little does not hold up the database."""
MOST_BYTES = 1024 * 1024
"""A page ends with the event whose payload reaches this sum."""
PATIENCE = 10.0
"""Seconds to wait for PostgreSQL."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which events: those of a tenant, of some types or whole categories. By default all."""

    tenant: str | None = None
    types: Collection[str] | None = None
    categories: Collection[str] = ()


@dataclass(frozen=True, slots=True)
class HistoryPage:
    """Every event that was wanted, up to `position`; nothing can come in between any more."""

    events: list[Recorded[bytes]]
    position: int
    """The last position that was looked at, which need not be that of an event here."""
    head: Head
    """Where the log ended at that moment."""
    now: datetime
    """What the log's clock said then."""


class History:
    """Reads through the pool; one page is one statement, and its connection is free again before it is used.

    Where PostgreSQL commits to a synchronous stand-by, a page tells of nothing that this does not have.
    """

    def __init__(self, pool: asyncpg.Pool[asyncpg.Record]) -> None:
        self._pool = pool
        self._turn = asyncio.Lock()
        self._asked = self._safe = 0
        self._server: datetime | None = None
        """The one that a stand-by followed last."""

    async def page(self, after: int, limit: int, wanted: Wanted = Wanted()) -> HistoryPage:
        """Up to `limit` of the wanted events after a position.

        It may hold fewer, or none, although more follow: only `position` tells how far it goes. Raises what asyncpg
        raises while PostgreSQL is away, and `TimeoutError`, also while its stand-by is.
        """
        types = None if wanted.types is None else list(wanted.types)
        async with asyncio.timeout(PATIENCE):
            async with session_of(self._pool) as session:
                rows = await session.fetch(
                    QUERIES["page"], after, limit, WINDOW, MOST_BYTES, wanted.tenant, types, list(wanted.categories)
                )
            # Or a fail-over could put other events where the reader has been already.
            if rows[0]["head"] > after and await self._await_stand_by() != rows[0]["server"]:
                await self._pool.expire_connections()
                raise ConnectionError("another server has taken over, which need not have what this page tells of")
        head = Head(rows[0]["head"], rows[0]["timeline"])
        events = [Recorded(*row[5:]) for row in rows if row["position"] is not None]
        cut = bool(events) and (len(events) == limit or len(events) < rows[0]["found"])
        position = events[-1].position if cut else max(after, min(after + WINDOW, head.position))
        return HistoryPage(events, position, head, rows[0]["now"])

    async def fork(self, after: int, epoch: int) -> int:
        """The last position, up to `after`, whose event is of that epoch or an earlier one: up to there the log is what
        it was for readers in that epoch. Raises what `page` raises.
        """
        async with asyncio.timeout(PATIENCE), session_of(self._pool) as session:
            found: int = await session.fetchval(QUERIES["fork"], after, epoch)
        return found

    async def _await_stand_by(self) -> datetime | None:
        """Answers which server's stand-by has all that was shown by that one before.

        One at a time, for all who have read by then: else readers who wait for it would keep queries waiting.
        """
        self._asked += 1
        asked = self._asked
        async with self._turn:
            if self._safe < asked:
                so_far = self._asked
                async with session_of(self._pool) as session:
                    self._server = await session.fetchval(QUERIES["await_stand_by"])
                self._safe = so_far
            return self._server
