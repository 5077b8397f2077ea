"""Messages on a real broker, and consumers that run beside a test."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import aio_pika
from aio_pika.abc import AbstractChannel, AbstractIncomingMessage

from deploy.launcher.infrastructure import Infrastructure
from shared.client import CloudEvent, Consumer, Handlers, Incoming, MemoryStore, Rules, Wiring
from shared.client.event import parse
from shared.client.queues import EXCHANGE
from shared.client.testing import MemoryHistory, an_event
from tests.chaos.processes import consumers

RULES = Rules(begin="first", delays=(0.05, 0.1))
PATIENCE = 120.0
"""Seconds after which a test that waits for something gives up: not a measure, a way out."""


class Taken:
    """What a handler took; `until` waits on a signal. `fails` may raise for an event."""

    def __init__(self) -> None:
        self.positions: list[int] = []
        self.handlers: Handlers[Any] = Handlers()
        self.handlers.on("interview.held")(self._take)
        self.fails: Callable[[CloudEvent], None] = lambda event: None
        self._changed = asyncio.Event()

    async def _take(self, event: CloudEvent, within: object) -> None:
        self.fails(event)
        self.positions.append(event.position)
        self._changed.set()

    async def until(self, holds: Callable[[list[int]], bool]) -> None:
        async with asyncio.timeout(PATIENCE):
            while not holds(self.positions):
                self._changed.clear()
                await self._changed.wait()


@asynccontextmanager
async def consuming(consumer: Consumer[Any]) -> AsyncIterator[None]:
    """The consumer runs; at the end it is stopped, and must not have failed."""
    stop = asyncio.Event()
    running = asyncio.create_task(consumer.run(stop))
    try:
        yield
    finally:
        stop.set()
        async with asyncio.timeout(PATIENCE):
            await running


async def publish(channel: AbstractChannel, *messages: Incoming, to: str | None = None) -> None:
    """To the exchange of all events, or to one queue."""
    exchange = channel.default_exchange if to else await channel.get_exchange(EXCHANGE)
    for each in messages:
        key = to or parse(each.body).routing_key
        headers = dict(each.headers)
        await exchange.publish(aio_pika.Message(each.body, headers=headers, delivery_mode=2), key, mandatory=True)


async def messages_of(channel: AbstractChannel, queue: str, count: int) -> list[AbstractIncomingMessage]:
    """The next messages of a queue, waited for, acknowledged."""
    there = await channel.get_queue(queue, ensure=False)
    taken: asyncio.Queue[AbstractIncomingMessage] = asyncio.Queue()
    tag = await there.consume(taken.put)
    async with asyncio.timeout(PATIENCE):
        messages = [await taken.get() for _ in range(count)]
    for message in messages:
        await message.ack()
    await there.cancel(tag)
    return messages


async def next_of(channel: AbstractChannel, queue: str) -> AbstractIncomingMessage:
    [message] = await messages_of(channel, queue, 1)
    return message


def held(position: int, **attributes: Any) -> Incoming:
    return an_event("interview.held", {"minutes": 25}, position=position, **attributes)


def a_consumer(
    amqp_url: str, taken: Taken, *log: Incoming, store: MemoryStore | None = None, audit_every: float = 0.2
) -> Consumer[None]:
    wiring = Wiring(amqp_url, "statistics", audit_every=audit_every)
    return Consumer(wiring, RULES, taken.handlers, store or MemoryStore(), MemoryHistory(log))


class Slow:
    """Handles `lead.recorded` once it may go on."""

    def __init__(self, taken: Taken) -> None:
        self.began, self.go_on, self._taken = asyncio.Event(), asyncio.Event(), taken
        taken.handlers.on("lead.recorded")(self._take)

    async def _take(self, event: CloudEvent, within: object) -> None:
        self.began.set()
        await self.go_on.wait()
        self._taken.positions.append(event.position)


async def listen(infra: Infrastructure, amqp_url: str, processes: int) -> None:
    """Until the queue has so many consumers, those included that wait for their turn."""
    async with asyncio.timeout(PATIENCE):
        while (await consumers(infra.rabbitmq, amqp_url))["statistics"] != processes:  # noqa: ASYNC110
            await asyncio.sleep(0.05)
