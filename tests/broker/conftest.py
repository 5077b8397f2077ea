"""Connections, the log and a sender of commands for the tests of broker, relay and intake."""

from __future__ import annotations

import asyncio
import gc
import logging
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence

import pytest
from aio_pika.abc import AbstractChannel, AbstractConnection

from deploy.launcher.infrastructure import Infrastructure
from services.command import relay
from services.command.executor import Executor
from shared.broker import topology
from shared.broker.connection import connect
from shared.database.pool import open_pool
from shared.domain.catalogue import DECIDERS
from shared.log import Log
from tests.broker.events import FOR_EVER
from tests.broker.senders import FixedClock, Sender


@pytest.fixture(autouse=True)
def unhurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """However busy the machine is, no relay is taken for frozen, or for cut off; but for those who set it otherwise."""
    monkeypatch.setattr(relay, "SESSION_TIMEOUT", FOR_EVER)
    monkeypatch.setattr(relay, "HEARTBEAT_TIMEOUT", FOR_EVER)


@pytest.fixture
async def connection(amqp_url: str) -> AsyncIterator[AbstractConnection]:
    connection = await connect(amqp_url, "test")
    yield connection
    await connection.close()


@pytest.fixture
async def channel(connection: AbstractConnection) -> AsyncIterator[AbstractChannel]:
    async with connection.channel() as channel:
        yield channel


@pytest.fixture
async def log(database_url: str) -> AsyncIterator[Log]:
    pool = await open_pool(database_url)
    async with Log.open(pool, database_url, patience=60) as log:  # servers are killed beside it, on slow machines too
        yield log
    await pool.close()


@pytest.fixture
async def safe_broker(infra: Infrastructure) -> AsyncIterator[Callable[[], Awaitable[None]]]:
    """Call it before killing the broker; afterwards the broker runs again, for the tests that follow."""

    async def settle() -> None:
        await asyncio.to_thread(infra.rabbitmq.settle)

    yield settle
    await asyncio.to_thread(infra.rabbitmq.start)


@pytest.fixture
def complaints(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """What finalizers had to complain about. The test collects the garbage, of which a log record would keep some."""
    monkeypatch.setattr(logging.getLogger("aiormq.connection"), "disabled", True)
    seen: list[str] = []
    monkeypatch.setattr(sys, "unraisablehook", lambda raised: seen.append(repr(raised.exc_value)))
    gc.disable()
    yield seen
    gc.enable()


@pytest.fixture
async def sender(channel: AbstractChannel) -> Sender:
    await topology.declare(channel)
    replies = await channel.declare_queue(exclusive=True)
    sender = Sender(channel, replies.name)
    await replies.consume(sender.answers.take, no_ack=True)
    return sender


@pytest.fixture
def executor(log: Log) -> Executor:
    return Executor(log, DECIDERS, FixedClock())


@pytest.fixture
def handed_over(monkeypatch: pytest.MonkeyPatch) -> asyncio.Event:
    """Set when a relay has handed something over to the broker, which confirms nothing."""
    handed_over = asyncio.Event()

    class Unconfirmed:
        async def publish(self, batch: Sequence[object]) -> None:
            handed_over.set()
            await asyncio.Event().wait()

    async def unconfirmed(*_: object) -> Unconfirmed:
        return Unconfirmed()

    monkeypatch.setattr(relay, "open_publisher", unconfirmed)
    return handed_over
