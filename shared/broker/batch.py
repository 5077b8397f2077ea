"""The fast publisher: a batch of frames in one write, and one future for all their confirms.

The client library spends a task, a future and a flush on each message, which bounds it to a few thousand a second;
this reaches the broker's own limit. It leans on members of aiormq's channel that are not documented, so all of that
is in this file, `_check_shape` refuses any other version, and the tests run it and the ordinary publisher through
the same contract.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, MutableMapping, Sequence
from importlib.metadata import version
from typing import Any

from aiormq.abc import AbstractChannel, ChannelFrame
from pamqp.body import ContentBody
from pamqp.commands import Basic
from pamqp.frame import marshal
from pamqp.header import ContentHeader

from shared.broker.outgoing import ConnectionLost, Outgoing, PublishFailed, failure

AIORMQ = "7.2."
_ROUTING_KEYS_KEPT = 10_000


class UnknownShape(Exception):
    """The client library's channel is not as this file knows it."""


class BatchPublisher:
    """See `shared.broker.outgoing.Publisher`. The channel must have confirms and `on_return_raises` on."""

    def __init__(self, channel: AbstractChannel, exchange: str) -> None:
        """Raises `UnknownShape`."""
        _check_shape(channel)
        self._channel: Any = channel
        self._exchange = exchange
        self._methods: dict[str, bytes] = {}
        self._failed: BaseException | None = None

    async def publish(self, batch: Sequence[Outgoing]) -> None:
        if not batch:
            return
        if self._failed is not None:
            raise ConnectionLost(f"this publisher has failed before: {self._failed!r}")
        try:
            confirms = await self._write(batch, b"".join(self._frames(batch)))
            await confirms.all_settled()
        except BaseException as error:
            # Also when cancelled: the broker's count of messages and the channel's may differ from now on.
            self._failed = error
            if isinstance(error, PublishFailed | asyncio.CancelledError):
                raise
            raise failure(error, batch[0].routing_key) from error
        finally:
            self._forget(batch)

    async def _write(self, batch: Sequence[Outgoing], chunk: bytes) -> Confirms:
        channel = self._channel
        async with channel.lock:
            first = channel.delivery_tag + 1
            confirms = Confirms(channel, first, batch)
            channel.delivery_tag += len(batch)
            channel.confirmations.update(dict.fromkeys(range(first, first + len(batch)), confirms))
            channel.message_id_delivery_tag.update(
                (message.message_id, first + ordinal) for ordinal, message in enumerate(batch)
            )
            await channel.write_queue.put(ChannelFrame(payload=chunk, should_close=False))
        return confirms

    def _forget(self, batch: Sequence[Outgoing]) -> None:
        for message in batch:
            self._channel.message_id_delivery_tag.pop(message.message_id, None)

    def _frames(self, batch: Sequence[Outgoing]) -> Iterator[bytes]:
        number, largest = self._channel.number, self._channel.max_content_size
        for message in batch:
            yield self._method(message.routing_key)
            yield marshal(ContentHeader(body_size=len(message.body), properties=message.properties()), number)
            for start in range(0, len(message.body), largest):
                yield marshal(ContentBody(message.body[start : start + largest]), number)

    def _method(self, routing_key: str) -> bytes:
        frame = self._methods.get(routing_key)
        if frame is None:
            if len(self._methods) >= _ROUTING_KEYS_KEPT:
                self._methods.clear()
            method = Basic.Publish(exchange=self._exchange, routing_key=routing_key, mandatory=True)
            frame = self._methods[routing_key] = marshal(method, self._channel.number)
        return frame


class Confirms:
    """Stands in the channel's table of confirmations under each tag of a batch, where a future a message would.

    The channel asks `done` and `cancelled` before it reports a tag and takes a second report to a done future for an
    error, so both always say no. Nothing here may raise: it runs in the channel's reader, and would end it.
    """

    def __init__(self, channel: AbstractChannel, first: int, batch: Sequence[Outgoing]) -> None:
        self._batch, self._waited_for = batch, len(batch)
        self._settled: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        # Read once, so that nothing is logged should nobody wait any more.
        self._settled.add_done_callback(lambda settled: settled.cancelled() or settled.exception())
        self._closing = channel.closing
        self._closing.add_done_callback(self._on_close)

    async def all_settled(self) -> None:
        """Wait for the last confirm, or the first failure. Raises `PublishFailed`."""
        try:
            await self._settled
        finally:
            self._closing.cancel()  # an observer of the channel's end, not the end itself

    def done(self) -> bool:
        return False

    def cancelled(self) -> bool:
        return False

    def set_result(self, frame: object) -> None:
        self._waited_for -= 1
        if self._waited_for == 0 and not self._settled.done():
            self._settled.set_result(None)

    def set_exception(self, error: BaseException) -> None:
        self._waited_for -= 1
        if not self._settled.done():
            self._settled.set_exception(failure(error, self._routing_key_of(error)))

    def _on_close(self, closing: asyncio.Future[Any]) -> None:
        if self._settled.done():
            return
        reason = "closed" if closing.cancelled() else repr(closing.exception())
        self._settled.set_exception(ConnectionLost(f"the connection closed before everything was confirmed: {reason}"))

    def _routing_key_of(self, error: BaseException) -> str:
        returned = getattr(error, "frame", None)
        return str(getattr(returned, "routing_key", None) or self._batch[0].routing_key)


def _check_shape(channel: Any) -> None:
    """Raises `UnknownShape` unless everything that is used above is there and of its kind."""
    if not version("aiormq").startswith(AIORMQ):
        raise UnknownShape(f"aiormq is {version('aiormq')}, known is {AIORMQ}x")
    kinds = {
        "confirmations": MutableMapping,
        "message_id_delivery_tag": MutableMapping,
        "delivery_tag": int,
        "number": int,
        "max_content_size": int,
        "write_queue": asyncio.Queue,
        "closing": asyncio.Future,
    }
    for name, kind in kinds.items():
        if not isinstance(getattr(channel, name, None), kind):
            raise UnknownShape(f"the channel's {name} is not a {kind.__name__}")
    if not hasattr(channel, "lock"):
        raise UnknownShape("the channel has no lock")
    if not (channel.publisher_confirms and channel.on_return_raises):
        raise UnknownShape("the channel must confirm and raise returns")
