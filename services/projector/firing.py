"""Firing: what is due becomes an event of the log, once, or waits, or is ended with a reason.

One transaction a batch: claim due timers with the checkpoint as of which they are known, judge them, hold the log's
head, leave those out whose streams hold something that is not folded yet, append, and delete. Whatever crashes when,
either all of that happened or nothing did; and should a timer ever come back, version 1 of its notification's stream is
taken.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from time import monotonic
from typing import TYPE_CHECKING, Any, Protocol
from uuid import UUID

import structlog

from services.projector.alarm import Alarm
from services.projector.guarding import needless
from services.projector.session import is_away
from services.projector.verdicts import Claimed, Verdict, judge
from shared.database.pool import connect, persist
from shared.database.queries import load_queries
from shared.log import Log, WrongVersion
from shared.timing.policies import Policies

if TYPE_CHECKING:
    import asyncpg

    Connection = asyncpg.Connection[asyncpg.Record]

QUERIES = load_queries("services.projector", "firing.sql")
SETTINGS = {
    # A process that is stopped in the middle holds the log's head: the server ends that for it.
    "idle_in_transaction_session_timeout": "5s",
    "plan_cache_mode": "force_generic_plan",
    "enable_seqscan": "off",
    "jit": "off",
}
BATCH = 200
POLL_INTERVAL = 1.0
LONGEST_PAUSE = 5.0
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
        """A connection to fire with: `async with firing.session() as session: await session.run_once()`."""
        connection: Connection = await persist(
            "postgresql", lambda: connect(self._database_url, server_settings=SETTINGS, command_timeout=60)
        )
        try:
            yield FiringSession(connection, self._policies, self._batch, self._observer)
        finally:
            connection.terminate()

    async def run(self, stop: asyncio.Event) -> None:
        """Fire what falls due until `stop` is set. Waits while PostgreSQL is away."""
        pause = 0.05
        while not stop.is_set():
            began = monotonic()
            try:
                async with self.session() as session:
                    await self._work(session, stop)
            except Exception as error:
                if not is_away(error):
                    raise
                pause = 0.05 if monotonic() - began > LONGEST_PAUSE else min(pause * 2, LONGEST_PAUSE)
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
                fired = await session.run_once(now)
                if fired.held:
                    self._alarm.want_moves()
                left = await session.seconds_to_next(now, self._poll_interval)
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._alarm.wait(), left)
        finally:
            ending.cancel()


class FiringSession:
    """Fires over one connection until that fails."""

    def __init__(self, connection: Connection, policies: Policies, batch: int, observer: FiringObserver) -> None:
        self._connection, self._policies, self._batch, self._observer = connection, policies, batch, observer
        self.stopping = False
        """Set it to end a pass with the batch in hand."""

    async def now(self) -> datetime:
        """By the one clock of firing, the database's."""
        now: datetime = await self._connection.fetchval(QUERIES["now"])
        return now

    async def seconds_to_next(self, after: datetime, most: float) -> float:
        """Until the next timer falls due that was not due at `after`, but at most `most`."""
        left: float | None = await self._connection.fetchval(QUERIES["seconds_to_next"], after)
        return most if left is None else min(most, max(0.0, left))

    async def run_once(self, now: datetime | None = None) -> Fired:
        """One pass over all that is due at `now`, batch by batch, in the order of due times."""
        now = now or await self.now()
        fired = Fired()
        place: tuple[datetime, UUID] | None = _FIRST
        while place is not None and not self.stopping:
            place = await self._fire_batch(now, place, fired)
        return fired

    async def _fire_batch(
        self, now: datetime, place: tuple[datetime, UUID], fired: Fired
    ) -> tuple[datetime, UUID] | None:
        """One transaction; answers where the next begins, None after the last."""
        async with self._connection.transaction():
            await self._connection.execute(QUERIES["take_turn"])
            rows = await self._connection.fetch(QUERIES["claim"], now, *place, self._batch)
            if not rows:
                return None
            batch = [Claimed(*row) for row in rows]
            verdicts = judge(batch, now, self._policies)
            wanted = [verdict for verdict in verdicts if verdict.append is not None]
            deferred = [verdict for verdict in verdicts if verdict.until is not None]
            ready = await self._unmoved(wanted) if wanted else []
            await self._conclude(ready, deferred)
            outcomes = (
                await Log.append_within(
                    self._connection, [verdict.append for verdict in ready if verdict.append is not None]
                )
                if ready
                else []
            )
        fired.held += len(wanted) - len(ready)
        fired.deferred += len(deferred)
        for verdict, outcome in zip(ready, outcomes, strict=True):
            self._count(verdict, outcome, now, fired)
        for verdict in deferred:
            self._observer.settled(verdict.policy, verdict.outcome, None)
        return (batch[-1].due_at, batch[-1].id) if len(batch) == self._batch else None

    async def _unmoved(self, verdicts: Sequence[Verdict]) -> list[Verdict]:
        """Hold the log's head, and leave out those that events not folded yet may have made needless."""
        head = await self._connection.fetchrow(QUERIES["lock_head"])
        assert head is not None
        known = verdicts[0].claimed
        if head["epoch"] != known.epoch or head["position"] < known.checkpoint:
            return []
        waiting = await needless(self._connection, [verdict.claimed for verdict in verdicts], head["position"])
        return [verdict for place, verdict in enumerate(verdicts) if place not in waiting]

    async def _conclude(self, settled: Sequence[Verdict], deferred: Sequence[Verdict]) -> None:
        told: dict[tuple[str, UUID], tuple[datetime, int]] = {}
        for verdict in settled:
            if verdict.told is not None:
                told[verdict.claimed.tenant, verdict.told[0]] = verdict.told[1:]
        await self._connection.execute(
            QUERIES["conclude"],
            [verdict.claimed.tenant for verdict in settled],
            [verdict.claimed.id for verdict in settled],
            [verdict.claimed.tenant for verdict in deferred],
            [verdict.claimed.id for verdict in deferred],
            [verdict.until for verdict in deferred],
            [tenant for tenant, _ in told],
            [id for _, id in told],
            [since for since, _ in told.values()],
            [times for _, times in told.values()],
        )

    def _count(self, verdict: Verdict, outcome: Any, now: datetime, fired: Fired) -> None:
        if isinstance(outcome, WrongVersion):
            fired.settled_before += 1
            return
        fired.positions.append(outcome.position)
        late = None
        if verdict.outcome == "due":
            fired.due += 1
            late = (now - verdict.claimed.due_at).total_seconds()
        else:
            fired.ended += 1
        self._observer.settled(verdict.policy, verdict.outcome, late)
