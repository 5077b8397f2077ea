"""Where a consumer's mark is kept: best of all in the transaction that its handler writes in.

Then an event takes effect exactly once: effect and mark are committed together or not at all. With `MemoryStore` and
`FileStore` they are not, and a handler may see an event again after a crash.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

from shared.client.failures import HandlerFailed, Stale
from shared.client.mark import Mark

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


class Unit(Protocol[T_co]):
    """One unit of work."""

    @property
    def within(self) -> T_co:
        """What handlers are given to write with, such as a connection in a transaction."""
        ...

    async def save(self, mark: Mark) -> None:
        """Keep `mark` if the kept one is the one before (`saves` - 1). Raises `Stale` otherwise."""
        ...


class PositionStore(Protocol[T_co]):
    """Keeps the mark of one consumer. Both raise whatever the store's own failures are, or `Unavailable`."""

    async def load(self) -> Mark | None: ...

    def unit(self) -> AbstractAsyncContextManager[Unit[T_co]]:
        """Commits at its end, and undoes everything when left by an exception.

        Raises `HandlerFailed` when it can't be committed for what a handler has written, which no waiting mends.
        """
        ...


@dataclass(frozen=True, slots=True)
class _Unit(Generic[T]):
    within: T
    keep: Callable[[Mark], Any]

    async def save(self, mark: Mark) -> None:
        kept = self.keep(mark)
        if kept is not None:
            await kept


class MemoryStore:
    """For tests, and for consumers that begin anew with each start."""

    def __init__(self, mark: Mark | None = None) -> None:
        self.mark = mark

    async def load(self) -> Mark | None:
        return self.mark

    @asynccontextmanager
    async def unit(self) -> AsyncIterator[Unit[None]]:
        yield _Unit(None, self._keep)

    def _keep(self, mark: Mark) -> None:
        _check(self.mark, mark)
        self.mark = mark


class FileStore:
    """A file, replaced at each save and on disk when that returns. For one process at a time, which it sees to."""

    def __init__(self, path: Path) -> None:
        """Raises `BlockingIOError` when another process has the file."""
        self._path = path
        self._lock = path.with_name(f"{path.name}.lock").open("w")
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            self._lock.close()
            raise BlockingIOError(error.errno, "another process has it", str(path)) from None
        self._mark = Mark.from_json(json.loads(path.read_bytes())) if path.exists() else None

    def close(self) -> None:
        self._lock.close()

    async def load(self) -> Mark | None:
        return self._mark

    @asynccontextmanager
    async def unit(self) -> AsyncIterator[Unit[None]]:
        yield _Unit(None, self._keep)

    def _keep(self, mark: Mark) -> None:
        _check(self._mark, mark)
        fresh = self._path.with_name(f"{self._path.name}.new")
        with fresh.open("w") as file:
            json.dump(mark.to_json(), file)
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(self._path)
        folder = os.open(self._path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)  # else a power cut could undo the replacement
        finally:
            os.close(folder)
        self._mark = mark


OF_A_HANDLER = ("25P02", "22", "23", "P0")
"""SQLSTATEs, or their classes, that a handler brings about although it returned: it went on after an error that had
aborted the transaction, or broke a rule that is not checked before the commit (a constraint, or a trigger's)."""


class PostgresStore:
    """A row of a table in the handler's own database. Handlers get the connection, in its transaction.

    `pool` is an `asyncpg.Pool`, which is not imported here, so that nobody needs it who keeps the mark elsewhere.
    """

    TABLE = "CREATE TABLE IF NOT EXISTS consumer_mark (consumer text PRIMARY KEY, saves bigint NOT NULL, mark text)"
    _LOAD = "SELECT mark FROM consumer_mark WHERE consumer = $1"
    # What is left to do is to commit: a process that is frozen there must not keep the mark from who takes over.
    _COMMIT_SOON = "RETURNING set_config('idle_in_transaction_session_timeout', '10s', true)"
    _INSERT = f"INSERT INTO consumer_mark VALUES ($1, $2, $3) ON CONFLICT DO NOTHING {_COMMIT_SOON}"
    _UPDATE = f"UPDATE consumer_mark SET saves = $2, mark = $3 WHERE consumer = $1 AND saves = $2 - 1 {_COMMIT_SOON}"

    def __init__(self, pool: Any, consumer: str) -> None:
        """The table must be there: `TABLE` makes it."""
        self._pool, self._consumer = pool, consumer

    async def load(self) -> Mark | None:
        kept = await self._pool.fetchval(self._LOAD, self._consumer)
        return None if kept is None else Mark.from_json(json.loads(kept))

    @asynccontextmanager
    async def unit(self) -> AsyncIterator[Unit[Any]]:
        async with self._pool.acquire() as connection:

            async def keep(mark: Mark) -> None:
                statement = self._INSERT if mark.saves == 1 else self._UPDATE
                done = await connection.execute(statement, self._consumer, mark.saves, json.dumps(mark.to_json()))
                if not done.endswith(" 1"):
                    raise Stale

            try:
                async with connection.transaction():
                    yield _Unit(connection, keep)
            except Exception as error:
                if str(getattr(error, "sqlstate", "")).startswith(OF_A_HANDLER):
                    raise HandlerFailed(error) from error
                raise


def _check(kept: Mark | None, mark: Mark) -> None:
    if mark.saves != (kept.saves if kept else 0) + 1:
        raise Stale
