"""What a consumer has in hand: acknowledged as it has had its end, and given back in time."""

from __future__ import annotations

from collections.abc import Sequence
from time import monotonic
from typing import Any

from shared.client.message import Incoming
from shared.client.session import AWAY, Delivery, Stopped
from shared.client.worker import Worker

HOLD = 20 * 60.0
"""Seconds for which a message is held, after which all go back to the queue: RabbitMQ closes the channel of who holds
one for half an hour, and hands it to a process that stands by while this one is at it. Going back counts as a delivery,
so none is asked for again before the next event of the history is through: an outage of what handlers need counts once,
but for processes that stand by, which hand the messages to one another.
"""


class Hand:
    """Messages that were taken at once, until all have had their end."""

    def __init__(self, worker: Worker[Any], deliveries: Any, messages: Sequence[Delivery]) -> None:
        self._worker, self._deliveries = worker, deliveries
        self._given = messages
        self._acknowledged, self._acknowledged_at = 0, monotonic()
        """How many of them, from the first on, and when that was."""

    async def work(self) -> None:
        """Begin with the first that was not acknowledged. Raises what `Worker.work` raises."""
        self._given, self._acknowledged = self._given[self._acknowledged :], 0
        await self._worker.work([Incoming(each.message.body, each.headers) for each in self._given])

    async def acknowledge(self, every: float = 0.0) -> None:
        """What has had its end, if it is that many seconds since the last time. Raises `Stopped`."""
        if monotonic() - self._acknowledged_at < every:
            return
        ended, self._acknowledged_at = self._worker.ended, monotonic()
        if ended > self._acknowledged:
            self._acknowledged = ended
            try:
                await self._deliveries.basic_ack(self._given[ended - 1].message.delivery_tag, multiple=True)
            except AWAY as error:
                raise Stopped from error

    @property
    def may_be_held(self) -> float:
        """Seconds for which the first may be that has not had its end; where all have, nothing is held."""
        ended = self._worker.ended
        return HOLD if ended >= len(self._given) else self._given[ended].at + HOLD - monotonic()
