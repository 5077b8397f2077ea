"""A consumer for many events, while the broker is killed, repeats messages and drops them: its table equals the log.

`make client-soak` runs it with 200,000 events and three kills.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from itertools import pairwise
from time import monotonic
from typing import Any

import asyncpg
import pytest

from deploy.launcher.infrastructure import Infrastructure
from services.command.relay import Relay
from shared.broker import cloudevents
from shared.client import CloudEvent, Consumer, Handlers, HttpHistory, Incoming, Patterns, PostgresStore, Rules, Wiring
from shared.client.connecting import connect
from shared.client.session import AWAY
from shared.log import Log
from tests.client.messages import consuming, publish
from tests.contract.conftest import an_append

EVENTS = int(os.environ.get("KITHLOG_CONSUMER_EVENTS", "5000"))
KILLS = int(os.environ.get("KITHLOG_BROKER_KILLS", "1"))
SMALL = 1000
"""Messages that the consumer's queue holds: it drops many."""
BURST = 2000
PATIENCE = 60.0 + EVENTS / 100
TABLE = "CREATE TABLE seen (position bigint, event_id uuid)"
DIFFERENCE = """
    SELECT count(*) FROM (SELECT position, event_id FROM log.event WHERE $1 OR type LIKE 'interview.%') AS logged
    FULL JOIN seen USING (position, event_id) WHERE logged.position IS NULL OR seen.position IS NULL
"""
TYPES = ("interview.held", "lead.recorded", "interview.planned")

Pool = Any
Connection = Any


class Table:
    """The consumer's own table, without a key: what is taken twice is there twice."""

    def __init__(self, pool: Pool) -> None:
        self.pool = pool
        self.handlers: Handlers[Connection] = Handlers()
        self.handlers.otherwise(self._insert)

    @staticmethod
    async def _insert(event: CloudEvent, connection: Connection) -> None:
        await connection.execute("INSERT INTO seen VALUES ($1, $2)", event.position, event.id)

    async def rows(self) -> int:
        return int(await self.pool.fetchval("SELECT count(*) FROM seen"))

    async def differences(self, everything: bool) -> int:
        """Rows of the log that are not here, rows here that are not in the log, or twice."""
        twice = await self.pool.fetchval("SELECT count(*) - count(DISTINCT position) FROM seen")
        return int(twice + await self.pool.fetchval(DIFFERENCE, everything))


@pytest.fixture
async def table(database_url: str) -> AsyncIterator[Table]:
    async with asyncpg.create_pool(database_url, min_size=1, max_size=4) as pool:
        await pool.execute(TABLE)
        await pool.execute(PostgresStore.TABLE)
        yield Table(pool)


@asynccontextmanager
async def doubling(amqp_url: str, log: Log) -> AsyncIterator[None]:
    """Someone who brings events to the consumer's queue that it has had, or has yet to get."""

    async def repeat() -> None:
        while True:
            with suppress(*AWAY):
                async with await connect(amqp_url, timeout=5) as connection:
                    channel = await connection.channel()
                    while True:
                        head = (await log.head()).position
                        events = await log.read(max(0, head - 700), 5)
                        messages = [Incoming(*cloudevents.encode(event)) for event in events]
                        await publish(channel, *messages, to="statistics")
                        await asyncio.sleep(0.1)
            await asyncio.sleep(0.1)

    task = asyncio.create_task(repeat())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def wanted_of(events: int, everything: bool) -> int:
    """How many of the first events the consumer wants."""
    return events if everything else sum(TYPES[number % 3].startswith("interview") for number in range(events))


async def reached(table: Table, rows: int) -> None:
    async with asyncio.timeout(PATIENCE):
        while await table.rows() < rows:  # noqa: ASYNC110 - a table gives no signal
            await asyncio.sleep(0.1)


@pytest.mark.parametrize(
    ("keys", "kills"), [(("#",), KILLS), (("demo.interview.*",), KILLS - 1)], ids=["everything", "a part"]
)
async def test_the_consumers_table_equals_the_log(
    infra: Infrastructure,
    database_url: str,
    amqp_url: str,
    safe_broker: Callable[[], Awaitable[None]],
    log: Log,
    feed_url: str,
    table: Table,
    keys: tuple[str, ...],
    kills: int,
) -> None:
    """Given events that are recorded at full speed, a queue that drops, messages that come twice and a broker that is
    killed, when all is quiet, then each event of the log that was wanted is in the consumer's table, once.
    """
    everything, began, stop = keys == ("#",), monotonic(), asyncio.Event()

    async def append(after: int, upto: int) -> None:
        """In bursts, each of which the queue is too small for; the next when the consumer has all but caught up, so
        that it has as much from the broker as from the history.
        """
        for start in range(after, upto, BURST):
            await reached(table, wanted_of(start, everything) - SMALL // 10)
            numbers = range(start, min(start + BURST, upto))
            for outcome in await log.append_all([an_append(number, TYPES[number % 3]) for number in numbers]):
                assert not isinstance(outcome, Exception), outcome

    wiring = Wiring(amqp_url, "statistics", prefetch=100, max_length=SMALL, audit_every=1.0)
    rules = Rules(Patterns(keys), begin="first", batch=200)
    relaying = asyncio.create_task(Relay(database_url, amqp_url, log).run(stop))
    async with HttpHistory(feed_url) as history:
        consumer = Consumer(wiring, rules, table.handlers, PostgresStore(table.pool, "statistics"), history)
        async with consuming(consumer):
            await append(0, 10)
            await reached(table, 1)
            await safe_broker()
            async with doubling(amqp_url, log):
                ends = [10 + (EVENTS - 10) * part // (kills + 1) for part in range(kills + 2)]
                for part, (after, upto) in enumerate(pairwise(ends)):
                    await append(after, upto)
                    if part < kills:
                        await asyncio.to_thread(infra.rabbitmq.kill)
                        await asyncio.to_thread(infra.rabbitmq.start)
                await reached(table, wanted_of(EVENTS, everything))
    stop.set()
    await relaying
    sys.stdout.write(f"{keys[0]}: {EVENTS} events, {kills} kills, {monotonic() - began:.0f} s: {consumer.counts}\n")
    assert (await log.head()).position == EVENTS
    assert await table.differences(everything) == 0
    assert consumer.counts.duplicates > 0
    assert consumer.counts.healed > 0
