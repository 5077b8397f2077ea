"""The log: durable appends in one dense order, reads by position and by stream."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID

import asyncpg

from shared.envelope import Recorded
from shared.log.appending import Append, Appended, Head, Outcome, Receipt
from shared.log.group_commit import GroupCommit, Observer
from shared.log.writing import QUERIES, find_receipts, first_answers, write

NOTIFY_CHANNEL = "kithlog_log"
"""PostgreSQL channel on which each committed batch announces the log's head."""


class Log:
    """Appends are coalesced into one transaction at a time (group commit); reads go through the pool.

    Open it with `Log.open(pool, url)`: the writing side has one connection of its own.
    """

    def __init__(self, pool: asyncpg.Pool[asyncpg.Record], group: GroupCommit) -> None:
        self._pool, self._group = pool, group

    @classmethod
    @asynccontextmanager
    async def open(
        cls,
        pool: asyncpg.Pool[asyncpg.Record],
        database_url: str,
        *,
        batch: int = 1000,
        patience: float = 10.0,
        observer: Observer | None = None,
    ) -> AsyncIterator[Log]:
        """A log whose appends wait up to `patience` seconds for PostgreSQL. On leaving, what waits is written first."""
        group = GroupCommit(database_url, batch=batch, patience=patience, observer=observer)
        async with group.running():
            yield cls(pool, group)

    async def append(self, append: Append) -> Appended:
        """Write one command's events, together with what others append at the same moment.

        Raises `WrongVersion`, `KeyReused`, `LogUnavailable`.
        """
        outcome = await self._group.submit(append)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    async def append_all(self, appends: Sequence[Append]) -> list[Outcome]:
        """Write many in their order, each judged on its own. Raises `LogUnavailable`."""
        return list(await asyncio.gather(*(self._group.submit(append) for append in appends)))

    @staticmethod
    async def append_within(
        connection: asyncpg.Connection[asyncpg.Record] | Any, appends: Sequence[Append]
    ) -> list[Outcome]:
        """Write inside the caller's transaction. It must be the transaction's last act: all appends wait for it."""
        return await write(connection, appends)

    async def head(self) -> Head:
        row = await self._pool.fetchrow(QUERIES["head"])
        assert row is not None
        return Head(row["position"], row["epoch"])

    async def read(self, after: int, limit: int) -> list[Recorded[bytes]]:
        """Up to `limit` events with positions after `after`, in order. What it returns has no gaps, now or later."""
        return [Recorded(*row) for row in await self._pool.fetch(QUERIES["read"], after, limit)]

    async def read_stream(self, tenant: str, stream_id: UUID, after: int = 0) -> list[Recorded[bytes]]:
        """The events of a stream with versions above `after`, in order."""
        rows = await self._pool.fetch(QUERIES["read_streams"], [tenant], [stream_id], [after])
        return [Recorded(*row) for row in rows]

    async def read_streams(self, tenants: Sequence[str], stream_ids: Sequence[UUID]) -> list[Recorded[bytes]]:
        """All events of several streams, by tenant, stream and version."""
        rows = await self._pool.fetch(QUERIES["read_streams"], tenants, stream_ids, [0] * len(stream_ids))
        return [Recorded(*row) for row in rows]

    async def receipts(self, commands: Sequence[tuple[str, UUID]]) -> dict[tuple[str, UUID], Receipt]:
        """The receipts of those (tenant, command id) that were answered before."""
        return await find_receipts(self._pool, commands)

    async def first_answers(self, receipts: Sequence[tuple[UUID, Receipt]]) -> list[Appended]:
        """The first answers to repeated commands, by command id and receipt."""
        return await first_answers(self._pool, receipts)
