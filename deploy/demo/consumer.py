"""A small consumer, bound to the exchange as any other service would be."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import aio_pika
from aio_pika.abc import AbstractIncomingMessage

from shared.broker.topology import EVENTS


@dataclass
class Heard:
    """The notification events that arrived, in their order."""

    due: list[dict[str, Any]] = field(default_factory=list)
    withdrawn: list[dict[str, Any]] = field(default_factory=list)
    delivered: set[str] = field(default_factory=set)
    """Subjects of the notifications that somebody was told of, says who delivers them."""
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    def take(self, message: AbstractIncomingMessage) -> None:
        event = json.loads(message.body)
        if event["type"].startswith("kithlog.notification.due."):
            self.due.append(event)
        elif event["type"].startswith("kithlog.notification.withdrawn."):
            self.withdrawn.append(event)
        elif event["type"].startswith("kithlog.notification.delivered."):
            self.delivered.add(event["subject"])
        self.changed.set()

    async def until(self, enough: Any, *, seconds: float) -> bool:
        """Wait until `enough()` is true; False when it is not within `seconds`."""
        try:
            async with asyncio.timeout(seconds):
                while not enough():
                    self.changed.clear()
                    await self.changed.wait()
        except TimeoutError:
            return False
        return True


@asynccontextmanager
async def listening(amqp_url: str, tenant: str) -> AsyncIterator[Heard]:
    """Hear the tenant's notifications for as long as the story is told, on a queue that goes with it."""
    heard = Heard()

    async def on_message(message: AbstractIncomingMessage) -> None:
        async with message.process():
            heard.take(message)

    connection = await aio_pika.connect(amqp_url)
    async with connection:
        channel = await connection.channel()
        await channel.set_qos(prefetch_count=100)
        queue = await channel.declare_queue(exclusive=True)
        await queue.bind(EVENTS, routing_key=f"{tenant}.notification.*")
        await queue.consume(on_message)
        yield heard
