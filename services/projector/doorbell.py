"""The projector's consumer: puts what the broker brings into the mailbox, and does nothing else.

It may be away, wiped or late: the log is looked at anyway. So it may also be simple. Whenever its connection, its
channel or its place in the queue is lost, it begins again with everything declared anew.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from time import monotonic
from typing import Any, cast

import structlog
from aio_pika.abc import AbstractIncomingMessage
from aio_pika.exceptions import ChannelPreconditionFailed
from faststream import AckPolicy
from faststream.message import StreamMessage
from faststream.rabbit import Channel, QueueType, RabbitBroker, RabbitQueue
from faststream.rabbit.schemas.queue import QuorumQueueArgs
from yarl import URL

from services.projector.mailbox import Mailbox
from shared.broker import topology
from shared.broker.connection import HEARTBEAT, UNREACHABLE
from shared.operations.health import OK, Check, Finding

logger = structlog.get_logger(__name__)

PREFETCH = 1000
"""Messages that may wait unacknowledged: what one page can hold."""
LONGEST_PAUSE = 5.0
"""Seconds between attempts while RabbitMQ is away."""
GRACE = 5.0
"""Seconds that closing may take."""
LOOK_AGAIN = 10.0
"""Seconds between looks whether the queue is there and still ours."""


class Message:
    """A delivery of aio-pika's; see `mailbox.Delivery`."""

    __slots__ = ("_channel", "_message")

    def __init__(self, message: AbstractIncomingMessage, channel: object) -> None:
        """`channel`: what stands for it; aio-pika's own can't be asked for any more once it has closed."""
        self._message, self._channel = message, channel

    @property
    def body(self) -> bytes:
        return self._message.body

    @property
    def headers(self) -> Mapping[str, Any]:
        return self._message.headers

    @property
    def channel(self) -> object:
        return self._channel

    async def acknowledge(self) -> None:
        # What is not acknowledged because its connection is gone comes again, and is known then.
        with suppress(*UNREACHABLE):
            await self._message.ack(multiple=True)


class Doorbell:
    """`run` it in as many replicas as you like: the broker gives the messages to one at a time."""

    def __init__(self, amqp_url: str, mailbox: Mailbox, *, prefetch: int = PREFETCH) -> None:
        self._url, self._mailbox, self._prefetch = amqp_url, mailbox, prefetch
        self._away: str | None = "not connected yet"

    async def run(self, stop: asyncio.Event) -> None:
        """Consume until `stop` is set. Waits while RabbitMQ is away.

        Raises aio-pika's `ChannelPreconditionFailed` when the queue was declared with other arguments.
        """
        pause = 0.05
        while not stop.is_set():
            began = monotonic()
            try:
                await self._consume(stop)
                self._away = "the consumer was cut off"
            except ChannelPreconditionFailed:
                raise
            except UNREACHABLE as error:
                self._away = repr(error)
            if not stop.is_set():
                pause = 0.05 if monotonic() - began > LONGEST_PAUSE else min(pause * 2, LONGEST_PAUSE)
                logger.warning("doorbell begins again", error=self._away, pause=pause)
                with suppress(TimeoutError):
                    await asyncio.wait_for(stop.wait(), pause)

    async def _consume(self, stop: asyncio.Event) -> None:
        """Until stopped, or until something is lost."""
        lost = asyncio.Event()
        async with consuming(self._url, self._mailbox, self._prefetch, lost) as broker:
            connection = await broker.connect()
            async with connection.channel() as channel:
                await topology.declare(channel)
            await broker.start()
            self._away = None
            waits = [asyncio.create_task(each.wait()) for each in (stop, lost)]
            try:
                while not (stop.is_set() or lost.is_set()):
                    await asyncio.wait(waits, timeout=LOOK_AGAIN, return_when=asyncio.FIRST_COMPLETED)
                    if not waits[0].done() and not waits[1].done():
                        async with connection.channel() as channel:
                            await topology.declare(channel)
            finally:
                for wait in waits:
                    wait.cancel()

    @property
    def check(self) -> Check:
        """Degraded while no messages can come: events are seen later then, none is missed."""
        return Check("broker", self._probe, otherwise="degraded")

    async def _probe(self) -> Finding:
        return OK if self._away is None else Finding("degraded", self._away)


@asynccontextmanager
async def consuming(amqp_url: str, mailbox: Mailbox, prefetch: int, lost: asyncio.Event) -> AsyncIterator[RabbitBroker]:
    """A broker, not started, that fills the mailbox in order; sets `lost` when its connection is."""
    queue = topology.TOPOLOGY.queue(topology.PROJECTOR)
    broker = RabbitBroker(
        str(URL(amqp_url).update_query(heartbeat=HEARTBEAT, name="kithlog projector")),
        timeout=10,
        on_close=[lambda *_: lost.set()],
        # Its two lines for each message go to debug; what it has to say about failures stays.
        logger=logging.getLogger("faststream"),
        log_level=logging.DEBUG,
        # Without injection: a message that is injected goes through a thread pool, and loses its place in the order.
        apply_types=False,
    )

    @broker.subscriber(
        RabbitQueue(
            queue.name,
            queue_type=QueueType.QUORUM,
            durable=True,
            arguments=cast(QuorumQueueArgs, dict(queue.arguments)),
        ),
        channel=Channel(prefetch_count=prefetch),
        ack_policy=AckPolicy.MANUAL,
        decoder=as_it_is,
        no_reply=True,
    )
    async def ring(body: bytes) -> None:
        mailbox.put(Message(broker.context.get_local("message").raw_message, broker))

    try:
        yield broker
    finally:
        with suppress(*UNREACHABLE):
            await asyncio.wait_for(broker.stop(), timeout=GRACE)


async def as_it_is(message: StreamMessage[AbstractIncomingMessage]) -> bytes:
    """Undecoded: the loop does that, and knows what to do with what can't be."""
    return message.body if isinstance(message.body, bytes) else b""
