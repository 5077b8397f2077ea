"""Attempts at events, each until it had its end: handled, put aside for another attempt, or parked, with the reason."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Generic, TypeVar

from shared.client.event import CloudEvent
from shared.client.failures import HandlerFailed, Park, Stale, Unavailable
from shared.client.handlers import Handlers
from shared.client.keeping import KeptMark
from shared.client.mark import Mark
from shared.client.message import Ends, Incoming
from shared.client.rules import Counts, Rules

logger = logging.getLogger(__name__)

T = TypeVar("T")

MOST_ASIDE = 1000
"""Events that wait for another attempt, beyond which one that fails is repeated in place: all of a mark is saved with
every event, and where so many fail it is hardly the events' fault."""


@dataclass(frozen=True, slots=True)
class Task:
    """An event to be handled."""

    event: CloudEvent
    message: Incoming
    attempts: int
    replay: bool = False
    number: int = 0
    """Of its message among those that `Worker.work` was given."""


class Attempts(Generic[T]):
    def __init__(
        self,
        handlers: Handlers[T],
        kept: KeptMark[T],
        ends: Ends,
        rules: Rules,
        pause: Callable[[float], Awaitable[None]],
        go_on: Callable[[], Awaitable[None]],
    ) -> None:
        """`pause` and `go_on`: see `Worker`."""
        self._handlers, self._kept, self._ends = handlers, kept, ends
        self._rules, self._pause, self._go_on = rules, pause, go_on
        self._counted: dict[int, int] = {}
        """Position → the attempts up to one that was written down, and not taken back: this process has outlived it."""
        self._broken: dict[int, int] = {}
        """Position → how often the store broke while its event was handled, and worked right after that."""
        self.counts = Counts()

    def repeats_in_place(self, mark: Mark) -> bool:
        """Whether one more that fails would hold up what is behind it."""
        return self._rules.in_order or len(mark.aside) >= MOST_ASIDE

    async def handle(self, tasks: list[Task], careful: bool) -> Mark:
        """Handle them, and empty the list."""
        size = 1 if careful else self._rules.batch
        while tasks:
            await self._go_on()
            unit = tasks[:size]
            try:
                if len(unit) == 1:
                    await self.handle_alone(unit[0], careful=careful)
                else:
                    await self._unit(unit)
                del tasks[:size]
            except HandlerFailed:
                for task in unit:
                    await self.handle_alone(task, careful=careful)
                    del tasks[0]
        return await self._kept.mark()

    async def _unit(self, tasks: Sequence[Task]) -> None:
        """Handle all of them in one unit of work. Raises `HandlerFailed`, and then none was."""
        mark = (await self._kept.mark()).saved()
        entered = False
        try:
            async with self._kept.saving() as unit:
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
        self._kept.go_on_from(mark)
        self.counts.handled += len(tasks)
        for task in tasks:
            self._broken.pop(task.event.position, None)

    async def _blames(self, tasks: Sequence[Task], saves: int) -> bool:
        """Whether a unit of work that was to save the mark for that time broke the store by what a handler did in it:
        the store works right after it, and, where it is one event's, it broke more often than there are delays.
        """
        try:
            mark = await self._kept.load()
            if mark.saves >= saves:  # it was committed after all, or another process was faster
                return False
            await self._kept.keep(mark)  # nothing new: whether it can be written to
        except Exception as error:
            logger.info("the store is away: %r", error)
            return False
        if len(tasks) > 1:
            return True  # each by itself then, which tells of which it breaks
        position = tasks[0].event.position
        self._broken[position] = times = self._broken.get(position, 0) + 1
        return times > len(self._rules.delays)

    async def handle_alone(self, task: Task, *, careful: bool) -> None:
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
                await self._kept.keep((await self._kept.mark()).attempted(position, attempts))
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
                await self._kept.keep((await self._kept.mark()).attempted(position, attempts))
            await self._pause(self._rules.delays[attempts - 1])

    async def _take_back(self, position: int, attempts: int) -> None:
        mark = await self._kept.mark()
        if mark.begun.get(position) == self._counted[position]:  # or it was handled after all
            await self._kept.keep(mark.attempted(position, attempts))
        del self._counted[position]

    async def _has_room_aside(self, position: int) -> bool:
        aside = (await self._kept.mark()).aside
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

    async def _put_aside(self, task: Task, error: str) -> None:
        await self._ends.retry(task.message, task.attempts, error)
        if not task.replay:
            event = task.event
            await self._kept.keep((await self._kept.mark()).put_aside(event.position, event.previous, task.attempts))
        self.counts.retried += 1

    async def _give_up(self, task: Task, reason: str, error: str) -> None:
        await self.park(task.message, task.attempts, reason, error)
        event, mark = task.event, await self._kept.mark()
        if not task.replay:
            mark = mark.after(event.position, event.previous)
        await self._kept.keep(mark.parking(event.position, reason))
        self._broken.pop(event.position, None)

    async def park(self, message: Incoming, attempts: int, reason: str, error: str) -> None:
        logger.error("a message is parked: %s: position %s: %.500r", reason, message.headers.get("position"), error)
        await self._ends.park(message, attempts, reason, error)
        self.counts.parked += 1
