"""What every publisher keeps: run by the fast one and by the ordinary one alike."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from aio_pika.abc import AbstractChannel, AbstractConnection

from deploy.launcher.infrastructure import Infrastructure
from shared.broker import batch as fast
from shared.broker import publisher as publishing
from shared.broker.batch import BatchPublisher, UnknownShape
from shared.broker.connection import connect
from shared.broker.outgoing import ConnectionLost, Publisher, Refused, Returned
from shared.broker.publisher import PipelinedPublisher, open_publisher
from tests.broker.events import Seen, a_message

EXCHANGE = "test.exchange"
QUEUE = "test.queue"
Open = Callable[[AbstractConnection], Awaitable[Publisher]]


@pytest.fixture(params=[BatchPublisher, PipelinedPublisher])
def open_one(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Open:
    """Opens a publisher of the kind under test."""
    if request.param is PipelinedPublisher:

        def unknown(*_: object) -> None:
            raise UnknownShape("for this test")

        monkeypatch.setattr(publishing, "BatchPublisher", unknown)

    async def opened(connection: AbstractConnection) -> Publisher:
        publisher = await open_publisher(connection, EXCHANGE)
        assert type(publisher) is request.param
        return publisher

    return opened


async def a_queue(channel: AbstractChannel, **arguments: Any) -> Seen:
    """A queue that takes `demo.#`, and a consumer of it."""
    await channel.declare_exchange(EXCHANGE, "topic", durable=True)
    queue = await channel.declare_queue(QUEUE, durable=True, arguments={"x-queue-type": "quorum", **arguments})
    await queue.bind(EXCHANGE, "demo.#")
    return Seen()


async def received(channel: AbstractChannel, seen: Seen, number: int) -> list[object]:
    await (await channel.get_queue(QUEUE)).consume(seen.take, no_ack=True)
    await seen.until(lambda now: len(now.messages) >= number)
    return [message.headers["number"] for message in seen.messages]


async def test_a_thousand_messages_arrive_in_order(
    connection: AbstractConnection, channel: AbstractChannel, open_one: Open
) -> None:
    """Given a batch of a thousand, when publish returns, then all are in the queue, in order, persistent."""
    seen = await a_queue(channel)
    publisher = await open_one(connection)

    await publisher.publish([a_message(number) for number in range(1000)])

    assert await received(channel, seen, 1000) == list(range(1000))
    assert {message.delivery_mode for message in seen.messages} == {2}
    assert seen.messages[0].content_type == "application/json"


async def test_concurrent_batches_go_out_in_the_order_of_the_calls(
    connection: AbstractConnection, channel: AbstractChannel, open_one: Open
) -> None:
    """Given several batches at once, when all are published, then none has overtaken another."""
    seen = await a_queue(channel)
    publisher = await open_one(connection)

    await asyncio.gather(*(publisher.publish([a_message(first + i) for i in range(50)]) for first in range(0, 500, 50)))

    assert await received(channel, seen, 500) == list(range(500))


async def test_a_body_beyond_the_frame_size_arrives_whole(
    connection: AbstractConnection, channel: AbstractChannel, open_one: Open
) -> None:
    """Given bodies below, at, just above and far above what a frame holds, then each arrives as it was."""
    seen = await a_queue(channel)
    publisher = await open_one(connection)
    limit = (await channel.get_underlay_channel()).max_content_size  # type: ignore[attr-defined]
    sizes = [0, 1, limit - 1, limit, limit + 1, 2 * limit, 1_000_000]
    bodies = [bytes([number]) * size for number, size in enumerate(sizes)]

    await publisher.publish([a_message(number, body=body) for number, body in enumerate(bodies)])
    await publisher.publish([a_message(len(sizes))])

    assert await received(channel, seen, len(sizes) + 1) == list(range(len(sizes) + 1))
    assert [message.body for message in seen.messages[:-1]] == bodies


async def test_an_unroutable_message_is_reported(
    connection: AbstractConnection, channel: AbstractChannel, open_one: Open
) -> None:
    """Given one message among others that no queue takes, when published, then publish raises and names it."""
    await a_queue(channel)
    publisher = await open_one(connection)

    with pytest.raises(Returned, match=r"nobody\.listens"):
        await publisher.publish([a_message(1), a_message(2, routing_key="nobody.listens"), a_message(3)])


async def test_a_refused_message_is_reported(
    connection: AbstractConnection, channel: AbstractChannel, open_one: Open
) -> None:
    """Given a queue that rejects what is published when full, when it is, then publish raises."""
    await a_queue(channel, **{"x-max-length": 5, "x-overflow": "reject-publish"})
    publisher = await open_one(connection)

    async def publish_many() -> None:
        # The queue may take some more than its length before it says so.
        for first in range(0, 2000, 100):
            await publisher.publish([a_message(first + number) for number in range(100)])

    with pytest.raises(Refused):
        await publish_many()


async def test_a_lost_connection_is_reported(
    amqp_url: str, channel: AbstractChannel, open_one: Open, infra: Infrastructure
) -> None:
    """Given a batch that waits for its confirms, when the connection is cut, then publish raises."""
    await a_queue(channel)
    cut = await connect(amqp_url, "cut")
    publisher = await open_one(cut)
    infra.rabbitmq.pause()
    try:
        waiting = asyncio.create_task(publisher.publish([a_message(number) for number in range(100)]))
        await asyncio.wait([waiting], timeout=0.05)
        assert cut.transport is not None
        closing = asyncio.create_task(cut.transport.connection.close(ConnectionError("cut")))
        with pytest.raises(ConnectionLost):
            await waiting
    finally:
        infra.rabbitmq.resume()
    await closing
    await cut.close()


async def test_publishing_over_a_closed_connection_is_reported(
    amqp_url: str, channel: AbstractChannel, open_one: Open
) -> None:
    """Given a connection that is closed already, when something is published, then publish raises."""
    await a_queue(channel)
    closed = await connect(amqp_url, "closed")
    publisher = await open_one(closed)
    await closed.close()

    with pytest.raises(ConnectionLost):
        await publisher.publish([a_message(1)])


async def test_an_exchange_that_is_not_there_is_reported(connection: AbstractConnection, open_one: Open) -> None:
    """Given no exchange, which makes the broker close the channel, when published, then publish raises."""
    publisher = await open_one(connection)

    with pytest.raises(ConnectionLost):
        await publisher.publish([a_message(1)])


async def test_an_empty_batch_is_published_at_once(connection: AbstractConnection, open_one: Open) -> None:
    """Given nothing to publish, then publish returns."""
    await (await open_one(connection)).publish([])


async def test_the_fast_publisher_is_of_no_use_after_a_failure(
    connection: AbstractConnection, channel: AbstractChannel
) -> None:
    """Given a batch that failed, when another follows, then it is refused rather than confused with the first."""
    await a_queue(channel)
    publisher = await open_publisher(connection, EXCHANGE)
    with pytest.raises(Returned):
        await publisher.publish([a_message(1, routing_key="nobody.listens")])

    with pytest.raises(ConnectionLost, match="failed before"):
        await publisher.publish([a_message(2)])


async def test_the_fast_publisher_leaves_nothing_behind(
    connection: AbstractConnection, channel: AbstractChannel
) -> None:
    """Given batches that were confirmed, then the client library's tables are empty again."""
    await a_queue(channel)
    publisher = await open_publisher(connection, EXCHANGE)
    assert isinstance(publisher, BatchPublisher)

    for first in (0, 200):
        await publisher.publish([a_message(first + number) for number in range(200)])

    assert not publisher._channel.confirmations
    assert not publisher._channel.message_id_delivery_tag
    assert publisher._channel.delivery_tag == 400


@pytest.mark.parametrize("missing", ["confirmations", "message_id_delivery_tag", "delivery_tag", "write_queue", "lock"])
async def test_another_shape_of_the_client_library_is_noticed(channel: AbstractChannel, missing: str) -> None:
    """Given a channel without one of the members that the fast publisher leans on, then it declines."""
    real = await channel.get_underlay_channel()

    class Other:
        publisher_confirms = on_return_raises = True

        def __getattr__(self, name: str) -> object:
            if name == missing:
                raise AttributeError(name)
            return getattr(real, name)

    with pytest.raises(UnknownShape, match=missing):
        BatchPublisher(Other(), EXCHANGE)  # type: ignore[arg-type]


async def test_another_version_of_the_client_library_is_noticed(
    connection: AbstractConnection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given a version of the client library that the fast publisher does not know, then the ordinary one is used."""
    monkeypatch.setattr(fast, "version", lambda _: "8.0.0")

    assert isinstance(await open_publisher(connection, EXCHANGE), PipelinedPublisher)
