"""Commands that could not be executed, in the dead-letter queue: looked at, sent again, or given up.

Looking takes them out without acknowledging, and they go back when the channel closes: so nothing here can lose one.

A quorum queue puts what comes back behind what has come back before. So that the order stays, all are taken, however
few are asked for, and by one consumer: its letters come back in their order, those of several `basic.get` in none.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from aio_pika import DeliveryMode, Message
from aio_pika.abc import AbstractChannel, AbstractIncomingMessage
from aio_pika.exceptions import ChannelNotFoundEntity, DeliveryError

from services.cli.broker import broker
from services.cli.terminal import wrong
from shared.broker import topology
from shared.broker.connection import UNREACHABLE
from shared.broker.properties import UNREADABLE
from shared.operations import strict_json

MOST = 65_535
"""Dead letters that can be held at once: the largest prefetch that AMQP has."""
_PATIENCE = 1.0
"""Seconds after which it is asked whether somebody else has taken the next one."""


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
        known = headers.get("kithlog-reason") or headers.get("x-first-death-reason")
        return str(known or ("unreadable_properties" if UNREADABLE in headers else "unknown"))

    @property
    def detail(self) -> str:
        headers = self.message.headers or {}
        return str(headers.get("kithlog-detail") or headers.get(UNREADABLE, ""))

    def to_dict(self, *, whole: bool = False) -> dict[str, Any]:
        content = self._content()
        envelope = content if isinstance(content, dict) else {}
        named = {name: value for name, value in envelope.items() if isinstance(value, str)}
        found: dict[str, Any] = {
            "id": self.id,
            "command": named.get("command"),
            "tenant": named.get("tenant"),
            "stream_id": named.get("id"),
            "command_id": named.get("command_id"),
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
        """Its value where that can be shown and recorded, else its text."""
        try:
            return strict_json.parse(self.message.body)
        except strict_json.NotJson:
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


class DeadLetters:
    """The queue of them, as it was when looking at it began. Use `dead_letters`."""

    def __init__(
        self, channel: AbstractChannel, count: int, consumers: int, arriving: asyncio.Queue[AbstractIncomingMessage]
    ) -> None:
        self._channel, self._arriving, self._held = channel, arriving, 0
        self.others = consumers > 0
        """Whether somebody else was looking, and may hold some."""
        self.count = self.left = count
        """How many lay there, without those that somebody else was holding; and how many of them are not settled."""

    async def each(self) -> AsyncIterator[DeadLetter]:
        """Those that lay there, in the queue's order; to be gone through once.

        It ends early when `MOST` are not settled, and where somebody else holds the rest. What is sent again and fails
        again comes back behind them, so it is not met a second time.
        """
        for _ in range(self.count):
            if self._held == MOST:
                return
            while True:
                with suppress(TimeoutError):
                    message = await asyncio.wait_for(self._arriving.get(), _PATIENCE)
                    break
                if not await _waiting(self._channel) and self._arriving.empty():
                    return
            self._held += 1
            yield DeadLetter(message)

    async def send_again(self, letter: DeadLetter) -> None:
        """Returns when the broker has it safe in the commands' queue. Raises `Ended` when that does not take it."""
        try:
            await self._channel.default_exchange.publish(letter.again(), topology.COMMANDS, mandatory=True)
        except DeliveryError:
            raise wrong(
                f"{topology.COMMANDS} does not take it (missing, or full): dead letter {letter.id} stays, and so do "
                "those behind it"
            ) from None

    async def settle(self, letter: DeadLetter) -> None:
        """Take it out of the queue; returns when the broker has heard of it."""
        await letter.message.ack()
        self._held -= 1
        self.left -= 1
        # Acknowledgements are not confirmed. What is asked for after one on the same channel is answered after it.
        await _waiting(self._channel)


@asynccontextmanager
async def dead_letters(amqp_url: str) -> AsyncIterator[DeadLetters]:
    """All of them, held while they are looked at. Raises `Ended` where broker or queue are not there."""
    async with broker(amqp_url, "dead letters") as connection:
        channel = connection.channel(publisher_confirms=True, on_return_raises=True)
        await channel.initialize()
        try:
            count, consumers = await _counts(channel)
        except ChannelNotFoundEntity:
            raise wrong(f"there is no queue {topology.DEAD_COMMANDS}: start the command service, it makes it") from None
        arriving: asyncio.Queue[AbstractIncomingMessage] = asyncio.Queue()
        await channel.set_qos(prefetch_count=MOST)
        queue = await channel.get_queue(topology.DEAD_COMMANDS, ensure=False)
        tag = await queue.consume(arriving.put)
        letters = DeadLetters(channel, count, consumers, arriving)
        try:
            yield letters
        finally:
            with suppress(*UNREACHABLE):
                await queue.cancel(tag)  # or the next verb may take what is closed, and holds none, for somebody else
                await channel.close()  # which gives back what was not settled, in its order, some time later
                async with asyncio.timeout(_PATIENCE), connection.channel() as another:
                    # So that the next verb finds all of it.
                    while await _waiting(another) < letters.left:  # noqa: ASYNC110
                        await asyncio.sleep(0.01)


async def _waiting(channel: AbstractChannel) -> int:
    """How many lie in the queue that nobody holds."""
    return (await _counts(channel))[0]


async def _counts(channel: AbstractChannel) -> tuple[int, int]:
    """The same, and how many look at them."""
    found = (await channel.declare_queue(topology.DEAD_COMMANDS, passive=True)).declaration_result
    return found.message_count or 0, found.consumer_count or 0
