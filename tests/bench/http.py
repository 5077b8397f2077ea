"""Commands over HTTP against a bare route with one insert, and imports. Neither side writes access logs, and the
relay is off: what is compared is load, fold, decide, append, answer."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import count
from time import perf_counter

import httpx

from deploy.launcher.services import ROOT, Running, Service, running
from tests.bench import synthetic
from tests.bench.callers import post, rate
from tests.bench.payloads import payload
from tests.bench.rounds import Goal, Result, compare, measure
from tests.bench.servers import Bench

CLIENTS = 64
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
    database_url = await bench.database("http")
    command = Service("command", "services.command.app:create_app")
    bare = Service("bare", "tests.bench.bare:create_app")
    requests = bench.scaled(16_000) // CLIENTS
    imported = bench.scaled(20_000)
    async with serving(bench, database_url, command, bare, relay="false", intake="false") as services:
        ours_url, bare_url = (each.url for each in services)

        async def ours() -> float:
            return await rate(ours_url, [synthetic.requests(requests, seed=next(_seeds)) for _ in range(CLIENTS)])

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
            return imported / seconds

        against = [("a bare FastAPI route, one asyncpg insert", theirs, Goal(0.8))]
        results = await compare(
            f"commands over HTTP, {CLIENTS} clients", ours, against, unit="commands/s", rounds=bench.rounds
        )
        results.append(await measure("bulk import", bulk, 10_000, Goal(1), unit="commands/s", rounds=bench.rounds))
    return results
