"""Commands that could not be executed, in the dead-letter queue: looked at, sent again, or given up.

Looking takes them out without acknowledging, and they go back when the channel closes: so nothing here can lose one.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from aio_pika import DeliveryMode, Message
from aio_pika.abc import AbstractChannel, AbstractIncomingMessage
from aio_pika.exceptions import ChannelNotFoundEntity, DeliveryError

from services.cli.broker import broker
from services.cli.terminal import wrong
from shared.broker import topology

MOST = 5_000
"""Dead letters that are looked at."""


@dataclass(frozen=True, slots=True)
class DeadLetter:
    message: AbstractIncomingMessage

    @property
    def id(self) -> str:
        """From its content and its reason: the same again whenever it is looked at."""
        known = f"{self.message.message_id}/{self.message.correlation_id}/{self.reason}/".encode()
        return hashlib.sha256(known + self.message.body).hexdigest()[:12]

    @property
    def reason(self) -> str:
        """The problem's code, or what the broker says, such as `delivery_limit`."""
        headers = self.message.headers or {}
        return str(headers.get("kithlog-reason") or headers.get("x-first-death-reason") or "unknown")

    @property
    def detail(self) -> str:
        return str((self.message.headers or {}).get("kithlog-detail", ""))

    def to_dict(self, *, whole: bool = False) -> dict[str, Any]:
        content = self._content()
        envelope = content if isinstance(content, dict) else {}
        found: dict[str, Any] = {
            "id": self.id,
            "command": envelope.get("command"),
            "tenant": envelope.get("tenant"),
            "stream_id": envelope.get("id"),
            "command_id": envelope.get("command_id"),
            "reason": self.reason,
            "detail": self.detail,
            "bytes": len(self.message.body),
        }
        return found | {"headers": dict(self.message.headers or {}), "body": content} if whole else found

    @property
    def key(self) -> tuple[str, UUID] | None:
        """Tenant and command id, of what is a command."""
        named = self.to_dict()
        try:
            return str(named["tenant"]), UUID(str(named["command_id"]))
        except ValueError:
            return None

    def _content(self) -> Any:
        try:
            return json.loads(self.message.body)
        except ValueError:
            return self.message.body.decode("utf-8", "replace")

    def again(self) -> Message:
        """As it was sent; its own headers are left out: among them some would take effect again, such as `CC`."""
        return Message(
            self.message.body,
            content_type=self.message.content_type,
            correlation_id=self.message.correlation_id,
            message_id=self.message.message_id,
            type=self.message.type,
            delivery_mode=DeliveryMode.PERSISTENT,
        )


@asynccontextmanager
async def dead_letters(amqp_url: str) -> AsyncIterator[tuple[AbstractChannel, list[DeadLetter]]]:
    """All of them, held while they are looked at: up to `MOST`, in the queue's order.

    Raises `Ended` where broker or queue are not there.
    """
    async with broker(amqp_url, "dead letters") as connection:
        channel = connection.channel(publisher_confirms=True, on_return_raises=True)
        await channel.initialize()
        try:
            queue = await channel.declare_queue(topology.DEAD_COMMANDS, passive=True)
        except ChannelNotFoundEntity:
            raise wrong(f"there is no queue {topology.DEAD_COMMANDS}: start the command service, it makes it") from None
        letters: list[DeadLetter] = []
        while len(letters) < MOST and (message := await queue.get(fail=False)) is not None:
            letters.append(DeadLetter(message))
        yield channel, letters


async def send_again(channel: AbstractChannel, letter: DeadLetter) -> None:
    """Returns when the broker has it safe in the commands' queue. Raises `Ended` when that does not take it."""
    try:
        await channel.default_exchange.publish(letter.again(), topology.COMMANDS, mandatory=True)
    except DeliveryError:
        raise wrong(f"{topology.COMMANDS} does not take it (missing, or full): dead letter {letter.id} stays") from None


async def settle(channel: AbstractChannel, letter: DeadLetter) -> None:
    """Take it out of the queue; returns when the broker has heard of it."""
    await letter.message.ack()
    # Acknowledgements are not confirmed. What is asked for after one on the same channel is answered after it.
    await channel.declare_queue(topology.DEAD_COMMANDS, passive=True)
