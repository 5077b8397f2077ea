"""The projector's consumer: puts what the broker brings into the mailbox, and does nothing else.

It may be away, wiped or late: the log is looked at anyway. So it may also be simple. Whenever its connection, its
channel or its place in the queue is lost, it begins again with everything declared anew. While the mailbox is shut it
leaves its place, for the broker gives all messages to one consumer, and another may be one that folds. A backlog that
the log was read for meanwhile has nothing to tell, and costs as much to bring as anything else: it is dropped, and the
log looked at for what may have been dropped with it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Any

import structlog
from aio_pika.abc import AbstractConnection, AbstractIncomingMessage
from aio_pika.exceptions import ChannelClosed, ChannelPreconditionFailed
from faststream.rabbit import RabbitBroker

from services.projector.live.mailbox import Mailbox, Place
from shared.broker import topology
from shared.broker.connection import UNREACHABLE, connected, told_as_lost
from shared.broker.consuming import consuming
from shared.operations.health import Presence
from shared.operations.pauses import Pauses
from shared.operations.waits import end, first_of

logger = structlog.get_logger(__name__)

PREFETCH = 500
"""Messages that may be on their way, or wait unacknowledged: more are not faster, and fewer are through sooner where
they have become old meanwhile."""
LONGEST_PAUSE = 2.0
"""Seconds between attempts while RabbitMQ is away."""
LOOK_AGAIN = 10.0
"""Seconds between looks whether the queue is there and bound."""
DROP_AGAIN = 2.0
"""Seconds, at least, between two times that a backlog is dropped."""
PATIENCE = 30.0
"""Seconds that dropping may take."""
_AROUND = replace(
    topology.TOPOLOGY, queues=[queue for queue in topology.TOPOLOGY.queues if queue.name != topology.PROJECTOR]
)
"""What a look declares: all but the queue itself, and to bind that fails where it is gone. The consumers of a quorum
queue that is declared anew in the moment after its deletion (RabbitMQ 3.10: some 20 ms) stay: they are told nothing,
and given nothing any more."""


class Message:
    """A delivery of aio-pika's; see `mailbox.Delivery`."""

    __slots__ = ("_channel", "_emptied", "_message")

    def __init__(self, message: AbstractIncomingMessage, channel: Place) -> None:
        """`channel`: what stands for it; aio-pika's own can't be asked for any more once it has closed."""
        self._message, self._channel, self._emptied = message, channel, False

    @property
    def body(self) -> bytes | None:
        return None if self._emptied else self._message.body

    def empty(self) -> None:
        self._message.body = b""  # type: ignore[misc]  # which its class has, and the abstract one does not name
        self._emptied = True

    @property
    def headers(self) -> Mapping[str, Any]:
        return self._message.headers

    @property
    def channel(self) -> Place:
        return self._channel

    async def acknowledge(self) -> None:
        # What is not acknowledged because its connection is gone comes again, and is known then.
        with suppress(*UNREACHABLE), told_as_lost():
            await self._message.ack(multiple=True)


class Doorbell:
    """`run` it in as many replicas as you like: the broker gives the messages to one at a time."""

    def __init__(self, amqp_url: str, mailbox: Mailbox, *, prefetch: int = PREFETCH) -> None:
        self._url, self._mailbox, self._prefetch = amqp_url, mailbox, prefetch
        self.presence = Presence("broker")

    async def run(self, stop: asyncio.Event) -> None:
        """Consume until `stop` is set. Waits while RabbitMQ is away.

        Raises aio-pika's `ChannelPreconditionFailed` when the queue was declared with other arguments.
        """
        pauses = Pauses(LONGEST_PAUSE)
        while not stop.is_set():
            if self._mailbox.is_shut:
                self.presence.away("its place is left to others, for folding has stopped")
                await first_of(self._mailbox.until_open(), stop.wait())
                continue
            pauses.attempt()
            try:
                with told_as_lost():
                    await self._consume(stop)
            except ChannelPreconditionFailed:
                raise
            except UNREACHABLE as error:
                self.presence.away(error)
                pause = pauses.next()
                logger.warning("doorbell begins again", error=repr(error), pause=pause)
                with suppress(TimeoutError):
                    await asyncio.wait_for(stop.wait(), pause)

    async def _consume(self, stop: asyncio.Event) -> None:
        """Until stopped, or the mailbox is shut. Raises what is in `UNREACHABLE` when something is lost."""
        place = Place()
        queue = topology.TOPOLOGY.queue(topology.PROJECTOR)

        def ring(message: AbstractIncomingMessage) -> None:
            self._mailbox.put(Message(message, place))

        try:
            async with consuming(self._url, "projector", queue, ring, prefetch=self._prefetch) as broker:
                # By a task that is ended for certain: where a library's wait takes a lost connection's cancellation for
                # its own, its next one is for a connection that does not come back.
                listening = asyncio.create_task(self._listen(broker, stop))
                try:
                    await asyncio.wait([listening])
                    listening.result()
                finally:
                    await end(listening)
        finally:
            self._mailbox.lose(place)

    async def _listen(self, broker: RabbitBroker, stop: asyncio.Event) -> None:
        await topology.declare_on(await broker.connect())
        await broker.start()
        self.presence.here()
        while not stop.is_set() and not self._mailbox.is_shut:
            try:
                with told_as_lost():
                    await self._look_after_it(stop)
            except ChannelClosed:
                raise  # the queue is gone, or another than it was
            except UNREACHABLE as error:
                self.presence.away(error)
                logger.warning("the projector's queue can't be looked after", error=repr(error), pause=LOOK_AGAIN)
                await first_of(stop.wait(), self._mailbox.until_shut(), timeout=LOOK_AGAIN)

    async def _look_after_it(self, stop: asyncio.Event) -> None:
        """Until stopped, or the mailbox is shut. On a connection of its own: answers on the consumer's come behind all
        messages that are on their way, too late where it is slow. Losing this one loses no place in the queue."""
        async with connected(self._url, "projector, beside") as beside:
            while True:
                await first_of(
                    stop.wait(), self._mailbox.until_shut(), self._mailbox.until_overtaken(), timeout=LOOK_AGAIN
                )
                if stop.is_set() or self._mailbox.is_shut:
                    return
                if not self._mailbox.is_overtaken:
                    await topology.declare_on(beside, _AROUND)
                    self.presence.here()
                    continue
                try:
                    await _drop_backlog(beside)
                finally:  # for it may have been done without an answer
                    self._mailbox.drop()
                # What was on its way then is as old as what was dropped.
                await first_of(stop.wait(), self._mailbox.until_shut(), timeout=DROP_AGAIN)
                self._mailbox.begin_anew()


async def _drop_backlog(connection: AbstractConnection) -> None:
    async with asyncio.timeout(PATIENCE), connection.channel() as channel:
        queue = await channel.get_queue(topology.PROJECTOR, ensure=False)
        dropped = await queue.purge()
        logger.info("messages are dropped that are behind what was read from the log", messages=dropped.message_count)
