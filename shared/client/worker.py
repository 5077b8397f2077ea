"""Brings every message to its end, and the consumer's mark with it. Knows neither broker nor database.

The ends: handled · a duplicate · put aside for another attempt · parked, with the reason. None of them holds up the
messages behind it, unless the consumer asked for order.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from time import monotonic
from typing import Any, Generic, Literal, Protocol, TypeVar

from shared.client.event import CloudEvent, parse
from shared.client.failures import Forked, HandlerFailed, NotACloudEvent, Park, Stale, Unavailable
from shared.client.handlers import Handlers
from shared.client.history import History, as_known
from shared.client.mark import Mark
from shared.client.patterns import EVERYTHING, Patterns
from shared.client.store import PositionStore, Unit

logger = logging.getLogger(__name__)

T = TypeVar("T")

REPLAY = "replay"
"""Header of a message that is meant to be handled although its position is behind the mark; it does not move it. It
makes nobody handle what no pattern matches: whoever replays may have named too much, such as all tenants' events."""
REASON = "reason"
"""Header of a parked message, and of no other: why it was."""
ABANDONED = "abandoned"
"""Reason of what a restore of the log undid."""
ATTEMPTS = "attempts"
"""Header of a message that comes again: attempts so far."""
SUSPICIOUS = 3
"""Deliveries that ended without an answer after which a message may be what ended the process."""
MOST_ASIDE = 1000
"""Events that wait for another attempt, beyond which one that fails is repeated in place: all of a mark is saved with
every event, and where so many fail it is hardly the events' fault."""
MOST_UNPROVEN = 1000
"""Events of a filtered consumer that are handled before the history is asked whether some were missing."""


@dataclass(frozen=True, slots=True)
class Incoming:
    """A message, or a line of the history feed."""

    body: bytes
    headers: Mapping[str, Any] = field(default_factory=dict)


class Ends(Protocol):
    """Where messages go that can't be handled now. Both return when that is certain, and may be called twice."""

    async def retry(self, message: Incoming, attempts: int, error: str) -> None:
        """It is to come again, after the delay that belongs to that many attempts."""
        ...

    async def park(self, message: Incoming, attempts: int, reason: str, error: str) -> None:
        """It stays, until somebody looks."""
        ...


@dataclass(frozen=True, slots=True)
class Rules:
    """How a consumer wants its events."""

    wanted: Patterns = EVERYTHING
    begin: Literal["first", "now"] = "now"
    """Where a consumer begins that has no mark yet: at the first event of the log, or after the last one that is there
    when it first looks."""
    in_order: bool = False
    """Whether an event waits for those before it, failed ones too. Then a failing event is repeated in place, and all
    behind it wait until it was handled or parked. Otherwise it comes again later, after some of its successors."""
    delays: tuple[float, ...] = (1, 10, 60, 600)
    """Seconds before each further attempt; after the last it is parked."""
    handler_timeout: float = 60.0
    """Seconds after which a handler that hangs is cancelled, which counts as a failed attempt."""
    batch: int = 1
    """Most events in one unit of work. With more than one, all of a unit are handled again when one of them fails:
    take a store whose unit of work undoes what its handlers did."""

    @property
    def at_once(self) -> bool:
        """Whether what is missing has to be found before the next event is handled."""
        return self.wanted.everything or self.in_order


@dataclass(slots=True)
class Counts:
    """What became of the messages since the start."""

    handled: int = 0
    duplicates: int = 0
    healed: int = 0
    """Taken from the history: the broker had not brought them, or not yet."""
    unwanted: int = 0
    """Came although no pattern of this release matches: by a binding of an earlier one, or by a replay."""
    retried: int = 0
    parked: int = 0


@dataclass(frozen=True, slots=True)
class _Task:
    event: CloudEvent
    message: Incoming
    attempts: int
    replay: bool = False
    number: int = 0
    """Of its message among those that `work` was given."""


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
        self._handlers, self._store, self._history, self._ends = handlers, store, history, ends
        self._rules, self._pause, self._go_on = rules, pause, go_on
        self._after_start = True
        """Until some event of the history was handled: the process before may have ended of it, and nothing but its
        place tells."""
        self._kept: Mark | None = None
        self._counted: dict[int, int] = {}
        """Position → the attempts up to one that was written down, and not taken back: this process has outlived it."""
        self._broken: dict[int, int] = {}
        """Position → how often the store broke while its event was handled, and worked right after that."""
        self._taken, self._waiting = 0, list[_Task]()
        self._looked: _Look | None = None
        """The last look, or that from which on the mark has stood still."""
        self.counts = Counts()

    async def load(self) -> Mark:
        """The kept mark; where there is none, that of the beginning. What follows goes on from it."""
        mark = await self._store.load()
        if mark is None:
            mark = Mark()
            if self._rules.begin == "now":
                page = await self._history.page(0, 1)
                mark = Mark(epoch=page.epoch, proven=page.head)
                mark = mark.saved()
                async with self._store.unit() as unit:
                    await unit.save(mark)
        self._kept = mark
        return mark

    async def work(self, messages: Sequence[Incoming]) -> None:
        """Return when each message has had its end and the mark is kept: then acknowledge them.

        Raises `Unavailable`, `Forked`, `Stale`, and what store and `Ends` raise while they are away; then the first
        `ended` of them had their end: give the others again.
        """
        careful = any(_deliveries(message) >= SUSPICIOUS for message in messages)
        waiting: list[_Task] = []
        self._taken, self._waiting = 0, waiting
        ahead = await self._mark()
        for number, message in enumerate(messages):
            self._taken = number
            try:
                task = self._task(message)
            except NotACloudEvent as error:
                ahead = await self._flush(waiting, careful)  # so that it is not parked again because of what is before
                await self._park(message, 0, error.reason, str(error))
                continue
            if task is None:
                continue
            if message.headers.get(REASON, ABANDONED) != ABANDONED and ahead.gave_up(task.event.position):
                task = replace(task, replay=True)  # it was moved back from where it was parked
                ahead = ahead.replayed(task.event.position)  # once: another copy is a duplicate
            if task.event.epoch != ahead.epoch and not task.replay:
                ahead = await self._flush(waiting, careful)
                if not await self._of_this_timeline(task):
                    continue
                ahead = await self._mark()
            event = task.event
            if not task.replay and ahead.has(event.position):
                self.counts.duplicates += 1
                continue
            if self._rules.at_once and not task.replay and event.previous > ahead.proven:
                await self._flush(waiting, careful)
                await self.audit(event.previous, careful=careful)
                ahead = await self._mark()
            attempts = max(task.attempts, ahead.begun.get(event.position, 0))
            waiting.append(replace(task, attempts=attempts, number=number))
            self._taken = number + 1
            if not task.replay:
                ahead = ahead.after(event.position, event.previous)
        self._taken = len(messages)
        mark = await self._flush(waiting, careful)
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
        in_place = rules.in_order or len(mark.aside) >= MOST_ASIDE
        return (rules.batch + 1) * rules.handler_timeout + (max(rules.delays, default=0.0) if in_place else 0.0)

    async def audit(self, upto: int | None = None, *, careful: bool = False) -> None:
        """Handle what the history shows beyond what is proven, up to a position or to its end.

        Raises what `work` raises; `Forked` also when the log ends before `upto`.
        """
        while True:
            await self._go_on()
            mark = await self._mark()
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
                await self._flush(first, careful=True)
                self._after_start = False
            await self._flush(missing, careful)
            end = min(page.position, upto)
            mark = await self._mark()
            if end > mark.proven:
                await self._keep(mark.proved(end, page.epoch))
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
            await self._keep(mark.bereft())

    async def recover(self) -> None:
        """Handle at once, from the history, what was lost of what was put aside. Raises what `work` raises."""
        for position in sorted((await self._mark()).lost):
            page = await self._history.page(position - 1, 1)
            mark = await self._mark()
            if page.epoch > mark.epoch:
                await self._raise_epoch(page.epoch)
            event = parse(page.events[0]) if page.events else None
            if event is None or event.position != position:
                raise Forked(f"position {position}, which was put aside, is not in the log any more")
            task = self._healed(page.events[0])
            if task is None:
                await self._keep((await self._mark()).after(position, event.previous))  # no pattern of this release's
            else:
                await self._alone(replace(task, attempts=mark.begun[position]), careful=True)

    async def _mark(self) -> Mark:
        return self._kept if self._kept is not None else await self.load()

    def _task(self, message: Incoming) -> _Task | None:
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
        return _Task(event, message, attempts, REPLAY in message.headers)

    def _healed(self, line: bytes) -> _Task | None:
        """An event of the history; None: it is none that this consumer wants."""
        event = parse(line)
        headers = {"position": event.position, "previous": event.previous, "epoch": event.epoch}
        if not self._rules.wanted.match(event.routing_key):
            return None
        return _Task(event, Incoming(line, headers), 0)

    async def _of_this_timeline(self, task: _Task) -> bool:
        """False: it is of a history that was abandoned, and was parked. Raises `Forked`."""
        mark, event = await self._mark(), task.event
        if event.epoch > mark.epoch:
            await self._raise_epoch(event.epoch)
            return True
        if mark.has(event.position):
            return True
        with suppress(Forked):  # the log, in its later timeline, is not as long as that: so it is not in it
            page = await self._history.page(event.position - 1, 1)
            if page.events and parse(page.events[0]).id == event.id:
                return True
        await self._park(task.message, task.attempts, ABANDONED, f"epoch {event.epoch} of the log ended before it")
        return False

    async def _raise_epoch(self, epoch: int) -> None:
        """Go on in a later timeline, if the log up to our mark is that which we know. Raises `Forked`."""
        mark = await self._mark()
        if mark.epoch and mark.top and not await as_known(self._history, mark.top, mark.epoch):
            raise Forked(
                f"the log was restored to a point before position {mark.top} of epoch {mark.epoch}, and now is in "
                f"epoch {epoch}: undo what came after that point, and go back to it"
            )
        self._kept = mark.in_epoch(epoch)

    async def _flush(self, tasks: list[_Task], careful: bool) -> Mark:
        """Handle them, and empty the list."""
        size = 1 if careful else self._rules.batch
        while tasks:
            await self._go_on()
            unit = tasks[:size]
            try:
                if len(unit) == 1:
                    await self._alone(unit[0], careful=careful)
                else:
                    await self._unit(unit)
                del tasks[:size]
            except HandlerFailed:
                for task in unit:
                    await self._alone(task, careful=careful)
                    del tasks[0]
        return await self._mark()

    async def _unit(self, tasks: Sequence[_Task]) -> None:
        """Handle all of them in one unit of work. Raises `HandlerFailed`, and then none was."""
        mark = (await self._mark()).saved()
        entered = False
        try:
            async with self._saving() as unit:
                for task in tasks:
                    entered = True
                    await self._call(task.event, unit.within)
                    event = task.event
                    mark = mark.replayed(event.position) if task.replay else mark.after(event.position, event.previous)
                await unit.save(mark)
        except (HandlerFailed, Unavailable, Stale):
            raise
        except Exception as error:
            if entered and await self._blames(tasks, mark.saves):
                raise HandlerFailed(error) from error
            raise
        self._kept = mark
        self.counts.handled += len(tasks)
        for task in tasks:
            self._broken.pop(task.event.position, None)

    async def _blames(self, tasks: Sequence[_Task], saves: int) -> bool:
        """Whether a unit of work that was to save the mark for that time broke the store by what a handler did in it:
        the store works right after it, and, where it is one event's, it broke more often than there are delays.
        """
        try:
            mark = await self.load()
            if mark.saves >= saves:  # it was committed after all, or another process was faster
                return False
            await self._keep(mark)  # nothing new: whether it can be written to
        except Exception as error:
            logger.info("the store is away: %r", error)
            return False
        if len(tasks) > 1:
            return True  # each by itself then, which tells of which it breaks
        position = tasks[0].event.position
        self._broken[position] = times = self._broken.get(position, 0) + 1
        return times > len(self._rules.delays)

    async def _alone(self, task: _Task, *, careful: bool) -> None:
        """Bring one event to its end, whatever its handler does. Raises `Stopped` before it is begun."""
        await self._go_on()
        position = task.event.position
        if not task.replay and self._counted.pop(position, None) == task.attempts:
            task = replace(task, attempts=task.attempts - 1)
        while True:
            attempts = task.attempts + 1
            if careful and not task.replay:
                # Written down before, so that an event which ends the process each time is known by it.
                if attempts > len(self._rules.delays) + 1:
                    return await self._give_up(task, "no_answer", "the process ended each time while it was handled")
                self._counted[position] = attempts
                await self._keep((await self._mark()).attempted(position, attempts))
            try:
                await self._unit([task])
                self._counted.pop(position, None)
                return None
            except HandlerFailed as failed:
                error = failed.error
                self._counted.pop(position, None)
            except Exception:
                # It was no attempt, whatever is away, or whoever else works here: the process goes on.
                if position in self._counted:
                    with suppress(Exception):  # while the store is away, it is remembered
                        await self._take_back(position, task.attempts)
                raise
            task = replace(task, attempts=attempts)
            if isinstance(error, Park):
                return await self._give_up(task, error.reason, error.detail)
            if attempts > len(self._rules.delays):
                return await self._give_up(task, "failed", repr(error))
            logger.warning("attempt %d at position %d failed: %r", attempts, task.event.position, error)
            if not self._rules.in_order and (task.replay or await self._has_room_aside(task.event.position)):
                return await self._put_aside(task, repr(error))
            if not task.replay:
                # Who takes over, or starts again, begins no series of its own.
                await self._keep((await self._mark()).attempted(position, attempts))
            await self._pause(self._rules.delays[attempts - 1])

    async def _take_back(self, position: int, attempts: int) -> None:
        mark = await self._mark()
        if mark.begun.get(position) == self._counted[position]:  # or it was handled after all
            await self._keep(mark.attempted(position, attempts))
        del self._counted[position]

    async def _has_room_aside(self, position: int) -> bool:
        aside = (await self._mark()).aside
        return position in aside or len(aside) < MOST_ASIDE

    async def _call(self, event: CloudEvent, within: T) -> None:
        try:
            handler = self._handlers.of(event)
            async with asyncio.timeout(self._rules.handler_timeout):
                await handler(event, within)
        except Unavailable:
            raise
        except Exception as error:
            raise HandlerFailed(error) from error

    async def _put_aside(self, task: _Task, error: str) -> None:
        await self._ends.retry(task.message, task.attempts, error)
        if not task.replay:
            event = task.event
            await self._keep((await self._mark()).put_aside(event.position, event.previous, task.attempts))
        self.counts.retried += 1

    async def _give_up(self, task: _Task, reason: str, error: str) -> None:
        await self._park(task.message, task.attempts, reason, error)
        event, mark = task.event, await self._mark()
        if not task.replay:
            mark = mark.after(event.position, event.previous)
        await self._keep(mark.parking(event.position, reason))
        self._broken.pop(event.position, None)

    async def _park(self, message: Incoming, attempts: int, reason: str, error: str) -> None:
        logger.error("a message is parked: %s: position %s: %.500r", reason, message.headers.get("position"), error)
        await self._ends.park(message, attempts, reason, error)
        self.counts.parked += 1

    async def _keep(self, mark: Mark) -> None:
        mark = mark.saved()
        async with self._saving() as unit:
            await unit.save(mark)
        self._kept = mark

    @asynccontextmanager
    async def _saving(self) -> AsyncIterator[Unit[T]]:
        """A unit of work that saves a mark. Where it ends badly, the kept mark has to be read again."""
        try:
            async with self._store.unit() as unit:
                yield unit
        except HandlerFailed:
            raise
        except BaseException:
            self._kept = None  # it may be another's by now, or ours although the answer was lost
            raise


def _deliveries(message: Incoming) -> int:
    """How often the broker has had it back without an answer."""
    count = message.headers.get("x-delivery-count", 0)
    return count if isinstance(count, int) else 0
