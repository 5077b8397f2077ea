"""A broker that lost what was put aside, and a process that ends at any moment of getting it back."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import count
from typing import Any

from shared.client import CloudEvent, Handlers, Incoming, Mark, MemoryStore, Page, Patterns, Rules, Unit
from shared.client.patterns import EVERYTHING
from shared.client.testing import MemoryHistory, Trial, an_event
from tests.client.trials import Killed

LOG = [an_event("interview.held", {"minutes": 25}, position=position) for position in (1, 2, 3, 4)]
RULES = Rules(begin="first", delays=(1, 10, 60, 600))


class Life:
    """Ends at the nth moment at which a process may be ended; None: it does not."""

    def __init__(self, ends_at: int | None) -> None:
        self._moments, self._ends_at = count(), ends_at

    def goes_on(self) -> None:
        if next(self._moments) == self._ends_at:
            raise Killed


class World:
    """What outlives a process: its database, in which handlers write, and the broker. The first event fails at the
    first attempt that is made here.
    """

    def __init__(self) -> None:
        self.mark: Mark | None = Mark(epoch=1, proven=4, begun={1: 1, 2: 1, 3: 1})
        self.rows: list[int] = []
        self.aside: list[Incoming] = []
        self.has_failed = False

    async def process(self, ends_at: int | None) -> bool:
        """Start, and handle what comes again. Whether it came to the end of that."""
        process = Process(self, Life(ends_at))
        try:
            await process.worker.miss(len(self.aside))
            await process.worker.recover()
            while brought := tuple(self.aside):
                await process.give(*brought)
                del self.aside[: len(brought)]  # what was put aside meanwhile is behind them
        except Killed:
            return False
        return True


class Process(Trial[list[int]]):
    def __init__(self, world: World, life: Life) -> None:
        handlers: Handlers[list[int]] = Handlers()

        @handlers.otherwise
        async def take(event: CloudEvent, rows: list[int]) -> None:
            life.goes_on()
            if event.position == 1 and not world.has_failed:
                world.has_failed = True
                raise LookupError
            rows.append(event.position)

        super().__init__(handlers, rules=RULES, store=Transactions(world, life), history=Feed(life))
        self.waiting, self._life = world.aside, life

    async def retry(self, message: Incoming, attempts: int, error: str) -> None:
        self._life.goes_on()
        await super().retry(message, attempts, error)
        self._life.goes_on()


class Feed(MemoryHistory):
    def __init__(self, life: Life) -> None:
        super().__init__(LOG)
        self._life = life

    async def page(self, after: int, limit: int = 500, wanted: Patterns = EVERYTHING) -> Page:
        self._life.goes_on()
        return await super().page(after, limit, wanted)


class Transactions:
    """Rows and mark are committed together."""

    def __init__(self, world: World, life: Life) -> None:
        self._world, self._life = world, life

    async def load(self) -> Mark | None:
        return self._world.mark

    @asynccontextmanager
    async def unit(self) -> AsyncIterator[Unit[Any]]:
        rows: list[int] = []
        kept = MemoryStore(self._world.mark)
        async with kept.unit() as unit:
            yield WithRows(unit, rows)
        self._life.goes_on()
        self._world.mark = kept.mark
        self._world.rows += rows
        self._life.goes_on()


class WithRows:
    def __init__(self, unit: Unit[None], within: list[int]) -> None:
        self.within, self.save = within, unit.save


async def test_whenever_it_is_killed_all_that_was_lost_is_handled_once() -> None:
    """Given three events that waited for another attempt in a broker that was wiped, of which one fails once more, when
    a process is killed at any moment, and the next one at any moment of its own, then the third leaves each handled
    once.
    """
    for first in count():
        for second in count():
            world = World()
            unharmed = await world.process(first)
            come_to_an_end = await world.process(second)
            await world.process(None)
            assert sorted(world.rows) == [1, 2, 3], f"killed at {first} and {second}"
            assert world.mark is not None
            assert (world.mark.begun, world.mark.lost) == ({}, frozenset())
            if come_to_an_end:
                break
        if unharmed:
            break
    assert first > len(LOG)
