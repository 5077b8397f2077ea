"""Publishing with proof: what `publish` returns from is on the broker's disks, in order."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import structlog
from aio_pika.abc import AbstractConnection
from aiormq.abc import AbstractChannel

from shared.broker.batch import BatchPublisher, UnknownShape
from shared.broker.outgoing import Outgoing, Publisher, failure

logger = structlog.get_logger(__name__)


class PipelinedPublisher:
    """By the client library's ordinary means, all messages of a batch on their way at once."""

    def __init__(self, channel: AbstractChannel, exchange: str) -> None:
        self._channel, self._exchange = channel, exchange

    async def publish(self, batch: Sequence[Outgoing]) -> None:
        # Exceptions are gathered, so that the channel's way of cancelling what waits when it closes is not taken for
        # a cancellation of the caller.
        results = await asyncio.gather(*(self._publish(each) for each in batch), return_exceptions=True)
        for message, result in zip(batch, results, strict=True):
            if isinstance(result, BaseException):
                raise failure(result, message.routing_key) from result

    async def _publish(self, message: Outgoing) -> None:
        await self._channel.basic_publish(
            message.body,
            exchange=self._exchange,
            routing_key=message.routing_key,
            properties=message.properties(),
            mandatory=True,
        )


async def open_publisher(connection: AbstractConnection, exchange: str) -> Publisher:
    """A publisher on a channel of its own: the fast one where the client library is as that one knows it."""
    opened = connection.channel(publisher_confirms=True, on_return_raises=True)
    await opened.initialize()
    channel = await opened.get_underlay_channel()
    try:
        return BatchPublisher(channel, exchange)
    except UnknownShape as unknown:
        logger.warning("publishing slowly: the client library is not as expected", reason=str(unknown))
        return PipelinedPublisher(channel, exchange)
