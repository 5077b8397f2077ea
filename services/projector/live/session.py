"""Folding from where the checkpoint stands: one page after the other, from messages or from the log.

While one page is being written the next is read and folded: the rows in memory are ahead of the database by at most
that page. Should it not be written, all that was built on it is forgotten.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, replace
from time import monotonic, perf_counter
from typing import Protocol

import structlog

from services.projector.folding.changes import Changes, Checkpoint, EventId, StreamId
from services.projector.folding.folder import Folder, Plan, Unfoldable, park
from services.projector.live.alarm import Alarm
from services.projector.live.mailbox import Delivery, Mailbox
from services.projector.live.observing import LoopObserver, Source
from services.projector.live.pace import Pace
from services.projector.live.progress import Progress
from services.projector.live.sorting import sort
from services.projector.storing.halting import check_policies, check_timeline, unknown_event_type
from services.projector.storing.loading import PAGE_BYTES, Loader
from services.projector.storing.store import CheckpointMoved, Look, Store
from shared.database.pool import is_away
from shared.envelope import Recorded
from shared.log.appending import Head

HANDFUL = 250
"""Messages dealt with at a time: half of what may be on its way, so that others come meanwhile."""
STRETCH = 5.0
"""Seconds for which the log is read before messages are dealt with again: the broker waits half an hour for them."""
FEW = 50
"""Events up to which no way is given: some milliseconds, and what is live is not delayed."""
OTHERS_LOOKS = 5
"""Looks at the log for which another projector that has moved the checkpoint is taken to go on doing so."""
DROP_INTERVAL = 10.0
"""Seconds between attempts to drop unfinished generations: each may hold up readers for a tenth of one."""
logger = structlog.get_logger(__name__)


class LogReader(Protocol):
    async def read(self, after: int, limit: int, most_bytes: int) -> list[Recorded[bytes]]: ...


@dataclass(frozen=True, slots=True)
class Flight:
    """A page on its way into the database."""

    task: asyncio.Task[None]
    position: int
    changes: Changes
    source: Source
    events: int
    began: float


class Session:
    """One stretch of folding. It ends with the first failure; the next begins at the checkpoint."""

    def __init__(
        self,
        store: Store,
        log: LogReader,
        folder: Folder,
        mailbox: Mailbox,
        *,
        pace: Pace,
        poll_interval: float,
        kept_rows: int,
        progress: Progress,
        alarm: Alarm,
        observer: LoopObserver,
    ) -> None:
        self._alarm = alarm
        self._store, self._log, self._folder, self._mailbox = store, log, folder, mailbox
        self._pace, self._poll_interval, self._progress, self._observer = pace, poll_interval, progress, observer
        self._loader = Loader(store, folder, kept=kept_rows)
        self._parked: set[StreamId] = set()
        self._discarded: set[EventId] = set()
        self.checkpoint = Checkpoint(0, 0)
        self._ahead = 0
        """The last position that was folded, be it written or on its way."""
        self._flight: Flight | None = None
        self._furthest = Head(0, 0)
        """What the messages in hand tell of."""
        self.next_look = 0.0
        """When the log is to be looked at, whether or not a message came; on the monotonic clock."""
        self._others_until = 0.0
        """Until when the log is left to another projector, while this one is idle; on the monotonic clock."""
        self._drops = 0
        """Of the mailbox's drops, those after which the log was looked at."""
        self._next_drop = 0.0
        self.stopping = False
        """Set it to end catching up with the page in hand."""

    @asynccontextmanager
    async def working(self) -> AsyncIterator[Session]:
        """Finds the checkpoint; on leaving, waits for the page on its way. Raises `Halted`."""
        await self._start_from(await self._store.begin())
        await self._check()
        try:
            yield self
        finally:
            if self._flight is not None:
                with suppress(Exception):
                    await self._flight.task

    async def run_once(self) -> int:
        """Fold what the mailbox holds and, where that can't be all, what the log holds.

        Answers how many positions the checkpoint moved; what was folded is committed and its messages acknowledged.
        Raises `Halted`, and what asyncpg raises while PostgreSQL is away; the messages are in the mailbox again then,
        but for those for which the log was being read.
        """
        start = self.checkpoint.position
        deliveries = self._mailbox.take(min(HANDFUL, self._pace.page))
        idle = not deliveries
        unfoldable: Unfoldable | None = None
        try:
            while True:
                try:
                    if unfoldable is not None:
                        error, unfoldable = unfoldable, None
                        await self._isolate(error)
                    await self._fold_all(deliveries, idle=idle)
                    break
                except CheckpointMoved:
                    self.next_look = 0.0  # for messages, too, that are acknowledged by now
                    self._leave_to_another()
                    await self._start_from((await self._look()).checkpoint)
                    await self._check()
                except Unfoldable as error:
                    unfoldable = error
        except BaseException:
            self._mailbox.put_back(deliveries)
            raise
        await _acknowledge(deliveries)
        return self.checkpoint.position - start

    async def _fold_all(self, deliveries: list[Delivery], *, idle: bool) -> None:
        """Takes out what it acknowledges. Raises what `run_once` does, and `CheckpointMoved` and `Unfoldable`."""
        found = sort(deliveries, self.checkpoint, self._observer)
        look, self._furthest = found.look, found.furthest
        handled = tuple(deliveries)
        if found.fresh:
            await self._give_way(len(found.fresh))
            plan = self._folder.plan(found.fresh, self._parked, self._discarded)
            if plan.unknown or plan.unreadable or not await self._store.holds(found.fresh):
                look = True  # only what the log itself holds may stop anything, or be folded
            else:
                await self._fold(plan, "message", len(found.fresh))
                await self._land()
        drops = self._mailbox.drops  # as they are before the look, for there may be more meanwhile
        gap = drops != self._drops
        if gap or look or monotonic() >= self.next_look:
            await self._catch_up(deliveries, idle=idle and not gap)
            self._drops = drops
        # Known by now to be of this timeline; and of a place that is gone, what comes next is somebody else's.
        if any(not delivery.channel.lost for delivery in handled):
            self._mailbox.overtake(found.behind)

    async def _look(self) -> Look:
        """Whoever has ended a turn may have reckoned the timers by other policies: a turn is taken over only where they
        are these. Raises `Halted`."""
        look = await self._store.look()
        check_policies(look.policies, self._folder.policies)
        return look

    async def _check(self) -> None:
        """Raises `Halted` where this is not to fold: another timeline, or timers that follow other policies."""
        look = await self._look()
        check_timeline(look.checkpoint, look.head, self._furthest)

    async def _catch_up(self, deliveries: list[Delivery], *, idle: bool) -> None:
        """Read the log, to its end or for `STRETCH`. While `idle`, leave it to another projector that is seen to do it.

        Not only from one look to the next: one that takes longer for a page is not helped by somebody else who writes
        the same page first, for both forget then what they have in memory, and are slower still for the next.
        """
        look = await self._look()
        self.next_look = monotonic() + self._poll_interval
        if look.marked and monotonic() >= self._next_drop and not await self._store.drop_marked():
            self._next_drop = monotonic() + DROP_INTERVAL
        if look.checkpoint != self.checkpoint:
            await self._start_from(look.checkpoint)
            self._leave_to_another()
        if idle and monotonic() < self._others_until and look.head.epoch == look.checkpoint.epoch:
            return
        check_timeline(look.checkpoint, look.head, self._furthest)
        # What these tell is in the log. Acknowledged before that is read, they let others come meanwhile: else those
        # would always be old.
        handled = tuple(deliveries)
        deliveries.clear()
        await _acknowledge(handled)
        until = monotonic() + STRETCH
        reading: asyncio.Task[list[Recorded[bytes]]] | None = None
        try:
            while self._ahead < look.head.position and not self.stopping and monotonic() < until:
                events = await (reading or self._read(self._ahead))
                reading = None
                if not events:
                    break
                if events[-1].position < look.head.position:
                    reading = asyncio.create_task(self._read(events[-1].position))
                await self._give_way(len(events))
                plan = self._folder.plan(events, self._parked, self._discarded)
                await self._fold(plan, "page", len(events))
                if plan.unknown is not None:
                    await self._land()
                    raise unknown_event_type(plan.unknown)
        finally:
            if reading is not None:
                reading.cancel()
                await asyncio.gather(reading, return_exceptions=True)
        await self._land()
        if self._ahead < look.head.position and monotonic() >= until:
            self.next_look = self._others_until = 0.0

    async def _read(self, after: int) -> list[Recorded[bytes]]:
        return await self._log.read(after, self._pace.page, PAGE_BYTES)

    def _leave_to_another(self) -> None:
        self._others_until = monotonic() + OTHERS_LOOKS * self._poll_interval

    async def _fold(self, plan: Plan, source: Source, events: int) -> None:
        """Fold a page, and send what it changes on its way once the page before has arrived."""
        began = perf_counter()
        on_the_way = Changes() if self._flight is None else self._flight.changes
        rows = await self._loader.gather(plan, on_the_way)
        await self._give_way(events)
        try:
            changes = self._folder.fold(plan, rows)
        except Unfoldable:
            await self._land()  # whoever looks for the reason must start behind what is on its way
            raise
        await self._land()
        if plan.position == self._ahead:
            return
        self._loader.keep(changes)
        self._depart(plan.position, changes, source, events, began)

    def _depart(self, position: int, changes: Changes, source: Source, events: int, began: float) -> None:
        self._parked |= changes.parked.keys()
        self._ahead = position
        task = asyncio.create_task(self._write(self.checkpoint, position, changes, events))
        self._flight = Flight(task, position, changes, source, events, began)

    async def _write(self, start: Checkpoint, position: int, changes: Changes, events: int) -> None:
        await self._give_way(events)
        await self._store.apply(start, position, changes)

    async def _give_way(self, events: int) -> None:
        """Before each stretch in which so many events keep the process from everything else."""
        if events > FEW:
            await self._alarm.until_let_go()

    async def _land(self) -> None:
        """Wait for the page on its way. Raises `CheckpointMoved`, `Unfoldable`, and what asyncpg raises."""
        flight = self._flight
        if flight is None:
            return
        try:
            await flight.task
        except Exception as error:
            if isinstance(error, CheckpointMoved) or is_away(error):
                raise
            raise Unfoldable(flight.position, "store", error) from error
        finally:
            self._flight = None
        self._moved(flight)
        seconds = perf_counter() - flight.began
        self._pace.took(flight.events, seconds)
        self._observer.folded(flight.source, events=flight.events, seconds=seconds)
        if flight.changes.parked:
            for parked in flight.changes.parked.values():
                logger.error(
                    "stream parked: its fold failed, and its events wait from there on",
                    tenant=parked.tenant,
                    category=parked.category,
                    stream_id=str(parked.stream_id),
                    position=parked.position,
                    model=parked.model,
                    error=parked.error,
                )
            self._observer.parked(len(self._parked))

    async def _isolate(self, error: Unfoldable) -> None:
        """Fold one by one what could not be folded together, and park the stream whose event is the reason.

        Raises `CheckpointMoved`, `Halted`, and what asyncpg raises.
        """
        logger.error("page can't be folded, trying event by event", exc_info=error.cause)
        await self._start_from((await self._look()).checkpoint)
        while self._ahead < error.position:
            events = await self._log.read(self._ahead, 1, PAGE_BYTES)
            plan = self._folder.plan(events, self._parked, self._discarded)
            if plan.unknown is not None:
                raise unknown_event_type(plan.unknown)
            try:
                await self._fold(plan, "page", 1)
                await self._land()
            except Unfoldable as unfoldable:
                [event] = events
                await self._start_from(self.checkpoint)
                parked = park(event, unfoldable.model, unfoldable.cause)
                changes = Changes(parked={(event.tenant, event.stream_id): parked})
                self._depart(event.position, changes, "page", 1, perf_counter())
                try:
                    await self._land()
                except Unfoldable as again:  # not even that it is parked can be written: no event is the reason
                    raise again.cause from again
        self.next_look = 0.0

    async def _start_from(self, checkpoint: Checkpoint) -> None:
        """Forget what was built on anything else."""
        self._loader.forget()
        self.checkpoint, self._ahead = checkpoint, checkpoint.position
        self._parked = await self._store.parked()
        self._discarded = await self._store.discarded(checkpoint.position)
        self._observer.parked(len(self._parked))
        self._progress.reach(checkpoint.position)

    def _moved(self, flight: Flight) -> None:
        self.checkpoint = replace(self.checkpoint, position=flight.position)
        self._progress.reach(flight.position)
        timers = flight.changes.timers.values()
        self._alarm.moved(min((one.due_at for one in timers if one is not None), default=None))


async def _acknowledge(deliveries: Sequence[Delivery]) -> None:
    for last in {delivery.channel: delivery for delivery in deliveries}.values():
        await last.acknowledge()
