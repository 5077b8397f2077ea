"""Answers to commands over AMQP, in the queues that their senders have named."""

from __future__ import annotations

import asyncio
from typing import Any

import structlog
from aio_pika import Message
from aio_pika.exceptions import DeliveryError
from faststream.rabbit import RabbitBroker

from shared.operations.waits import end

logger = structlog.get_logger(__name__)

CONFIRMED_WITHIN = 30.0
"""Seconds for the broker to confirm an answer. Where the queue that a sender has named is a quorum queue without a
majority, say, it never does, and the batch, with all that waits behind it, is not to wait for that: not again, either,
as long as an answer to that queue is late."""
MOST_LATE = 1000
"""Answers that may be late at a time: while so many are, no more are sent to their queues."""


class Replies:
    """Those of one connection at a time: `close` them with it."""

    def __init__(self) -> None:
        self._late: dict[asyncio.Task[Any], str] = {}

    async def send(self, broker: RabbitBroker, queue: str, reply: Message) -> None:
        """Returns when the answer is confirmed, refused, or late. Raises what `RabbitBroker.publish` does otherwise.

        Whoever misses an answer sends the command again, with its id, and gets the same.
        """
        late = queue in self._late.values()
        if late and len(self._late) >= MOST_LATE:
            logger.warning("reply not sent", reply_to=queue)
            return
        patience = 0 if late else CONFIRMED_WITHIN
        # Not mandatory: who does not wait any more needs no answer.
        sending = asyncio.create_task(broker.publish(reply, queue=queue, mandatory=False))
        try:
            await asyncio.wait([sending], timeout=patience)
            if sending.done():
                await sending
                return
            logger.warning("reply not confirmed", reply_to=queue, seconds=patience)
            if len(self._late) < MOST_LATE:
                self._late[sending] = queue
                sending.add_done_callback(self._forget)
        except DeliveryError as error:
            logger.warning("reply refused", reply_to=queue, error=repr(error))
        finally:
            if sending not in self._late:
                sending.cancel()

    def _forget(self, sent: asyncio.Task[Any]) -> None:
        del self._late[sent]
        if not sent.cancelled():
            sent.exception()  # of a connection that has ended, which is seen elsewhere, or a refusal too late

    async def close(self) -> None:
        for sending in [*self._late]:
            await end(sending)
