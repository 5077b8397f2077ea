"""Processes of one consumer: one works, the others stand by, and nothing is missed or handled twice."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from dataclasses import replace

import pytest
from aio_pika.abc import AbstractChannel

from deploy.launcher.infrastructure import Infrastructure
from shared.client import CloudEvent, Consumer, Incoming, Mark, MemoryStore, Page, Patterns, Wiring
from shared.client.patterns import EVERYTHING
from shared.client.testing import MemoryHistory, an_event
from tests.client.messages import PATIENCE, RULES, Slow, Taken, consuming, held, listen, messages_of, publish


@pytest.mark.usefixtures("exchange")
async def test_who_starts_beside_a_busy_process_leaves_its_work_to_it(
    amqp_url: str, channel: AbstractChannel, taken: Taken, infra: Infrastructure
) -> None:
    """Given a process in the middle of an event, which waits in no queue any more, when another one starts, then it
    does not take that event for lost."""
    handler, store = Slow(taken), MemoryStore()
    history = MemoryHistory([held(1)])

    def process() -> Consumer[None]:
        return Consumer(Wiring(amqp_url, "statistics"), RULES, taken.handlers, store, history)

    async with consuming(process()):
        await taken.until(lambda positions: positions == [1])
        history.events.append(an_event("lead.recorded", {}, position=2))
        await publish(channel, history.events[1])
        await handler.began.wait()
        handler.began.clear()
        async with consuming(process()):
            listening, twice = (
                asyncio.create_task(listen(infra, amqp_url, 2)),
                asyncio.create_task(handler.began.wait()),
            )
            await asyncio.wait([listening, twice], return_when=asyncio.FIRST_COMPLETED)
            listening.cancel()
            handler.go_on.set()
            assert not twice.done()
            twice.cancel()
    assert ((store.mark or Mark()).begun, taken.positions) == ({}, [1, 2])


@pytest.mark.usefixtures("exchange")
async def test_who_takes_over_from_another_process_gets_back_what_the_broker_has_lost(
    amqp_url: str, channel: AbstractChannel, taken: Taken, infra: Infrastructure
) -> None:
    """Given a process that started beside another one, and an event put aside that the broker loses, when the other one
    ends and something is brought to this one, then the event is handled, though neither looks at the history for long.
    """
    wiring, rules = Wiring(amqp_url, "statistics", audit_every=3600), replace(RULES, delays=(600,))
    store, history = MemoryStore(), MemoryHistory([])

    def fail(event: CloudEvent) -> None:
        if event.position == 1:
            raise LookupError

    def process() -> Consumer[None]:
        return Consumer(wiring, rules, taken.handlers, store, history)

    taken.fails = fail
    async with AsyncExitStack() as stack:
        async with consuming(process()):
            await listen(infra, amqp_url, 1)
            history.events += [held(1), held(2)]
            await publish(channel, *history.events)
            await taken.until(lambda positions: positions == [2])
            await stack.enter_async_context(consuming(process()))
            await listen(infra, amqp_url, 2)
        await (await channel.get_queue("statistics.retry.600000")).purge()
        taken.fails = lambda event: None
        history.events.append(held(3))
        await publish(channel, held(3))
        await taken.until(lambda positions: 3 in positions)
        assert taken.positions == [2, 1, 3]


@pytest.mark.usefixtures("exchange")
async def test_who_takes_over_takes_nothing_for_lost_that_is_on_its_way_back(
    amqp_url: str, channel: AbstractChannel, taken: Taken, infra: Infrastructure
) -> None:
    """Given two events put aside, of which one comes back from its delay to the process that takes over, then the other
    one is not tried before its delay is over."""
    wiring, rules = Wiring(amqp_url, "statistics", audit_every=3600), replace(RULES, delays=(600,))
    store, history, delayed = MemoryStore(), MemoryHistory([held(1), held(2)]), "statistics.retry.600000"

    def fail(event: CloudEvent) -> None:
        raise LookupError

    def process() -> Consumer[None]:
        return Consumer(wiring, rules, taken.handlers, store, history)

    taken.fails = fail
    async with AsyncExitStack() as stack:
        async with consuming(process()):
            await listen(infra, amqp_url, 1)
            first, second = await messages_of(channel, delayed, 2)
            await stack.enter_async_context(consuming(process()))
            await listen(infra, amqp_url, 2)
        taken.fails = lambda event: None
        for message, queue in ((first, delayed), (second, "statistics")):
            await publish(channel, Incoming(message.body, dict(message.headers)), to=queue)
        history.events.append(held(3))
        await publish(channel, held(3))
        await taken.until(lambda positions: 3 in positions)
        assert taken.positions == [2, 3]


class Asked(MemoryHistory):
    """Tells how often it is asked."""

    def __init__(self, *log: Incoming) -> None:
        super().__init__(log)
        self._times, self._asked = 0, asyncio.Event()

    async def page(self, after: int, limit: int = 500, wanted: Patterns = EVERYTHING) -> Page:
        self._times += 1
        self._asked.set()
        return await super().page(after, limit, wanted)

    async def again(self, times: int) -> None:
        """Until it was asked so often from now on."""
        enough = self._times + times
        async with asyncio.timeout(PATIENCE):
            while self._times < enough:
                self._asked.clear()
                await self._asked.wait()


@pytest.mark.usefixtures("exchange")
@pytest.mark.parametrize("in_order", [False, True])
async def test_who_stands_by_does_not_begin_what_the_other_has_in_hand(
    amqp_url: str, channel: AbstractChannel, taken: Taken, infra: Infrastructure, in_order: bool
) -> None:
    """Given a process in the middle of an event, or waiting for its next attempt in place, when another one looks at
    the history again and again, then it leaves that event to the first."""
    tries, began, go_on = 0, asyncio.Event(), asyncio.Event()

    @taken.handlers.on("lead.recorded")
    async def take(event: CloudEvent, within: object) -> None:
        nonlocal tries
        tries += 1
        began.set()
        if in_order:
            raise LookupError
        if tries == 1:
            await go_on.wait()

    store, rules = MemoryStore(), replace(RULES, in_order=in_order, delays=(3600,))
    history = Asked(held(1))

    def process(audit_every: float, log: MemoryHistory) -> Consumer[None]:
        wiring = Wiring(amqp_url, "statistics", audit_every=audit_every)
        return Consumer(wiring, rules, taken.handlers, store, log)

    async with consuming(process(3600, MemoryHistory([held(1)]))):
        await taken.until(lambda positions: positions == [1])
        await listen(infra, amqp_url, 1)
        async with consuming(process(0.05, history)):
            await history.again(3)
            event = an_event("lead.recorded", {}, position=2)
            await publish(channel, event)
            await began.wait()
            history.events.append(event)
            await history.again(10)
            go_on.set()
    assert tries == 1


@pytest.mark.usefixtures("exchange")
async def test_two_processes_that_are_brought_nothing_miss_nothing(amqp_url: str, taken: Taken) -> None:
    """Given two processes, to neither of which the broker brings anything, then what is recorded is handled."""
    store, history = MemoryStore(), MemoryHistory([held(1)])
    wiring, rules = Wiring(amqp_url, "statistics", audit_every=0.05), replace(RULES, handler_timeout=0.1)

    def process() -> Consumer[None]:
        return Consumer(wiring, rules, taken.handlers, store, history)

    async with consuming(process()), consuming(process()):
        await taken.until(lambda positions: positions == [1])
        history.events.append(held(2))
        await taken.until(lambda positions: positions == [1, 2])
