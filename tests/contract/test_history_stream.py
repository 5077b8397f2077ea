"""The stream queue: the broker's own copy of the last weeks, read from anywhere."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import datetime, timedelta

import pytest
from aio_pika.abc import AbstractIncomingMessage

from services.command.relay import Relay
from shared.broker import cloudevents, topology
from shared.broker.connection import connect
from shared.clock import SystemClock
from shared.log import Append, Log
from tests.contract.conftest import PATIENCE, an_append

Write = Callable[[Sequence[Append]], Awaitable[None]]


@asynccontextmanager
async def reading(amqp_url: str, start: str | int | datetime) -> AsyncIterator[asyncio.Queue[int]]:
    """The positions that a consumer gets who begins at `start`."""
    positions: asyncio.Queue[int] = asyncio.Queue()

    async def take(message: AbstractIncomingMessage) -> None:
        positions.put_nowait(cloudevents.decode(message.body, message.headers).position)
        await message.ack()

    connection = await connect(amqp_url, "history reader")
    async with connection, connection.channel() as channel:
        await channel.set_qos(prefetch_count=100)
        queue = await channel.get_queue(topology.HISTORY)
        await queue.consume(take, arguments={"x-stream-offset": start})
        yield positions


async def take(positions: asyncio.Queue[int], count: int) -> list[int]:
    async with asyncio.timeout(PATIENCE):
        return [await positions.get() for _ in range(count)]


@pytest.fixture
async def relay(database_url: str, amqp_url: str, log: Log) -> Relay:
    return Relay(database_url, amqp_url, log)


async def test_first_gives_all_again_and_again(relay: Relay, amqp_url: str, append: Write) -> None:
    """Given events that were published and read, when they are read from the first, then all are there once more."""
    await append([an_append(number) for number in range(20)])
    await relay.run_once()

    for _ in range(2):
        async with reading(amqp_url, "first") as positions:
            assert await take(positions, 20) == list(range(1, 21))


async def test_an_offset_gives_what_follows_it(relay: Relay, amqp_url: str, append: Write) -> None:
    """Given a consumer that remembers an offset, then it goes on there; offsets count messages from 0."""
    await append([an_append(number) for number in range(20)])
    await relay.run_once()

    async with reading(amqp_url, 15) as positions:
        assert await take(positions, 5) == [16, 17, 18, 19, 20]


async def test_last_gives_the_latest_and_what_comes(relay: Relay, amqp_url: str, append: Write) -> None:
    """Given `last`, then it begins with the broker's last chunk, whatever is in it, and goes on with what comes."""
    await append([an_append(number) for number in range(20)])
    await relay.run_once()

    async with reading(amqp_url, "last") as positions:
        seen = await take(positions, 1)
        seen += await take(positions, 20 - seen[0])
        await append([an_append(20)])
        await relay.run_once()
        seen += await take(positions, 1)

    assert seen == list(range(seen[0], 22))


async def test_a_time_gives_what_came_since(relay: Relay, amqp_url: str, append: Write) -> None:
    """Given a time before the events, then all come; given one that is still ahead, then only what comes next."""
    await append([an_append(number) for number in range(5)])
    await relay.run_once()
    now = SystemClock().now()

    async with (
        reading(amqp_url, now - timedelta(hours=1)) as since_an_hour,
        reading(amqp_url, now + timedelta(hours=1)) as from_later,
    ):
        assert await take(since_an_hour, 5) == [1, 2, 3, 4, 5]
        await append([an_append(5)])
        await relay.run_once()
        assert await take(since_an_hour, 1) == [6]
        assert await take(from_later, 1) == [6]


async def test_history_and_present_have_a_seam_without_a_gap(relay: Relay, amqp_url: str, append: Write) -> None:
    """Given a consumer with a queue of its own who begins late, when it reads the stream up to the `previous` of its
    first live message, then it has every event, and knows it.
    """
    await append([an_append(number) for number in range(10)])
    await relay.run_once()
    connection = await connect(amqp_url, "late consumer")
    async with connection, connection.channel() as channel:
        own = await channel.declare_queue(exclusive=True)
        await own.bind(topology.EVENTS, "#")
        await append([an_append(number) for number in range(10, 13)])
        await relay.run_once()
        live = [await own.get(timeout=PATIENCE) for _ in range(3)]

    previous = live[0].headers["previous"]
    assert isinstance(previous, int)
    async with reading(amqp_url, "first") as positions:
        history = await take(positions, previous)

    assert history == list(range(1, 11))
    assert [message.headers["position"] for message in live] == [11, 12, 13]
