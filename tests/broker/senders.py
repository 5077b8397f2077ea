"""Another service that sends commands, and executors that do as they are told."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from typing import Any

from aio_pika import DeliveryMode, Message
from aio_pika.abc import AbstractChannel, AbstractIncomingMessage

from shared.broker.connection import connect
from shared.broker.topology import COMMANDS
from shared.command_envelope import CommandEnvelope
from shared.log import Appended, Log
from tests.broker.events import NOON, Seen, an_id, set_up


class FixedClock:
    def now(self) -> Any:
        return NOON


class Scripted:
    """Executes nothing and answers, or raises, what it was told to; the last for ever."""

    head = 100

    def __init__(self, *script: Exception) -> None:
        self.script = list(script)
        self.calls: list[list[CommandEnvelope]] = []
        self.called = asyncio.Event()

    async def execute_all(self, envelopes: Sequence[CommandEnvelope]) -> list[Appended | Exception]:
        self.calls.append(list(envelopes))
        self.called.set()
        if self.script:
            raise self.script.pop(0)
        return [Appended(each.command_id, 1, (), NOON) for each in envelopes]

    async def confirm(self) -> int:
        """Whoever is asked after the script was played can execute commands."""
        if self.script:
            raise self.script.pop(0)
        return self.head


def registration(number: int = 1, **changes: Any) -> dict[str, Any]:
    """A command message that registers a seeker of its own."""
    return {
        "command": "seeker.register",
        "tenant": "demo",
        "id": str(an_id(f"seeker {number}")),
        "command_id": str(an_id(f"command {number}")),
        "data": {"name": "Ada Example", "time_zone": "Europe/Vienna"},
    } | changes


class Sender:
    """Another service that sends commands."""

    def __init__(self, channel: AbstractChannel, replies: str) -> None:
        self._channel, self._replies = channel, replies
        self.answers = Seen()

    async def send(self, body: object, *, reply: bool = True, correlation: str | None = None, **more: Any) -> None:
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        message = Message(
            raw,
            delivery_mode=DeliveryMode.PERSISTENT,
            reply_to=self._replies if reply else None,
            correlation_id=correlation,
            **more,
        )
        await self._channel.default_exchange.publish(message, COMMANDS)

    async def answer(self, number: int = 1) -> tuple[AbstractIncomingMessage, Any]:
        """The n-th answer, from 1, and what is in it."""
        await self.answers.until(lambda now: len(now.messages) >= number)
        message = self.answers.messages[number - 1]
        return message, json.loads(message.body)


async def is_empty(channel: AbstractChannel, queue: str) -> bool:
    """Asked once the intake has gone: what it had taken and not settled is back by then."""
    return (await channel.declare_queue(queue, passive=True)).declaration_result.message_count == 0


async def send_many(amqp_url: str, numbers: range) -> None:
    await set_up(amqp_url)
    connection = await connect(amqp_url, "sender")
    async with connection:
        channel = await connection.channel()
        sender = Sender(channel, "")
        for number in numbers:
            await sender.send(registration(number), reply=False)


async def as_many(found: Sequence[object], number: int) -> bool:
    return len(found) >= number


async def holds(log: Log, events: int) -> bool:
    return (await log.head()).position >= events


async def die_holding(amqp_url: str, number: int) -> None:
    """A consumer that takes so many commands and is gone before it settles one."""
    connection = await connect(amqp_url, "dying")
    seen = Seen()
    opened = await connection.channel()
    await (await opened.get_queue(COMMANDS)).consume(seen.take)
    await seen.until(lambda now: len(now.messages) >= number)
    await connection.close()
