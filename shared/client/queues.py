"""A consumer's queues, with every argument explicit; all are shared by RabbitMQ 3.10 and 4.x."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

EXCHANGE = "kithlog.events"
Arguments = dict[str, str | int | bool]
LOOK_ENOUGH = 1_000_000
"""Deliveries of a parked message; the default of RabbitMQ 4 would drop it at the twentieth look."""
LAST_RESORT = 100
"""Deliveries after which the broker itself takes a message away; the client parks it long before."""


@dataclass(frozen=True, slots=True)
class Queues:
    """Of a consumer: its own queue, one for each delay, one for what is parked."""

    name: str
    delays: tuple[float, ...]
    max_length: int | None = None
    """None: the queue keeps all, on the broker's disk, however long the consumer is away. A number: it keeps that many
    and drops the oldest, which the consumer then reads from the history feed."""

    @property
    def parked(self) -> str:
        return f"{self.name}.parked"

    def retry(self, attempts: int) -> str:
        """Where a message waits after that many attempts. The delay is in the name, since a queue's can't change."""
        return f"{self.name}.retry.{_milliseconds(self.delays[attempts - 1])}"

    def declared(self) -> Iterator[tuple[str, Arguments]]:
        """Name and arguments, a queue before those that dead-letter to it."""
        yield (
            self.parked,
            {
                "x-queue-type": "quorum",
                "x-overflow": "reject-publish",
                "x-delivery-limit": LOOK_ENOUGH,
            },
        )
        yield (
            self.name,
            {
                "x-queue-type": "quorum",
                # There is one mark; further processes stand by.
                "x-single-active-consumer": True,
                "x-delivery-limit": LAST_RESORT,
                **self._bound(),
            },
        )
        for delay in sorted({_milliseconds(each) for each in self.delays}):
            yield (
                f"{self.name}.retry.{delay}",
                {
                    "x-queue-type": "quorum",
                    "x-message-ttl": delay,
                    "x-delivery-limit": LOOK_ENOUGH,
                    **_dead_letters_to(self.name),
                },
            )

    def _bound(self) -> Arguments:
        if self.max_length is None:
            return _dead_letters_to(self.parked)
        # A queue that drops its oldest can't dead-letter without loss, and need not: what it drops shows as a gap.
        return {"x-max-length": self.max_length, "x-overflow": "drop-head"}


def _dead_letters_to(queue: str) -> Arguments:
    # Both of the last are needed for dead-lettering without loss: a message leaves when its new queue has confirmed it.
    return {
        "x-dead-letter-exchange": "",
        "x-dead-letter-routing-key": queue,
        "x-dead-letter-strategy": "at-least-once",
        "x-overflow": "reject-publish",
    }


def _milliseconds(seconds: float) -> int:
    return round(seconds * 1000)
