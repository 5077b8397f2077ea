"""What Kithlog declares on the broker: exchanges, queues and bindings, as data.

Every argument is explicit, because brokers differ in their defaults (RabbitMQ 4 gives quorum queues a delivery limit,
3.10 none), and only arguments that 3.10 and 4.x share are used.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from aio_pika.abc import AbstractChannel, AbstractConnection

EVENTS = "kithlog.events"
"""Topic exchange of all events; routing key `<tenant>.<category>.<event>`."""
PROJECTOR = "kithlog.projector"
"""The projector's queue: a doorbell, not a store."""
COMMANDS = "kithlog.commands"
"""Commands from other services."""
DEAD_COMMANDS = "kithlog.commands.dead"
"""Commands that can't be executed, each with its reason, until somebody looks."""
HISTORY = "kithlog.history"
"""A stream of all events, for consumers that begin late or want to read again."""

Argument = str | int | bool


@dataclass(frozen=True, slots=True)
class ExchangeSpec:
    name: str
    kind: str = "topic"


@dataclass(frozen=True, slots=True)
class QueueSpec:
    name: str
    arguments: Mapping[str, Argument] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class BindingSpec:
    exchange: str
    queue: str
    routing_key: str


@dataclass(frozen=True, slots=True)
class Topology:
    exchanges: Sequence[ExchangeSpec]
    queues: Sequence[QueueSpec]
    bindings: Sequence[BindingSpec]

    def queue(self, name: str) -> QueueSpec:
        return next(queue for queue in self.queues if queue.name == name)


DECLARING = 30.0
"""Seconds that a broker may take for all of it, as one of several nodes does after a start."""

MEBIBYTE = 1024 * 1024
GIBIBYTE = 1024 * MEBIBYTE

TOPOLOGY = Topology(
    exchanges=(ExchangeSpec(EVENTS),),
    queues=(
        QueueSpec(
            PROJECTOR,
            {
                "x-queue-type": "quorum",
                "x-single-active-consumer": True,  # stand-by projectors wait their turn; order holds
                # Bounded: a projector that is away must not fill the broker's disk. What is dropped, it reads
                # from the log, which the gap in positions tells it to do.
                "x-max-length": 100_000,
                "x-max-length-bytes": 256 * MEBIBYTE,
                "x-overflow": "drop-head",
                "x-delivery-limit": 20,
            },
        ),
        QueueSpec(
            HISTORY,
            {
                "x-queue-type": "stream",
                # What is older is dropped, whichever limit is met first; the history feed has all of it.
                "x-max-age": "30D",
                "x-max-length-bytes": 10 * GIBIBYTE,
                # What is dropped is dropped by whole segments.
                "x-stream-max-segment-size-bytes": 100 * MEBIBYTE,
            },
        ),
        QueueSpec(
            COMMANDS,
            {
                "x-queue-type": "quorum",
                "x-single-active-consumer": True,  # commands are executed in the order in which they were queued
                # A full queue is told to its senders (they get a nack), and nothing leaves it unless the dead-letter
                # queue has confirmed it: both are needed for dead-lettering without loss.
                "x-max-length": 100_000,
                "x-max-length-bytes": 1024 * MEBIBYTE,
                "x-overflow": "reject-publish",
                "x-dead-letter-exchange": "",
                "x-dead-letter-routing-key": DEAD_COMMANDS,
                "x-dead-letter-strategy": "at-least-once",
                "x-delivery-limit": 20,  # ends a command that takes its process down with it
            },
        ),
        QueueSpec(
            DEAD_COMMANDS,
            {
                "x-queue-type": "quorum",
                "x-overflow": "reject-publish",
                # Looking at a dead letter returns it. The default of RabbitMQ 4 would drop it at the twentieth look.
                "x-delivery-limit": 1_000_000,
            },
        ),
    ),
    bindings=(BindingSpec(EVENTS, PROJECTOR, "#"), BindingSpec(EVENTS, HISTORY, "#")),
)


async def declare(channel: AbstractChannel, topology: Topology = TOPOLOGY) -> None:
    """Declare all of it; what is there already stays as it is.

    Raises aio-pika's `ChannelPreconditionFailed`, naming queue and argument, when one is there with other arguments:
    then it was declared by another release, and has to be drained and deleted by hand.
    """
    for exchange in topology.exchanges:
        await channel.declare_exchange(exchange.name, exchange.kind, durable=True)
    for queue in topology.queues:
        await channel.declare_queue(queue.name, durable=True, arguments=dict(queue.arguments))
    for binding in topology.bindings:
        queue_there = await channel.get_queue(binding.queue, ensure=False)
        await queue_there.bind(binding.exchange, binding.routing_key)


async def declare_on(connection: AbstractConnection, topology: Topology = TOPOLOGY) -> None:
    """`declare` on a channel of its own: the broker closes the channel on which a declaration fails.

    Raises TimeoutError, too, after `DECLARING` seconds.
    """
    async with asyncio.timeout(DECLARING), connection.channel() as channel:
        await declare(channel, topology)
