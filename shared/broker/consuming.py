"""Consuming with FastStream, on a connection of which we know when it has ended."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, cast

from aio_pika import Connection, RobustConnection
from aio_pika.abc import AbstractIncomingMessage, TimeoutType
from faststream import AckPolicy
from faststream.message import StreamMessage
from faststream.rabbit import Channel, QueueType, RabbitBroker, RabbitQueue
from faststream.rabbit.schemas.queue import QuorumQueueArgs
from yarl import URL

from shared.broker.connection import GRACE, HEARTBEAT, UNREACHABLE
from shared.broker.outgoing import ConnectionLost
from shared.broker.topology import QueueSpec


@asynccontextmanager
async def consuming(
    amqp_url: str, name: str, queue: QueueSpec, receive: Callable[[AbstractIncomingMessage], None], *, prefetch: int
) -> AsyncIterator[RabbitBroker]:
    """A broker, not connected and not started, that hands the queue's messages to `receive`, in order, undecoded.

    Acknowledging is the receiver's, of several at once if it likes: none is missing among those it was handed. What was
    not acknowledged on leaving goes back to the queue. What is published mandatory and finds no queue raises. `name` is
    shown in the broker's management.

    Raises `ConnectionLost` out of whatever the block waits for when the connection has ended, or the broker has
    cancelled the consumer because the queue is gone, or a message got lost on its way to `receive`: nothing comes back
    by itself. On leaving, the connection is closed, also one that was never made.
    """
    connections: list[_Connection] = []
    reasons: list[str] = []
    handed = 0

    def open_connection(url: URL, **options: Any) -> _Connection:
        connections.append(_Connection(url, lost, **options))
        return connections[-1]

    def lost(reason: str = "the connection to RabbitMQ, or the place in its queue, was lost") -> None:
        if not (leaving or reasons):
            reasons.append(reason)
            life.reschedule(asyncio.get_running_loop().time())

    broker = RabbitBroker(
        str(URL(amqp_url).update_query(heartbeat=HEARTBEAT, name=f"kithlog {name}")),
        timeout=10,
        default_channel=Channel(on_return_raises=True),
        # Its two lines for each message go to debug; what it has to say about failures stays.
        logger=logging.getLogger("faststream"),
        log_level=logging.DEBUG,
        # Without injection: a message that is injected goes through a thread pool, and loses its place in the order.
        apply_types=False,
    )
    # FastStream hands these on to `aio_pika.connect_robust`, and has no parameter of its own for this one.
    broker._connection_kwargs["connection_class"] = open_connection

    @broker.subscriber(
        RabbitQueue(
            queue.name,
            queue_type=QueueType.QUORUM,
            durable=True,
            arguments=cast(QuorumQueueArgs, dict(queue.arguments)),
        ),
        channel=Channel(prefetch_count=prefetch),
        ack_policy=AckPolicy.MANUAL,
        decoder=_as_it_is,
        no_reply=True,
    )
    async def take(body: bytes) -> None:
        nonlocal handed
        message = broker.context.get_local("message").raw_message
        # Both libraries log an error on the way to here, and go on: the broker counts each message of a channel.
        if message.delivery_tag != handed + 1:
            lost(f"message {handed + 1} on this channel was not handed over")
        else:
            handed += 1
            receive(message)

    leaving = False
    life = asyncio.timeout(None)
    try:
        async with life:
            try:
                yield broker
            finally:
                leaving = True
    except TimeoutError as error:
        if life.expired():
            raise ConnectionLost(reasons[0]) from error
        raise
    finally:
        await _end(broker, connections)


class _Connection(RobustConnection):
    """Robust by type, as FastStream wants it; by behaviour one that does not come back by itself, as `connect`'s.

    aio-pika's own would try to make its channels anew on the transport that has just died, and go on in the background
    after an attempt that was given up.
    """

    def __init__(self, url: URL, lost: Callable[[], None], **options: Any) -> None:
        super().__init__(url, **options)
        self._lost = lost

    async def connect(self, timeout: TimeoutType = None) -> None:
        await Connection.connect(self, timeout)
        if self._close_called:
            raise ConnectionLost("RabbitMQ ended the connection as soon as it was made")

    async def _on_connection_close(self, closing: asyncio.Future[Any]) -> None:
        was_made = self.connected.is_set()
        # Before the channels hear of it, so that they stay closed.
        self._close_called = True
        await Connection._on_connection_close(self, closing)
        if was_made:
            self._lost()

    def _request_recovery(self) -> None:
        """The broker has cancelled a consumer."""
        self._lost()


async def _end(broker: RabbitBroker, connections: list[_Connection]) -> None:
    """Close everything, whatever state it is in.

    The connections first: of a consumer that is only cancelled the broker keeps what it was given apart, and hands what
    comes behind that on to the next one; when its channel ends, what it was given goes back before.
    """
    for connection in connections:
        if not connection.is_closed:
            await _close(connection)
    try:
        await asyncio.wait_for(broker.stop(), timeout=GRACE)
    except* UNREACHABLE:
        pass


async def _close(connection: _Connection) -> None:
    try:
        await asyncio.wait_for(connection.close(), timeout=GRACE)
    except UNREACHABLE:
        # Nothing to be waited for is left of it now.
        await connection.close()


async def _as_it_is(message: StreamMessage[AbstractIncomingMessage]) -> bytes:
    """FastStream's own decoding would lose a message that is not JSON."""
    return message.body if isinstance(message.body, bytes) else b""
