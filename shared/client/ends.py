"""Where messages go that can't be handled now: the queues of what comes again, and of what is parked."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from reprlib import Repr
from typing import Any

import aio_pika
from aio_pika.abc import AbstractChannel
from pamqp import encode

from shared.client.message import ATTEMPTS, REASON, Incoming
from shared.client.queues import Queues

UNSENDABLE = "unsendable"
"""Header that tells of those of the message's own that can't be sent again."""
LARGEST = 64 * 1024
"""Bytes of a message's own headers that are sent again: they have to fit into one frame, ours beside them."""
DEEPEST = 50
"""Tables within tables that can be written from however deep in calls."""
_BRIEF = 8 * 1024


class Queued:
    """Retries and parked messages, published to their queues."""

    def __init__(self, queues: Queues, confirmed: Callable[[Awaitable[object]], Awaitable[None]]) -> None:
        """`confirmed` awaits what sends a message; it may raise to end the waiting."""
        self._queues, self._confirmed = queues, confirmed
        self.channel: AbstractChannel | None = None

    async def retry(self, message: Incoming, attempts: int, error: str) -> None:
        await self._publish(self._queues.retry(attempts), message, {ATTEMPTS: attempts, "error": _text(error, 500)})

    async def park(self, message: Incoming, attempts: int, reason: str, error: str) -> None:
        told = {REASON: _text(reason, 200), "error": _text(error, 2000)}
        await self._publish(self._queues.parked, message, {ATTEMPTS: attempts, **told, "queue": self._queues.name})

    async def _publish(self, queue: str, message: Incoming, headers: Mapping[str, Any]) -> None:
        assert self.channel is not None
        kept = sendable({name: value for name, value in message.headers.items() if not name.startswith("x-")})
        outgoing = aio_pika.Message(
            message.body,
            headers={**kept, **headers},
            content_type="application/cloudevents+json",
            delivery_mode=aio_pika.DeliveryMode.PERSISTENT,
        )
        sending = self.channel.default_exchange.publish(outgoing, routing_key=queue, mandatory=True)
        await self._confirmed(sending)


def sendable(headers: Mapping[str, Any]) -> dict[str, Any]:
    """Those that can be sent again, as they are; the others told as text in `UNSENDABLE`.

    Not everything that the library reads it writes: not a large double, nor a text that is not UTF-8. What was sent in
    vain would be tried for ever, with all that is behind it.
    """
    kept, others, room = dict[str, Any](), dict[str, Any](), LARGEST
    for name, value in headers.items():
        size = _size(name, value)
        if size is not None and size <= room:
            kept[name] = value
            room -= size
        else:
            others[name] = value
    if others:
        brief = Repr()
        brief.maxdict, brief.maxlist, brief.maxstring, brief.maxother = 50, 50, 200, 200
        kept[UNSENDABLE] = brief.repr(others)[:_BRIEF]
    return kept


def _size(name: str, value: Any) -> int | None:
    """Bytes of a header; None: it can't be sent."""
    with suppress(Exception):
        if _depth(value) <= DEEPEST:
            return len(encode.field_table({name: value}))
    return None


def _depth(value: object) -> int:
    below = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return 1 + max(map(_depth, below), default=0)


def _text(text: str, most: int) -> str:
    """What a handler has raised may quote half a character."""
    return text[:most].encode(errors="replace").decode()
