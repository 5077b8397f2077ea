"""Publishing a backlog: the relay against a raw socket and FastStream, to the same exchange with the same queues (a
quorum queue and a stream) of a fresh virtual host, all persistent and confirmed."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from itertools import count
from time import perf_counter

import aio_pika
import asyncpg
from faststream.rabbit import ExchangeType, RabbitBroker, RabbitExchange

from services.command.relay import Relay
from shared.broker import topology
from shared.broker.outgoing import Outgoing
from shared.database.pool import open_pool
from shared.log import Log
from tests.bench import synthetic
from tests.bench.blast import blast, frames
from tests.bench.rounds import Goal, Result, compare
from tests.bench.servers import Bench

WINDOW = 500
_hosts = count(1)


@asynccontextmanager
async def fresh(bench: Bench) -> AsyncIterator[str]:
    """The URL of a virtual host with everything declared and nothing in it."""
    rabbitmq, name = bench.infrastructure.rabbitmq, f"bench-{next(_hosts)}"
    url = await asyncio.to_thread(rabbitmq.create_vhost, name)
    async with await aio_pika.connect(url) as connection:
        await topology.declare(await connection.channel())
    yield url
    await asyncio.to_thread(rabbitmq.delete_vhost, name)


async def faststream(url: str, messages: Sequence[Outgoing]) -> float:
    """Messages a second, 500 of them on their way at once."""
    broker = RabbitBroker(url, logger=None, log_level=logging.DEBUG)
    exchange = RabbitExchange(topology.EVENTS, type=ExchangeType.TOPIC, durable=True)
    waiting = iter(messages)

    async def publish() -> None:
        for message in waiting:
            await broker.publish(
                message.body, exchange=exchange, routing_key=message.routing_key, persist=True, mandatory=True,
                headers=dict(message.headers), message_id=message.message_id, content_type=message.content_type,
            )  # fmt: skip

    async with broker:
        began = perf_counter()
        await asyncio.gather(*(publish() for _ in range(WINDOW)))
        return len(messages) / (perf_counter() - began)


async def run(bench: Bench) -> list[Result]:
    backlog = bench.scaled(200_000)
    database_url = await synthetic.log_of(bench, "relay", backlog)
    pool = await open_pool(database_url)
    owner = await asyncpg.connect(database_url)
    async with Log.open(pool, database_url) as log:
        messages = [Outgoing.of(event) for event in await log.read(0, backlog)]
        encoded = frames(messages, topology.EVENTS)

        async def ours() -> float:
            await owner.execute("DELETE FROM log.relay_cursor")
            async with fresh(bench) as url:
                began = perf_counter()
                return await Relay(database_url, url, log).run_once() / (perf_counter() - began)

        async def limit() -> float:
            async with fresh(bench) as url:
                return await blast(url, encoded, len(messages))

        async def peer() -> float:
            async with fresh(bench) as url:
                return await faststream(url, messages)

        against = [
            ("pre-encoded frames blasted over one socket", limit, Goal(0.6)),
            (f"FastStream's publish, window of {WINDOW}", peer, Goal(6)),
        ]
        results = await compare(f"relay, backlog of {backlog:,}", ours, against, unit="events/s", rounds=bench.rounds)
    await owner.close()
    await pool.close()
    return results
