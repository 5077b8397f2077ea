"""Group commit: what is appended at the same moment becomes one transaction.

A transaction costs a round trip, the head's lock and a flush to disk, whether it holds one event or a thousand. A
writer takes what waits; while it commits, the next batch gathers. Where many wait, a second writer prepares its batch
meanwhile, and has it on its way before the callers of the first hear: so PostgreSQL and this process work at the same
time. One batch at a time is written, in the order in which they were taken.
"""

from __future__ import annotations

import asyncio
import math
from collections import deque
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from itertools import islice
from time import monotonic
from typing import NamedTuple, Protocol

import asyncpg
import structlog

from shared.database.pool import PASSING, connect
from shared.database.timeline import UNTOLD, timeline_of
from shared.log.appending import Append, Appended, LogUnavailable, OtherEra, Outcome
from shared.log.availability import unfit_told_as_unavailable
from shared.log.reading import QUERIES
from shared.log.writing import Attempt, prepare, write

WRITERS = 2
_MUCH = 32
"""Callers whose waiting is worth a batch of its own while another one is being written."""
_LEAST = 1.0
"""Seconds for an attempt, however long it was waited for: it may be this process that was suspended, or busy."""
logger = structlog.get_logger(__name__)


class Observer(Protocol):
    def appended(self, *, commands: int, events: int, seconds: float) -> None:
        """One batch was committed: how many commands it held, events it wrote, and how long it took."""
        ...


class _Standing(NamedTuple):
    """Which log a session is with, and how far that has come."""

    position: int
    epoch: int
    timeline: int | None
    """PostgreSQL's own; None where it does not tell."""


class _Waiting:
    """Appends that were submitted together."""

    __slots__ = ("appends", "done", "events", "since")

    def __init__(self, appends: Sequence[Append], done: asyncio.Future[list[Outcome]], since: float) -> None:
        self.appends, self.done, self.since = appends, done, since
        self.events = sum(len(append.events) for append in appends)


class GroupCommit:
    """The writing side of the log; one per process."""

    def __init__(self, database_url: str, *, batch: int, patience: float, observer: Observer | None) -> None:
        self._url, self._batch, self._patience, self._observer = database_url, batch, patience, observer
        self._queue: deque[_Waiting] = deque()
        self._taken = 0
        """Callers in batches that are being prepared or written."""
        self._turn = asyncio.Lock()
        """To write; given in the order in which it is asked for."""
        self._bell = asyncio.Event()
        self._closing = False
        self._connection: asyncpg.Connection[asyncpg.Record] | None = None
        self._known: _Standing | None = None
        self.era = 0
        """Rises when the log is found to have been restored to an earlier point, or taken over by a stand-by: what was
        read of it before may not be in it any more. Neither happens under a living session, so that it is looked for in
        new ones."""

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        writers = [asyncio.create_task(self._write_until_closed(), name="group commit") for _ in range(WRITERS)]
        try:
            yield
        finally:
            self._closing = True
            self._bell.set()
            await asyncio.gather(*writers)
            if self._connection is not None:
                await self._connection.close(timeout=5)

    async def submit(self, appends: Sequence[Append]) -> list[Outcome]:
        """Wait until the appends are durable or refused, in one transaction. Raises `LogUnavailable`.

        They may be decided each on what those before it would write; see `judge`. A caller that goes away takes
        nothing with it: what was submitted is written.
        """
        for append in appends:
            for event in append.events:
                if event.stream not in append.expected:
                    raise ValueError(f"no expected version for stream {event.stream}, which the append writes to")
        if self._closing:
            raise LogUnavailable("the log is being closed")
        done: asyncio.Future[list[Outcome]] = asyncio.get_running_loop().create_future()
        self._queue.append(_Waiting(appends, done, monotonic()))
        if self._is_due():
            self._bell.set()
        return await done

    async def _write_until_closed(self) -> None:
        while True:
            while self._is_due():
                await self._write_batch(self._take())
            if self._closing:  # what waits is the other writer's, which is at work
                return
            self._bell.clear()
            await self._bell.wait()

    def _is_due(self) -> bool:
        """Whether a further batch is to be taken."""
        return len(self._queue) >= (_MUCH if self._taken else 1)

    def _take(self) -> list[_Waiting]:
        """At most half of all who wait, where they are many: the others are for the other writer."""
        most = max(_MUCH, (len(self._queue) + self._taken + 1) // 2)
        batch: list[_Waiting] = []
        events = 0
        while self._queue and len(batch) < most and (not batch or events + self._queue[0].events <= self._batch):
            waiting = self._queue.popleft()
            events += waiting.events
            batch.append(waiting)
        self._taken += len(batch)
        return batch

    async def _write_batch(self, batch: list[_Waiting]) -> None:
        prepared = _prepare(batch)
        async with self._turn:
            started = monotonic()
            results = await self._written(batch, prepared)
            seconds = monotonic() - started
        self._taken -= len(batch)
        await asyncio.sleep(0)  # the batch behind goes on its way before the callers of this one are told
        outcomes: list[Outcome] = []
        for waiting, result in zip(batch, results, strict=True):
            outcomes += () if isinstance(result, Exception) else result
            if waiting.done.done():
                continue
            if isinstance(result, Exception):
                waiting.done.set_exception(result)
            else:
                waiting.done.set_result(result)
        if outcomes:
            new = [each for each in outcomes if isinstance(each, Appended) and not each.repeated]
            self._tell(commands=len(outcomes), events=sum(len(each.events) for each in new), seconds=seconds)

    def _tell(self, *, commands: int, events: int, seconds: float) -> None:
        try:
            if self._observer is not None:
                self._observer.appended(commands=commands, events=events, seconds=seconds)
        except Exception as error:
            # A writer that dies of it would leave all callers waiting.
            logger.error("the observer of appends failed", exc_info=error)

    async def _written(self, batch: list[_Waiting], prepared: Attempt | None = None) -> list[list[Outcome] | Exception]:
        """For each of the callers, the outcomes of their appends, or what they are to be told instead."""
        try:
            outcomes = await self._persist(batch, prepared)
        except LogUnavailable as error:
            return [error] * len(batch)
        except Exception as error:
            if len(batch) == 1:
                return [error]
            # Something PostgreSQL can't take, or refused before: it must hurt only the caller who brought it, and the
            # more stay together, the fewer transactions there are for everybody to wait for.
            middle = len(batch) // 2
            return [*await self._written(batch[:middle]), *await self._written(batch[middle:])]
        self._know(max((outcome.position for outcome in outcomes if isinstance(outcome, Appended)), default=0))
        left = iter(outcomes)
        return [list(islice(left, len(waiting.appends))) for waiting in batch]

    async def _persist(self, batch: list[_Waiting], prepared: Attempt | None) -> list[Outcome]:
        """Write, again and again while PostgreSQL can't: receipts and versions make repeating it safe.

        Each time in another session: this one may be with a server that is a stand-by by now.
        """
        pause = 0.02
        deadline = batch[0].since + self._patience
        appends, groups = _appends(batch)
        while True:
            try:
                with unfit_told_as_unavailable():
                    async with asyncio.timeout(max(deadline - monotonic(), _LEAST)):
                        if self._connection is None or self._connection.is_closed():
                            self._connection = await self._connect()
                        if any(append.era not in (None, self.era) for append in appends):
                            raise OtherEra("the log was restored, or has another server, since this was decided")
                        return await write(self._connection, appends, groups, prepared)
            except PASSING as error:
                await self._forget_connection()
                if monotonic() + pause > deadline:
                    raise LogUnavailable(f"PostgreSQL did not write for {self._patience:g} s: {error!r}") from error
                logger.warning("append waits for postgresql", error=repr(error), commands=len(appends))
                await asyncio.sleep(pause)
                pause = min(pause * 2, 1.0)

    async def _connect(self) -> asyncpg.Connection[asyncpg.Record]:
        """A session that has looked whether the log was restored. Raises what asyncpg raises."""
        # Who gives up while the head is held leaves a session behind that waits for it, and notices nothing else: where
        # nobody ended those, they would use up all connections that the server has.
        settings = {"lock_timeout": f"{math.ceil(self._patience * 1000)}ms"}
        connection = await connect(self._url, command_timeout=self._patience, server_settings=settings)
        try:
            self._look_for_restore(await _standing(connection))
        except BaseException:
            connection.terminate()
            raise
        return connection

    def _look_for_restore(self, now: _Standing) -> None:
        before = self._known
        # A stand-by that has taken over may have lost what could be read, and may be further by now all the same.
        if before is not None and (now.position < before.position or now[1:] != before[1:]):
            self.era += 1
            logger.warning("the log was restored, or has another server", before=before, now=now)
        self._known = now

    def _know(self, position: int) -> None:
        if self._known is not None and position > self._known.position:
            self._known = self._known._replace(position=position)

    async def _forget_connection(self) -> None:
        if self._connection is not None:
            with suppress(Exception):
                self._connection.terminate()
            self._connection = None


async def _standing(connection: asyncpg.Connection[asyncpg.Record]) -> _Standing:
    row = await connection.fetchrow(QUERIES["head"])
    assert row is not None
    try:
        timeline = await timeline_of(connection)
    except UNTOLD:
        timeline = None
    return _Standing(row["position"], row["epoch"], timeline)


def _appends(batch: list[_Waiting]) -> tuple[list[Append], list[int]]:
    """All appends of a batch, and for each the number of the caller who submitted it."""
    appends = [append for waiting in batch for append in waiting.appends]
    return appends, [group for group, waiting in enumerate(batch) for _ in waiting.appends]


def _prepare(batch: list[_Waiting]) -> Attempt | None:
    """None for what can't be: whose fault that is, writing finds out."""
    with suppress(Exception):
        return prepare(*_appends(batch))
    return None
