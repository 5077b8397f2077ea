"""Firing: what is due becomes an event of the log, once, or waits, or is ended with a reason.

One transaction a batch: claim due timers with the checkpoint as of which they are known, judge them, hold the log's
head, leave those out whose streams hold something that is not folded yet, append, and delete. Whatever crashes when,
either all of that happened or nothing did; and should a timer ever come back, version 1 of its notification's stream is
taken. While one batch is concluded, its reading done, the next is claimed and judged, in a transaction of its own.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import cycle
from time import monotonic
from typing import TYPE_CHECKING, Any, Protocol
from uuid import UUID

import structlog

from services.projector.firing.guarding import Ahead, Waiting, needless, waiting
from services.projector.firing.verdicts import Addressee, Claimed, Verdict, counted, judge
from services.projector.live.alarm import Alarm
from services.projector.storing.connecting import BY_KEYS, two_connections
from shared.database.pool import is_away
from shared.database.queries import columns, load_queries
from shared.log import Log, WrongVersion
from shared.operations.pauses import Pauses
from shared.operations.supervision import Stopped, unless_stopped
from shared.operations.waits import first_of
from shared.timing.policies import Policies
from shared.timing.recipient import Recipient

if TYPE_CHECKING:
    import asyncpg
    from asyncpg.transaction import Transaction

    Connection = asyncpg.Connection[asyncpg.Record]

QUERIES = load_queries("services.projector.firing", "firing.sql")
SETTINGS = {
    **BY_KEYS,
    # A process that is stopped in the middle holds the log's head: the server ends that for it.
    "idle_in_transaction_session_timeout": "5s",
}
BATCH = 200
POLL_INTERVAL = 1.0
LONGEST_PAUSE = 5.0
_AT_ONCE = 10
"""Timers judged in one stretch: a batch that holds the log's head must not wait long for the next to be judged."""
_FIRST = (datetime.min.replace(tzinfo=UTC), UUID(int=0))
logger = structlog.get_logger(__name__)


@dataclass(slots=True)
class Fired:
    """What one pass came to."""

    due: int = 0
    """Appended as `notification.due`."""
    ended: int = 0
    """Appended as `notification.withdrawn`, whatever the reason."""
    deferred: int = 0
    held: int = 0
    """Left for later: something on their streams is not folded yet."""
    settled_before: int = 0
    """Were in the log already."""
    positions: list[int] = field(default_factory=list)
    """Of what was appended."""


class FiringObserver(Protocol):
    """Hears what becomes of timers; for metrics."""

    def settled(self, policy: str, outcome: str, late: float | None) -> None:
        """`late`: seconds from due to fired, for what fell due."""
        ...


class Unobserved:
    def settled(self, policy: str, outcome: str, late: float | None) -> None: ...


class Firing:
    """`run` it in as many processes as you like: each timer ends once."""

    def __init__(
        self,
        database_url: str,
        policies: Policies,
        *,
        batch: int = BATCH,
        poll_interval: float = POLL_INTERVAL,
        alarm: Alarm | None = None,
        observer: FiringObserver | None = None,
    ) -> None:
        """`batch`: most timers in one transaction; `poll_interval`: seconds between looks when nothing rings."""
        self._database_url, self._policies = database_url, policies
        self._batch, self._poll_interval = batch, poll_interval
        self._alarm, self._observer = alarm or Alarm(), observer or Unobserved()

    @asynccontextmanager
    async def session(self) -> AsyncIterator[FiringSession]:
        """Connections to fire with: `async with firing.session() as session: await session.run_once()`."""
        async with two_connections(self._database_url, SETTINGS) as connections:
            yield FiringSession(connections, self._policies, self._batch, self._alarm, self._observer)

    async def run(self, stop: asyncio.Event) -> None:
        """Fire what falls due until `stop` is set. Waits while PostgreSQL is away."""
        pauses = Pauses(LONGEST_PAUSE)
        while not stop.is_set():
            pauses.attempt()
            try:
                async with AsyncExitStack() as stack:
                    session = await unless_stopped(stop, stack.enter_async_context(self.session()))
                    await self._work(session, stop)
            except Stopped:
                return
            except Exception as error:
                if not is_away(error):
                    raise
                pause = pauses.next()
                logger.warning("firing begins again", error=repr(error), pause=pause)
                with suppress(TimeoutError):
                    await asyncio.wait_for(stop.wait(), pause)

    async def _work(self, session: FiringSession, stop: asyncio.Event) -> None:
        async def end() -> None:
            await stop.wait()
            session.stopping = True
            self._alarm.ring()

        ending = asyncio.create_task(end())
        try:
            while not stop.is_set():
                now = await session.now()
                # Set before looking, so that what is written meanwhile is not missed. What is due later than the
                # next look is found by that.
                self._alarm.set(now + timedelta(seconds=self._poll_interval))
                began = monotonic()
                fired = await session.run_once(now)
                if fired.held:
                    if session.too_far:
                        # All that others may have made needless waits for the fold, page by page, and each pass over
                        # it keeps the fold from its work: no more than half of the time.
                        await first_of(stop.wait(), timeout=min(monotonic() - began, self._poll_interval))
                    self._alarm.want_moves()
                left = await session.seconds_to_next(now, self._poll_interval)
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._alarm.wait(), left)
        finally:
            ending.cancel()


@dataclass(frozen=True, slots=True)
class Batch:
    """Due timers, locked by a transaction that is under way, and what is to become of them."""

    connection: Connection
    transaction: Transaction
    verdicts: list[Verdict]
    next: tuple[datetime, UUID] | None
    """Where the batch after it begins; None: it is the last."""


class FiringSession:
    """Fires over two connections until one fails."""

    def __init__(
        self,
        connections: Sequence[Connection],
        policies: Policies,
        batch: int,
        alarm: Alarm,
        observer: FiringObserver,
    ) -> None:
        self._connections, self._policies, self._batch = connections, policies, batch
        self._alarm, self._observer = alarm, observer
        self._ahead = Ahead()
        self.stopping = False
        """Set it to end a pass with the batch in hand."""

    @property
    def too_far(self) -> bool:
        """Whether the fold was too far behind in the last pass to say what its rest concerns."""
        return self._ahead.too_far

    async def now(self) -> datetime:
        """By the one clock of firing, the database's."""
        now: datetime = await self._connections[0].fetchval(QUERIES["now"])
        return now

    async def seconds_to_next(self, after: datetime, most: float) -> float:
        """Until the next timer falls due that was not due at `after`, but at most `most`."""
        left: float | None = await self._connections[0].fetchval(QUERIES["seconds_to_next"], after)
        return most if left is None else min(most, max(0.0, left))

    async def run_once(self, now: datetime | None = None) -> Fired:
        """One pass over all that is due at `now`, batch by batch, in the order of due times."""
        now = now or await self.now()
        fired = Fired()
        connections = cycle(self._connections)
        place: tuple[datetime, UUID] | None = _FIRST
        concluding: asyncio.Task[None] | None = None
        try:
            while place is not None:
                batch = await self._claim(next(connections), now, place)
                if concluding is not None:
                    await concluding
                    concluding = None
                if self.stopping:
                    await batch.transaction.rollback()
                    break
                near = asyncio.Event()
                concluding = asyncio.create_task(self._conclude(batch, fired, near))
                place = batch.next
                # Or what the next batch locks would wait for others' turns, too, and for what this one has to read:
                # longer, where all is slow, than the server lets a transaction be idle.
                await near.wait()
        finally:
            if concluding is not None:
                await concluding
        return fired

    async def _claim(self, connection: Connection, now: datetime, place: tuple[datetime, UUID]) -> Batch:
        transaction = connection.transaction()
        await transaction.start()
        locked = await connection.fetch(QUERIES["lock"], now, *place, self._batch)
        ids = [row["tenant"] for row in locked], [row["id"] for row in locked]
        rows = await connection.fetch(QUERIES["claim"], *ids, self._policies.fingerprint) if locked else []
        claimed = [Claimed(*row) for row in rows]
        last = (locked[-1]["due_at"], locked[-1]["id"]) if claimed and len(locked) == self._batch else None
        recipients: dict[str | None, Recipient | None] = {None: None}
        verdicts: list[Verdict] = []
        for first in range(0, len(claimed), _AT_ONCE):
            verdicts += judge(claimed[first : first + _AT_ONCE], self._policies, recipients)
            await asyncio.sleep(0)
        return Batch(connection, transaction, verdicts, last)

    async def _conclude(self, batch: Batch, fired: Fired, near: asyncio.Event) -> None:
        """Everything that others must not do at the same time, and commit. Sets `near` once only what is done with the
        log's head in hand is left, or it has failed.

        Raises what asyncpg raises while PostgreSQL is away.
        """
        connection = batch.connection
        wanted = [verdict for verdict in batch.verdicts if verdict.append is not None]
        try:
            if batch.verdicts:
                await connection.execute(QUERIES["take_turn"])
            times = await self._told(connection, wanted)
            parked = await self._approach(connection, wanted) if wanted else None
        finally:
            near.set()
        try:
            unmoved = [] if parked is None else await self._unmoved(connection, wanted, parked)
            judged = counted(unmoved, times)
            ready = [verdict for verdict in judged if verdict.append is not None]
            deferred = [verdict for verdict in (*batch.verdicts, *judged) if verdict.until is not None]
            if ready or deferred:
                await self._settle(connection, ready, deferred, times)
            appends = [verdict.append for verdict in ready if verdict.append is not None]
            outcomes = await Log.append_within(connection, appends) if appends else []
            await batch.transaction.commit()
        finally:
            self._alarm.let_go()
        fired.held += len(wanted) - len(unmoved)
        fired.deferred += len(deferred)
        for verdict, outcome in zip(ready, outcomes, strict=True):
            self._count(verdict, outcome, fired)
        for verdict in deferred:
            self._observer.settled(verdict.policy, verdict.outcome, None)

    async def _told(self, connection: Connection, verdicts: Sequence[Verdict]) -> dict[Addressee, int]:
        """How often their addressees were told today, of those who were."""
        asked = list(dict.fromkeys(verdict.tells for verdict in verdicts if verdict.tells is not None))
        if not asked:
            return {}
        rows = await connection.fetch(QUERIES["told"], *columns(asked, 3))
        return {Addressee(row["tenant"], row["id"], row["since"]): row["times"] for row in rows}

    async def _approach(self, connection: Connection, verdicts: Sequence[Verdict]) -> Waiting:
        """Read before the head is held what can be."""
        claimed = [verdict.claimed for verdict in verdicts]
        parked = await waiting(connection, claimed)
        await self._ahead.approach(connection, claimed[0].checkpoint)
        return parked

    async def _unmoved(self, connection: Connection, verdicts: Sequence[Verdict], parked: Waiting) -> list[Verdict]:
        """Hold the log's head, so that the fold gives way, and leave out those that events not folded yet may have made
        needless."""
        claimed = [verdict.claimed for verdict in verdicts]
        known = claimed[0]
        self._alarm.hold()
        head = await connection.fetchrow(QUERIES["lock_head"])
        assert head is not None
        if head["epoch"] != known.epoch or head["position"] < known.checkpoint:
            return []
        held = await needless(connection, claimed, head["position"], parked, self._ahead)
        return [verdict for place, verdict in enumerate(verdicts) if place not in held]

    async def _settle(
        self,
        connection: Connection,
        settled: Sequence[Verdict],
        deferred: Sequence[Verdict],
        times: dict[Addressee, int],
    ) -> None:
        # One row for each, whatever day is theirs by now.
        told = {one.tells[:2]: (one.tells, times[one.tells]) for one in settled if one.tells is not None}
        await connection.execute(
            QUERIES["conclude"],
            *columns([(one.claimed.tenant, one.claimed.id) for one in settled], 2),
            *columns([(one.claimed.tenant, one.claimed.id, one.until) for one in deferred], 3),
            *columns([(*addressee, often) for addressee, often in told.values()], 4),
        )

    def _count(self, verdict: Verdict, outcome: Any, fired: Fired) -> None:
        if isinstance(outcome, WrongVersion):
            fired.settled_before += 1
            return
        fired.positions.append(outcome.position)
        late = None
        if verdict.outcome == "due":
            fired.due += 1
            late = (verdict.claimed.now - verdict.claimed.due_at).total_seconds()
        else:
            fired.ended += 1
        self._observer.settled(verdict.policy, verdict.outcome, late)
