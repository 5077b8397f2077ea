"""Whoever is cut off from the broker while connecting begins again, whatever had been set up by then.

A client library that waits for the broker's next word at that moment may raise, be cancelled, or take a cancellation
for its own; which of them depends on the word. So the connection is cut after each.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack

import asyncpg

from deploy.launcher.infrastructure import Infrastructure
from services.command.intake import Intake
from services.command.relay import Relay
from services.projector.live.doorbell import Doorbell
from services.projector.live.mailbox import Mailbox
from shared.broker.topology import COMMANDS, PROJECTOR
from shared.client import Consumer, Handlers, MemoryStore, Rules, Wiring
from shared.client.testing import MemoryHistory
from shared.log import Log
from tests.broker.events import PATIENCE, Runs, reached
from tests.broker.senders import Scripted
from tests.broker.test_relay import fill
from tests.chaos.processes import consumers
from tests.chaos.proxy import Proxy

GREETING = 500
"""Bytes, about, of the broker's first word; the others have 12 at least."""
CUTS = (1, *range(GREETING, 1300, 12))
"""Bytes of what the broker says after which connections are cut: within each of its words until all is set up, and
beyond."""
STATISTICS = "statistics"
LONG = 5 * PATIENCE
"""All that connect do so at once, and some of them again: where much else runs, that takes a minute."""


class CutOnce(Proxy):
    """Cuts the first connection once the broker has said so much; those that follow are whole."""

    def __init__(self, server_url: str, after: int) -> None:
        super().__init__(server_url)
        self.allowance = after

    @property
    def has_cut(self) -> bool:
        return self.allowance is None

    async def _onward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await self._pump(reader, writer, None)

    async def _forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await super()._forward(reader, writer)
        finally:
            self.allowance = None


async def begin_again(amqp_url: str, make: Callable[[str, int], Runs], all_work: Callable[[], Awaitable[bool]]) -> None:
    """One for each of the cuts, all at once, until all of them work; then they are told to stop."""
    stop = asyncio.Event()
    async with AsyncExitStack() as open_ways:
        ways = [await open_ways.enter_async_context(CutOnce(amqp_url, after)) for after in CUTS]
        tasks = [asyncio.create_task(make(way.url, number).run(stop)) for number, way in enumerate(ways)]
        try:
            await reached(all_work, patience=LONG)
            cut = [way.has_cut for way in ways]
        finally:
            stop.set()
            async with asyncio.timeout(LONG):
                await asyncio.gather(*tasks)
    assert cut[0]
    assert not cut[-1], "the last cuts should lie beyond all that is said in the beginning"


def consume(infra: Infrastructure, amqp_url: str, queue: str) -> Callable[[], Awaitable[bool]]:
    """Whether there is a consumer of the queue for each of the cuts, be it its turn or not."""

    async def all_consume() -> bool:
        return (await consumers(infra.rabbitmq, amqp_url))[queue] == len(CUTS)

    return all_consume


async def test_projectors_hear_of_events(infra: Infrastructure, amqp_url: str) -> None:
    """Given doorbells that are cut off after each word of the broker's, then all consume in the end, and all stop."""
    await begin_again(amqp_url, lambda url, _: Doorbell(url, Mailbox()), consume(infra, amqp_url, PROJECTOR))


async def test_command_services_take_commands(infra: Infrastructure, amqp_url: str) -> None:
    """Given intakes that are cut off after each word of the broker's, then all consume in the end, and all stop."""
    await begin_again(amqp_url, lambda url, _: Intake(url, Scripted()), consume(infra, amqp_url, COMMANDS))


async def test_consumers_of_the_client_consume(infra: Infrastructure, amqp_url: str) -> None:
    """Given consumers that are cut off after each word of the broker's, then all consume in the end, and all stop."""

    def make(url: str, _: int) -> Consumer[None]:
        return Consumer(Wiring(url, STATISTICS), Rules(begin="first"), Handlers(), MemoryStore(), MemoryHistory([]))

    await begin_again(amqp_url, make, consume(infra, amqp_url, STATISTICS))


async def test_relays_publish(database_url: str, amqp_url: str, log: Log) -> None:
    """Given relays, each with a cursor of its own, that are cut off after each word of the broker's, when there is
    something in the log, then all publish it in the end, and all stop."""
    await fill(log, 3)
    connection = await asyncpg.connect(database_url)

    async def all_published() -> bool:
        cursors = await connection.fetch("SELECT position FROM log.relay_cursor WHERE position = 3")
        return len(cursors) == len(CUTS)

    await begin_again(
        amqp_url, lambda url, number: Relay(database_url, url, log, name=f"relay {number}"), all_published
    )
    await connection.close()
