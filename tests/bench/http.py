"""Commands over HTTP against a bare route with one insert, and imports: for the command service as it is, with relay
and intake in it, and for one without them, which loads, folds, decides, appends and answers. Neither side writes access
logs.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from itertools import count
from time import perf_counter

import asyncpg
import httpx

from deploy.launcher.services import ROOT, Running, Service, running
from tests.bench import synthetic
from tests.bench.callers import post, rate
from tests.bench.payloads import payload
from tests.bench.relay import fresh
from tests.bench.rounds import Goal, Result, compare, measure
from tests.bench.servers import Bench

CLIENTS = 64
_UNPUBLISHED = "SELECT coalesce((SELECT position FROM log.relay_cursor), 0) < position FROM log.head"
_seeds = count(1)


@asynccontextmanager
async def serving(bench: Bench, database_url: str, *services: Service, **settings: str) -> AsyncIterator[list[Running]]:
    """The services as processes of their own. `relay="false"` is the setting `KITHLOG_RELAY`."""
    own = {
        "KITHLOG_DATABASE_URL": database_url,
        "KITHLOG_AMQP_URL": bench.infrastructure.amqp_url,
        "KITHLOG_ACCESS_LOG": "false",
        "KITHLOG_LOG_LEVEL": "warning",
    } | {f"KITHLOG_{name.upper()}": value for name, value in settings.items()}
    processes = running(services, dict(os.environ) | own, bench.infrastructure.run.path, ROOT)
    started = await asyncio.to_thread(processes.__enter__)
    try:
        yield started
    finally:
        await asyncio.to_thread(processes.__exit__, None, None, None)


async def run(bench: Bench) -> list[Result]:
    alone = {"relay": "false", "intake": "false"}
    return [*await _measure(bench, "http", ""), *await _measure(bench, "http_alone", ", relay and intake off", **alone)]


async def _measure(bench: Bench, database: str, how: str, **settings: str) -> list[Result]:
    database_url = await bench.database(database)
    command = Service("command", "services.command.app:create_app")
    bare = Service("bare", "tests.bench.bare:create_app")
    requests = bench.scaled(16_000) // CLIENTS
    imported = bench.scaled(20_000)
    async with AsyncExitStack() as stack:
        amqp_url = await stack.enter_async_context(fresh(bench))
        services = serving(bench, database_url, command, bare, amqp_url=amqp_url, **settings)
        ours_url, bare_url = (each.url for each in await stack.enter_async_context(services))
        watch = await asyncpg.connect(database_url)
        stack.push_async_callback(watch.close)

        async def published() -> None:
            """What one round has left to publish is not to hold up the next."""
            while settings.get("relay") != "false" and await watch.fetchval(_UNPUBLISHED):  # noqa: ASYNC110
                await asyncio.sleep(0.1)

        async def ours() -> float:
            reached = await rate(ours_url, [synthetic.requests(requests, seed=next(_seeds)) for _ in range(CLIENTS)])
            await published()
            return reached

        async def theirs() -> float:
            script = [post(f"/things/{synthetic.an_id(number)}", payload(number)) for number in range(requests)]
            return await rate(bare_url, [script] * CLIENTS)

        async def bulk() -> float:
            content = synthetic.lines(imported, seed=next(_seeds))
            async with httpx.AsyncClient(trust_env=False, timeout=600) as client:
                began = perf_counter()
                response = await client.post(f"{ours_url}/v1/commands/bulk", content=content)
                seconds = perf_counter() - began
            if response.text.count('"status":200') != imported:
                raise RuntimeError(f"not all lines were accepted: {response.text[-1000:]}")
            await published()
            return imported / seconds

        name = f"commands over HTTP, {CLIENTS} clients{how}"
        against = [("a bare FastAPI route, one asyncpg insert", theirs, Goal(0.8))]
        results = await compare(name, ours, against, unit="commands/s", rounds=bench.rounds)
        name = f"bulk import{how}"
        results.append(await measure(name, bulk, 10_000, Goal(1), unit="commands/s", rounds=bench.rounds))
    return results
