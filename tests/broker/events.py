"""Events to publish, and consumers that remember what they saw."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from typing import Protocol
from uuid import UUID, uuid5

from aio_pika.abc import AbstractChannel, AbstractIncomingMessage

from shared.broker import cloudevents, topology
from shared.broker.connection import UNREACHABLE, connect
from shared.broker.outgoing import Outgoing
from shared.domain.kernel import Stream
from shared.envelope import Recorded
from shared.log import Append, Pending

IDS = UUID("00000000-0000-4000-8000-00000000b40c")
NOON = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
PATIENCE = 60.0
"""Seconds after which a test that waits for something gives up: not a measure, a way out."""
FOR_EVER = 3600.0
"""Seconds: longer than any test takes."""


def an_id(name: object) -> UUID:
    return uuid5(IDS, str(name))


def an_event(position: int = 7, data: bytes = b'{"minutes":25}', **changes: object) -> Recorded[bytes]:
    """The event at a position, each as a stream of its own."""
    fields = {
        "position": position,
        "epoch": 1,
        "tenant": "demo",
        "category": "interview",
        "stream_id": an_id(f"stream {position}"),
        "version": 1,
        "event_id": an_id(f"event {position}"),
        "type": "interview.held",
        "schema_version": 1,
        "occurred_at": NOON,
        "recorded_at": NOON + timedelta(seconds=1),
        "actor": "seeker:1",
        "command_id": an_id(f"command {position}"),
        "correlation_id": an_id(f"correlation {position}"),
        "causation_id": an_id(f"cause {position}"),
        "data": data,
    }
    return Recorded(**(fields | changes))  # type: ignore[arg-type]


def a_message(number: int, routing_key: str = "demo.interview.held", body: bytes = b"{}") -> Outgoing:
    return Outgoing(routing_key, body, str(an_id(number)), "application/json", headers={"number": number})


def an_append(number: int) -> Append:
    """One event on a stream of its own."""
    stream = Stream("interview", an_id(f"stream {number}"))
    return Append(
        tenant="demo",
        command_id=an_id(f"command {number}"),
        events=[Pending(stream, "interview.held", 1, b'{"minutes":25,"notes":"' + b"x" * 400 + b'"}')],
        expected={stream: 0},
        occurred_at=NOON,
        correlation_id=an_id(f"correlation {number}"),
        causation_id=an_id(f"command {number}"),
        fingerprint=number.to_bytes(8, "big"),
    )


class Runs(Protocol):
    async def run(self, stop: asyncio.Event) -> None: ...


@asynccontextmanager
async def running(service: Runs, stop: asyncio.Event | None = None) -> AsyncIterator[asyncio.Task[None]]:
    """A relay or an intake, in the background until the block ends."""
    stop = stop or asyncio.Event()
    task = asyncio.create_task(service.run(stop))
    try:
        yield task
    finally:
        stop.set()
        async with asyncio.timeout(PATIENCE):
            await task


class Seen:
    """What a consumer has received, in order; `until` waits on a signal."""

    def __init__(self) -> None:
        self.messages: list[AbstractIncomingMessage] = []
        self.positions: list[int] = []
        """Of those that are events."""
        self.in_order: list[int] = []
        """Positions without those that a consumer knows already, which it tells by their position alone."""
        self._changed = asyncio.Condition()

    async def take(self, message: AbstractIncomingMessage) -> None:
        async with self._changed:
            self.messages.append(message)
            if message.content_type == cloudevents.CONTENT_TYPE:
                position = cloudevents.decode(message.body, message.headers).position
                self.positions.append(position)
                if not self.in_order or position > self.in_order[-1]:
                    self.in_order.append(position)
            self._changed.notify_all()

    async def until(self, holds: Callable[[Seen], bool]) -> None:
        async with asyncio.timeout(PATIENCE), self._changed:
            await self._changed.wait_for(lambda: holds(self))


async def set_up(amqp_url: str) -> None:
    """Declare everything, as soon as the broker can: after a start, its streams take longer than its port."""

    async def declared() -> bool:
        with suppress(*UNREACHABLE):
            connection = await connect(amqp_url, "set-up")
            async with connection, connection.channel() as channel:
                await topology.declare(channel)
                return True
        return False

    await reached(declared)


@asynccontextmanager
async def consuming(amqp_url: str, queue: str = topology.PROJECTOR, seen: Seen | None = None) -> AsyncIterator[Seen]:
    """A consumer that acknowledges what it has seen."""
    seen = seen or Seen()

    async def take(message: AbstractIncomingMessage) -> None:
        await seen.take(message)
        with suppress(*UNREACHABLE):  # then it comes again
            await message.ack()

    await set_up(amqp_url)
    connection = await connect(amqp_url, "consumer")
    async with connection:
        opened = await connection.channel()
        await (await opened.get_queue(queue)).consume(take)
        yield seen


async def taken(channel: AbstractChannel, queue: str) -> AbstractIncomingMessage:
    """The next message of a queue, waited for, acknowledged."""
    seen = Seen()
    there = await channel.get_queue(queue, ensure=False)
    tag = await there.consume(seen.take)
    await seen.until(lambda now: bool(now.messages))
    await seen.messages[0].ack()
    await there.cancel(tag)
    return seen.messages[0]


async def reached(holds: Callable[[], Awaitable[bool]], *, patience: float = PATIENCE) -> None:
    """Ask again until it holds."""
    async with asyncio.timeout(patience):
        while not await holds():  # noqa: ASYNC110 - what is asked about gives no signal
            await asyncio.sleep(0.01)
