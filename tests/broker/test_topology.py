"""What is declared on the broker."""

from __future__ import annotations

import pytest
from aio_pika.abc import AbstractConnection
from aio_pika.exceptions import ChannelPreconditionFailed

from shared.broker import topology
from shared.broker.connection import connect
from shared.broker.topology import COMMANDS, DEAD_COMMANDS, HISTORY, PROJECTOR, TOPOLOGY, declare, declare_on
from tests.chaos.proxy import Proxy

SHARED_BY_3_10_AND_4 = {
    "x-queue-type",
    "x-single-active-consumer",
    "x-max-length",
    "x-max-length-bytes",
    "x-overflow",
    "x-delivery-limit",
    "x-dead-letter-exchange",
    "x-dead-letter-routing-key",
    "x-dead-letter-strategy",
    "x-max-age",
    "x-stream-max-segment-size-bytes",
}
OF_EACH_TYPE = {
    "quorum": {"x-delivery-limit", "x-overflow"},
    "stream": {"x-max-age", "x-max-length-bytes", "x-stream-max-segment-size-bytes"},
}


async def test_declaring_again_changes_nothing(connection: AbstractConnection) -> None:
    """Given everything is declared, when it is declared again, then the broker finds it the same."""
    async with connection.channel() as channel:
        await declare(channel)
        await declare(channel)

        for queue in TOPOLOGY.queues:
            there = await channel.declare_queue(queue.name, passive=True)
            assert there.declaration_result.message_count == 0


async def test_a_broker_that_does_not_answer_is_given_up(amqp_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Given a connection that goes silent, when all is to be declared on it, then that ends."""
    monkeypatch.setattr(topology, "DECLARING", 0.1)
    async with Proxy(amqp_url) as way:
        connection = await connect(way.url, "test")
        way.silence()
        with pytest.raises(TimeoutError):
            await declare_on(connection)
        way.refuse()
        await connection.close()


def test_history_has_an_end_in_time_and_in_bytes() -> None:
    """Given events for ever, then the stream of them ends somewhere: what is older is read from the feed."""
    assert TOPOLOGY.queue(HISTORY).arguments["x-queue-type"] == "stream"
    assert {"x-max-age", "x-max-length-bytes"} <= set(TOPOLOGY.queue(HISTORY).arguments)
    assert topology.BindingSpec(topology.EVENTS, HISTORY, "#") in TOPOLOGY.bindings


async def test_a_queue_with_other_arguments_is_reported(connection: AbstractConnection) -> None:
    """Given a queue of ours with other arguments, when all is declared, then the complaint names queue and argument."""
    async with connection.channel() as channel:
        await channel.declare_queue(COMMANDS, durable=True, arguments={"x-queue-type": "quorum"})

        with pytest.raises(ChannelPreconditionFailed, match=rf"x-\S+.*{COMMANDS}"):
            await declare(channel)


@pytest.mark.parametrize("queue", TOPOLOGY.queues, ids=lambda queue: queue.name)
def test_every_argument_that_matters_is_explicit(queue: topology.QueueSpec) -> None:
    """Given any queue of ours, then it says what brokers differ in, and nothing that only some understand."""
    assert OF_EACH_TYPE[str(queue.arguments["x-queue-type"])] <= set(queue.arguments)
    assert set(queue.arguments) <= SHARED_BY_3_10_AND_4


def test_the_projectors_queue_can_not_fill_the_disk() -> None:
    """Given the projector is away, then its queue drops the oldest, which the projector reads from the log."""
    arguments = TOPOLOGY.queue(PROJECTOR).arguments

    assert arguments["x-overflow"] == "drop-head"
    assert {"x-max-length", "x-max-length-bytes"} <= set(arguments)
    assert arguments["x-single-active-consumer"] is True


def test_commands_are_dead_lettered_without_loss() -> None:
    """Given what RabbitMQ asks for dead-lettering at least once, then the commands' queue has all of it."""
    arguments = TOPOLOGY.queue(COMMANDS).arguments

    assert arguments["x-dead-letter-strategy"] == "at-least-once"
    assert arguments["x-overflow"] == "reject-publish"
    assert arguments["x-dead-letter-exchange"] == ""
    assert arguments["x-dead-letter-routing-key"] == DEAD_COMMANDS
    assert "x-max-length" not in TOPOLOGY.queue(DEAD_COMMANDS).arguments
