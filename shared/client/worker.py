"""Brings every message to its end, and the consumer's mark with it. Knows neither broker nor database.

The ends: handled · a duplicate · put aside for another attempt · parked, with the reason. None of them holds up the
messages behind it, unless the consumer asked for order.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from time import monotonic
from typing import Generic, TypeVar
from uuid import UUID

from shared.client.attempts import Attempts, Task
from shared.client.event import CloudEvent, parse
from shared.client.failures import Forked, NotACloudEvent, Unavailable
from shared.client.handlers import Handlers
from shared.client.history import History, as_known
from shared.client.keeping import KeptMark
from shared.client.mark import Mark
from shared.client.message import ABANDONED, ATTEMPTS, REASON, REPLAY, Ends, Incoming
from shared.client.rules import Counts, Rules
from shared.client.store import PositionStore

T = TypeVar("T")

SUSPICIOUS = 3
"""Deliveries that ended without an answer after which a message may be what ended the process."""
MOST_UNPROVEN = 1000
"""Events of a filtered consumer that are handled before the history is asked whether some were missing."""


@dataclass(frozen=True, slots=True)
class _Look:
    mark: Mark
    head: int
    """Last position of the log."""
    at: float


async def _at_once() -> None:
    pass


class Worker(Generic[T]):
    def __init__(
        self,
        handlers: Handlers[T],
        store: PositionStore[T],
        history: History,
        ends: Ends,
        rules: Rules,
        pause: Callable[[float], Awaitable[None]] = asyncio.sleep,
        go_on: Callable[[], Awaitable[None]] = _at_once,
    ) -> None:
        """`pause` waits that many seconds; it may raise to end the waiting. So may `go_on`, which is called before each
        unit of work, to end between two: what was handled by then is kept."""
        self._history, self._rules, self._go_on = history, rules, go_on
        self._kept = KeptMark(store, history, rules)
        self._attempts = Attempts(handlers, self._kept, ends, rules, pause, go_on)
        self._after_start = True
        """Until some event of the history was handled: the process before may have ended of it, and nothing but its
        place tells."""
        self._taken, self._waiting = 0, list[Task]()
        self._kept_events: dict[int, tuple[UUID, int]] = {}
        """Position → id and epoch of events that the log has, as the messages in hand were asked about."""
        self._looked: _Look | None = None
        """The last look, or that from which on the mark has stood still."""

    @property
    def counts(self) -> Counts:
        return self._attempts.counts

    async def load(self) -> Mark:
        """The kept mark; where there is none, that of the beginning. What follows goes on from it."""
        return await self._kept.load()

    async def work(self, messages: Sequence[Incoming]) -> None:
        """Return when each message has had its end and the mark is kept: then acknowledge them.

        Raises `Unavailable`, `Forked`, `Stale`, and what store and `Ends` raise while they are away; then the first
        `ended` of them had their end: give the others again.
        """
        careful = any(message.deliveries >= SUSPICIOUS for message in messages)
        waiting: list[Task] = []
        self._taken, self._waiting, self._kept_events = 0, waiting, {}
        ahead = await self._kept.mark()
        for number, message in enumerate(messages):
            self._taken = number
            try:
                task = self._task(message)
            except NotACloudEvent as error:
                # First what is before it, so that it is not parked again because of that.
                ahead = await self._attempts.handle(waiting, careful)
                await self._attempts.park(message, 0, error.reason, str(error))
                continue
            if task is None:
                continue
            if message.headers.get(REASON, ABANDONED) != ABANDONED and ahead.gave_up(task.event.position):
                task = replace(task, replay=True)  # it was moved back from where it was parked
                ahead = ahead.replayed(task.event.position)  # once: another copy is a duplicate
            if task.replay:
                # It is of the log as it was when it was sent: of an earlier timeline, or from beyond what is known of
                # this one, it may be what a restore has undone.
                doubtful = task.event.epoch < ahead.epoch or task.event.position > ahead.top
                if doubtful and not await self._is_kept(task.event):
                    ahead = await self._attempts.handle(waiting, careful)
                    await self._park_abandoned(task)
                    continue
            elif task.event.epoch != ahead.epoch:
                ahead = await self._attempts.handle(waiting, careful)
                if not await self._of_this_timeline(task):
                    continue
                ahead = await self._kept.mark()
            event = task.event
            if not task.replay and ahead.has(event.position):
                self.counts.duplicates += 1
                continue
            if self._rules.at_once and not task.replay and event.previous > ahead.proven:
                await self._attempts.handle(waiting, careful)
                await self.audit(event.previous, careful=careful)
                ahead = await self._kept.mark()
            attempts = max(task.attempts, ahead.begun.get(event.position, 0))
            waiting.append(replace(task, attempts=attempts, number=number))
            self._taken = number + 1
            if not task.replay:
                ahead = ahead.after(event.position, event.previous)
        self._taken = len(messages)
        mark = await self._attempts.handle(waiting, careful)
        if len(mark.done) >= MOST_UNPROVEN:
            await self.audit(mark.top, careful=careful)

    @property
    def ended(self) -> int:
        """How many messages of those that `work` was given last, from the first on, had their end, and were not kept in
        vain: handled, put aside, parked, or not to be handled at all."""
        return self._waiting[0].number if self._waiting else self._taken

    async def look(self, standing_by: bool = False) -> None:
        """From time to time: is anything missing before what was seen last, and, if nothing new has come since the last
        look, between it and where the log ended then? Raises what `work` raises.

        `standing_by`: another process may be the one that works, and may have in hand what seems to be missing. All is
        left to it unless the mark has stood still, since such a look, for longer than an event is in hand.
        """
        mark, before = await self.load(), self._looked
        try:
            head = (await self._history.page(mark.top, 1)).head
        except Unavailable:
            # What comes without gaps needs no history; the next look finds what is missing behind it.
            if standing_by or mark.proven < mark.top or (before is not None and before.mark.top == mark.top):
                raise
            head = mark.top
        self._looked = _Look(mark, head, monotonic())
        if standing_by:
            if before is None or mark.saves != before.mark.saves or before.head <= mark.proven:
                return
            if self._looked.at - before.at < self._longest_in_hand(mark):
                self._looked = before
                return
        upto = mark.top
        if before is not None and upto == before.mark.top:
            upto = min(before.head, head)  # what came later may be on its way; a log that was restored may end sooner
        await self.audit(upto)

    def _longest_in_hand(self, mark: Mark) -> float:
        """Seconds after which a process that works has moved the mark, or has ended: it waits, where what fails is
        repeated in place, then does a unit of work, or undoes it and tries its first event by itself.
        """
        rules = self._rules
        in_place = self._attempts.repeats_in_place(mark)
        return (rules.batch + 1) * rules.handler_timeout + (max(rules.delays, default=0.0) if in_place else 0.0)

    async def audit(self, upto: int | None = None, *, careful: bool = False) -> None:
        """Handle what the history shows beyond what is proven, up to a position or to its end.

        Raises what `work` raises; `Forked` also when the log ends before `upto`.
        """
        while True:
            await self._go_on()
            mark = await self._kept.mark()
            if upto is not None and mark.proven >= upto:
                return
            page = await self._history.page(mark.proven, wanted=self._rules.wanted)
            if upto is None:
                # What comes later is the broker's to bring: a log that grows as fast as it is read has no end.
                upto = page.head
            if page.epoch > mark.epoch:
                await self._raise_epoch(page.epoch)
            tasks = [self._healed(line) for line in page.events]
            missing = [each for each in tasks if each and each.event.position <= upto]
            known = mark.aside  # is to come again after its delay
            missing = [each for each in missing if not (mark.has(each.event.position) or each.event.position in known)]
            missing = [replace(each, attempts=mark.begun.get(each.event.position, 0)) for each in missing]
            self.counts.healed += len(missing)
            if missing and self._after_start:
                first, missing = missing[: self._rules.batch], missing[self._rules.batch :]
                await self._attempts.handle(first, careful=True)
                self._after_start = False
            await self._attempts.handle(missing, careful)
            end = min(page.position, upto)
            mark = await self._kept.mark()
            if end > mark.proven:
                await self._kept.keep(mark.proved(end, page.epoch))
            if page.position >= page.head:
                if page.head < upto:
                    raise Forked(f"the broker told of position {upto}, but the log ends at {page.head}")
                return

    async def go_ahead(self) -> None:
        """Handle the next event of the history, and what is missing before it. Raises what `work` raises."""
        page = await self._history.page((await self.load()).top, 1, self._rules.wanted)
        if page.events:
            await self.audit(parse(page.events[0]).position)

    async def miss(self, held: int) -> None:
        """Write down that the broker has lost what was put aside, if it holds fewer such messages than there should be.

        What has come back to the queue and waits in it is not among them, and then counts as lost, too: its delay is
        over, and its message will be a duplicate. Raises what `work` raises.
        """
        mark = await self.load()
        if held < len(mark.aside - mark.lost):
            await self._kept.keep(mark.bereft())

    async def recover(self) -> None:
        """Handle at once, from the history, what was lost of what was put aside. Raises what `work` raises."""
        for position in sorted((await self._kept.mark()).lost):
            page = await self._history.page(position - 1, 1)
            mark = await self._kept.mark()
            if page.epoch > mark.epoch:
                await self._raise_epoch(page.epoch)
            event = parse(page.events[0]) if page.events else None
            if event is None or event.position != position:
                raise Forked(f"position {position}, which was put aside, is not in the log any more")
            task = self._healed(page.events[0])
            if task is None:  # it matches no pattern of this release
                await self._kept.keep((await self._kept.mark()).after(position, event.previous))
            else:
                await self._attempts.handle_alone(replace(task, attempts=mark.begun[position]), careful=True)

    def _task(self, message: Incoming) -> Task | None:
        """None: it is none that this consumer wants. Raises `NotACloudEvent`."""
        event = parse(message.body)
        if message.headers.get("position", event.position) != event.position:
            raise NotACloudEvent("not_a_cloudevent", "its header position is not that of the body")
        if not self._rules.wanted.match(event.routing_key):
            self.counts.unwanted += 1
            return None
        attempts = message.headers.get(ATTEMPTS, 0)
        # Whatever number somebody has put there.
        attempts = min(max(attempts, 0), len(self._rules.delays)) if isinstance(attempts, int) else 0
        return Task(event, message, attempts, REPLAY in message.headers)

    def _healed(self, line: bytes) -> Task | None:
        """An event of the history; None: it is none that this consumer wants."""
        event = parse(line)
        headers = {"position": event.position, "previous": event.previous, "epoch": event.epoch}
        if not self._rules.wanted.match(event.routing_key):
            return None
        return Task(event, Incoming(line, headers), 0)

    async def _of_this_timeline(self, task: Task) -> bool:
        """False: it is of a history that was abandoned, and was parked. Raises `Forked`."""
        mark, event = await self._kept.mark(), task.event
        if event.epoch > mark.epoch:
            await self._raise_epoch(event.epoch)
            return True
        if mark.has(event.position) or await self._is_kept(event):
            return True
        await self._park_abandoned(task)
        return False

    async def _is_kept(self, event: CloudEvent) -> bool:
        """Whether the log, in its later timeline, has an event of an earlier one."""
        if event.position not in self._kept_events:
            self._kept_events = {}
            with suppress(Forked):  # it is not as long as that
                page = await self._history.page(event.position - 1, wanted=self._rules.wanted)
                self._kept_events = {each.position: (each.id, each.epoch) for each in map(parse, page.events)}
        # A command that was sent again after the loss leads to the same id, and may have come to the same position.
        return self._kept_events.get(event.position) == (event.id, event.epoch)

    async def _park_abandoned(self, task: Task) -> None:
        why = f"epoch {task.event.epoch} of the log ended before it"
        await self._attempts.park(task.message, task.attempts, ABANDONED, why)

    async def _raise_epoch(self, epoch: int) -> None:
        """Go on in a later timeline, if the log up to our mark is that which we know. Raises `Forked`."""
        mark = await self._kept.mark()
        if mark.epoch and mark.top and not await as_known(self._history, mark.top, mark.epoch):
            raise Forked(
                f"the log was restored to a point before position {mark.top} of epoch {mark.epoch}, and now is in "
                f"epoch {epoch}: undo what came after that point, and go back to it"
            )
        self._kept.go_on_from(mark.in_epoch(epoch))
