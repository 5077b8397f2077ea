"""The log: durable appends in one dense order, reads by position and by stream."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import astuple
from typing import Any, TypeVar
from uuid import UUID

import asyncpg

from shared.database.pool import persist, session_of
from shared.envelope import Recorded
from shared.log.appending import Append, Appended, KeptRefusal, Known, LogUnavailable, Outcome
from shared.log.availability import unfit_told_as_unavailable
from shared.log.group_commit import GroupCommit, Observer
from shared.log.reading import QUERIES as READING
from shared.log.reading import ReadableLog
from shared.log.writing import QUERIES, find_receipts, first_answers, write

T = TypeVar("T")
Session = Any
"""A connection of the pool, which is none by its type."""


class Log(ReadableLog):
    """Appends are coalesced into one transaction at a time (group commit); reads go through the pool.

    Open it with `Log.open(pool, url)`: the writing side has one connection of its own.
    """

    def __init__(self, pool: asyncpg.Pool[asyncpg.Record], group: GroupCommit, *, patience: float) -> None:
        super().__init__(pool)
        self._group, self._patience = group, patience

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
        """A log whose appends, and the reads for them, wait up to `patience` seconds for PostgreSQL.

        On leaving, what waits is written first.
        """
        group = GroupCommit(database_url, batch=batch, patience=patience, observer=observer)
        async with group.running():
            yield cls(pool, group, patience=patience)

    @property
    def era(self) -> int:
        """Rises when the log was restored to an earlier point, or taken over by a stand-by, while it was open."""
        return self._group.era

    async def append(self, append: Append) -> Appended:
        """Write one command's events, together with what others append at the same moment.

        Raises `WrongVersion`, `KeyReused`, `RefusedBefore`, `LogUnavailable`.
        """
        [outcome] = await self._group.submit([append])
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    async def append_all(self, appends: Sequence[Append]) -> list[Outcome]:
        """Write many in their order, each judged on its own. Raises `RefusedBefore`, `LogUnavailable`."""
        submitted = await asyncio.gather(*(self._group.submit([append]) for append in appends))
        return [outcome for [outcome] in submitted]

    async def append_chain(self, appends: Sequence[Append]) -> list[Outcome]:
        """Write many in their order, each decided on what those before it would write, in one transaction.

        One that rests on another which is not written is refused with `WrongVersion`, too. Raises `LogUnavailable`, and
        `RefusedBefore` when that is true of one of them: then none is written.
        """
        return await self._group.submit(appends) if appends else []

    @staticmethod
    async def append_within(
        connection: asyncpg.Connection[asyncpg.Record] | Any, appends: Sequence[Append]
    ) -> list[Outcome]:
        """Write inside the caller's transaction. It must be the transaction's last act: all appends wait for it."""
        return await write(connection, appends)

    async def read_replicated(self, after: int, limit: int, most_bytes: int) -> list[Recorded[bytes]]:
        """As `read`, and returns when a synchronous stand-by, where there is one, has what was read.

        What is told to others must not be lost by a fail-over: the positions would be given out again, to other events.
        PostgreSQL shows what no stand-by has after a crash, and when it ends a session that waits. Raises
        `LogUnavailable` where it takes too long, and what asyncpg raises: whoever tells others has a lead to lose
        meanwhile, and is to look first whether it still has it.
        """
        rows = await self._in_time(
            lambda: self._in_session(
                lambda session: session.fetch(READING["read_replicated"], after, limit, most_bytes)
            )
        )
        return [Recorded(*row) for row in rows]

    async def read_streams(self, tenants: Sequence[str], stream_ids: Sequence[UUID]) -> list[Recorded[bytes]]:
        """All events of several streams, by tenant, stream and version. Raises `LogUnavailable`."""
        versions = [0] * len(stream_ids)
        query = READING["read_streams"]
        rows = await self._patiently(lambda session: session.fetch(query, tenants, stream_ids, versions))
        return [Recorded(*row) for row in rows]

    async def known(self, commands: Sequence[tuple[str, UUID]]) -> Known:
        """What is kept of those (tenant, command id) that came before, as durable as what is appended: see `confirm`.

        All in one session: confirming it on a server that has taken over meanwhile would say nothing of what the one
        before it has shown. Raises `LogUnavailable`.
        """
        return await self._patiently(lambda session: self._known(session, commands))

    @staticmethod
    async def _known(session: Session, commands: Sequence[tuple[str, UUID]]) -> Known:
        receipts = await find_receipts(session, commands)
        keys = [tenant for tenant, _ in commands], [id for _, id in commands]
        refusals = [KeptRefusal(*row) for row in await session.fetch(QUERIES["refusals"], *keys)]
        if not receipts and not refusals:
            return Known({}, {}, [])
        answers = await first_answers(session, [(id, receipt) for (_, id), receipt in receipts.items()])
        await session.execute(QUERIES["confirm"])
        return Known(receipts, dict(zip(receipts, answers, strict=True)), refusals)

    async def confirm(self) -> int:
        """The last position, when all that could be read before is as durable as what is appended, on stand-bys, too.

        After a crash PostgreSQL shows what it had committed by itself and no synchronous stand-by has yet: a fail-over
        would lose it. Raises `LogUnavailable`, and what asyncpg raises where nothing can be written.
        """
        position: int = await self._patiently(lambda session: session.fetchval(QUERIES["confirm"]))
        return position

    async def refuse(self, refusals: Sequence[KeptRefusal]) -> list[KeptRefusal]:
        """Keep refusals, durably; the first of each command stands, and is answered.

        None is for a command that has a receipt: it was accepted. Raises `LogUnavailable`.
        """
        columns = [list(column) for column in zip(*map(astuple, refusals), strict=True)]
        rows = await self._patiently(lambda session: session.fetch(QUERIES["refuse"], *columns))
        return [KeptRefusal(*row) for row in rows]

    async def _patiently(self, read: Callable[[Session], Awaitable[T]]) -> T:
        """What a command has to read waits for PostgreSQL as its append does."""
        with unfit_told_as_unavailable():
            return await self._in_time(lambda: persist("log", lambda: self._in_session(read)))

    async def _in_time(self, attempt: Callable[[], Awaitable[T]]) -> T:
        try:
            async with asyncio.timeout(self._patience):
                return await attempt()
        except TimeoutError as error:
            raise LogUnavailable(f"PostgreSQL did not answer for {self._patience:g} s") from error

    async def _in_session(self, read: Callable[[Session], Awaitable[T]]) -> T:
        try:
            async with session_of(self._pool) as session:
                return await read(session)
        except asyncpg.ReadOnlySQLTransactionError:
            # The pool's sessions may all be with a server that is a stand-by by now, and would stay.
            await self._pool.expire_connections()
            raise
