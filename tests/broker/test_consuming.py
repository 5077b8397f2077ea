"""Consuming with FastStream: its connection is known to have ended when it has, however that came about."""

from __future__ import annotations

import asyncio
import gc
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
from aio_pika import Message
from aio_pika.abc import AbstractChannel, AbstractConnection, AbstractIncomingMessage
from faststream.message import StreamMessage
from faststream.rabbit import RabbitBroker

from shared.broker import consuming as module
from shared.broker import topology
from shared.broker.connection import UNREACHABLE, connect
from shared.broker.consuming import consuming
from shared.broker.outgoing import ConnectionLost
from tests.broker.events import PATIENCE
from tests.chaos.proxy import Proxy

QUEUE = topology.TOPOLOGY.queue(topology.COMMANDS)


def ignore(message: AbstractIncomingMessage) -> None:
    """The receiver of what is not looked at."""


@asynccontextmanager
async def at_the_queue(amqp_url: str) -> AsyncIterator[RabbitBroker]:
    """A consumer that has begun."""
    async with consuming(amqp_url, "test", QUEUE, ignore, prefetch=10) as broker:
        await topology.declare_on(await broker.connect())
        await broker.start()
        yield broker


async def begin_to_consume(amqp_url: str) -> None:
    async with at_the_queue(amqp_url):
        pass


async def begin_to_publish(amqp_url: str) -> None:
    await connect(amqp_url, "test")


@pytest.mark.parametrize("begin", [begin_to_consume, begin_to_publish])
async def test_a_connection_that_could_not_be_made_is_closed_all_the_same(
    begin: Callable[[str], Awaitable[None]], unused_tcp_port: int, complaints: list[str]
) -> None:
    """Given no broker, when connecting fails, then nothing is left to a finalizer: that of an open connection starts
    to close it, which can't be waited for in the thread of whoever happens to collect the garbage."""
    for _ in range(3):
        with pytest.raises(UNREACHABLE):
            await begin(f"amqp://guest:guest@127.0.0.1:{unused_tcp_port}/")
    await asyncio.to_thread(gc.collect)
    assert complaints == []


async def consume_until_lost(amqp_url: str, begun: asyncio.Event) -> None:
    async with at_the_queue(amqp_url):
        begun.set()
        await asyncio.Event().wait()


async def lost(consumer: asyncio.Task[None]) -> None:
    async with asyncio.timeout(PATIENCE):
        with pytest.raises(ConnectionLost):
            await consumer


@pytest.mark.parametrize("lose", [Proxy.cut, Proxy.refuse])
async def test_a_lost_connection_ends_whatever_is_waited_for(
    amqp_url: str, lose: Callable[[Proxy], None], complaints: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    """Given a consumer that waits, when its connection is lost, then the waiting ends; and nothing tries to bring back
    the connection's channels, which could only fail."""
    caplog.set_level(logging.ERROR)
    begun = asyncio.Event()
    async with Proxy(amqp_url) as proxy:
        consumer = asyncio.create_task(consume_until_lost(proxy.url, begun))
        await begun.wait()
        lose(proxy)
        await lost(consumer)
    await asyncio.to_thread(gc.collect)
    assert complaints == []
    assert caplog.messages == []


async def test_a_deleted_queue_ends_whatever_is_waited_for(amqp_url: str, connection: AbstractConnection) -> None:
    """Given a consumer that waits, when its queue is deleted, then the waiting ends: nobody else would tell it."""
    begun = asyncio.Event()
    consumer = asyncio.create_task(consume_until_lost(amqp_url, begun))
    await begun.wait()
    async with connection.channel() as channel:
        await channel.queue_delete(topology.COMMANDS)
    await lost(consumer)


async def test_leaving_is_no_loss(amqp_url: str) -> None:
    """Given a consumer, when its block ends or raises, then that is what comes of it."""
    async with at_the_queue(amqp_url) as broker:
        connection = await broker.connect()
    assert connection.is_closed
    with pytest.raises(ZeroDivisionError):
        async with at_the_queue(amqp_url):
            raise ZeroDivisionError
    with pytest.raises(TimeoutError):
        async with at_the_queue(amqp_url), asyncio.timeout(0):
            await asyncio.Event().wait()


async def test_a_message_that_gets_lost_on_its_way_ends_the_connection(
    amqp_url: str, channel: AbstractChannel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given a message on which a library fails before it is handed over, then those before it are, and none behind it:
    to acknowledge these would be to acknowledge that one, which nobody has seen."""

    async def failing(message: StreamMessage[AbstractIncomingMessage]) -> bytes:
        if message.body == b"2":
            raise ZeroDivisionError
        return b""

    monkeypatch.setattr(module, "_as_it_is", failing)
    await topology.declare(channel)
    for body in (b"1", b"2", b"3", b"4"):
        await channel.default_exchange.publish(Message(body), topology.COMMANDS)
    handed: list[bytes] = []

    async def consume() -> None:
        receive = handed.append
        async with consuming(amqp_url, "test", QUEUE, lambda message: receive(message.body), prefetch=10) as broker:
            await broker.start()
            await asyncio.Event().wait()

    async with asyncio.timeout(PATIENCE):
        with pytest.raises(ConnectionLost, match="message 2 "):
            await consume()
    assert handed == [b"1"]
