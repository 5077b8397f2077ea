"""Building all read models and timers anew from a whole log, comparing them with the live ones, and switching.

Neither side waits for the disk: both write what can be made again from the log with `synchronous_commit` off.
"""

from __future__ import annotations

import asyncio
from time import perf_counter

import asyncpg

from services.projector.models import MODELS
from services.projector.rebuild.rebuild import rebuild
from services.projector.rebuild.work import NAMES
from shared.timing.policies import default_policies
from tests.bench import getting, synthetic
from tests.bench.peers import postgres_variables
from tests.bench.rounds import Goal, Result, compare, of_figure
from tests.bench.servers import Bench

_FOLDED = "INSERT INTO read.checkpoint (name, position, epoch) SELECT 'projector', position, epoch FROM log.head"
"""Read models that are all folded and not there: the first rebuild makes them."""


async def folded_log(bench: Bench, name: str, events: int) -> str:
    """A database with a log and its read models: a copy of one that is made once a run."""
    made = f"folded_{events}"
    if made not in bench.made:
        database_url = await synthetic.log_of(bench, made, events)
        connection = await asyncpg.connect(database_url)
        await connection.execute(_FOLDED)
        await connection.close()
        await rebuild(database_url, default_policies(), NAMES, accept="the first")
        bench.made.add(made)
    create = bench.infrastructure.postgres.create_database
    return await asyncio.to_thread(create, f"bench_{name}", f"bench_{made}")


async def run(bench: Bench) -> list[Result]:
    events = bench.scaled(1_000_000)
    database_url = await folded_log(bench, "rebuild", events)

    async def ours() -> float:
        began = perf_counter()
        report = await rebuild(database_url, default_policies(), NAMES)
        if not report.switched:
            raise RuntimeError(f"{report.unexplained} differences")
        return report.position / (perf_counter() - began)

    name = f"rebuild of {len(MODELS)} read models and timers from {events:,} events"
    figure = of_figure(20_000, Goal(1))
    try:
        python = await asyncio.to_thread(getting.eventsourcing_python)
    except getting.Missing as missing:
        print(f"left out: {missing}")
        return await compare(name, ours, [figure], unit="events/s", rounds=bench.rounds)
    databases = iter([await bench.database(f"projection_{number}") for number in range(bench.rounds + 1)])

    async def peer() -> float:
        arguments = ["project", str(bench.scaled(20_000)), str(len(MODELS))]
        env = postgres_variables(next(databases)) | {"PGOPTIONS": "-c synchronous_commit=off"}
        return await asyncio.to_thread(getting.run_peer, python, arguments, env)

    runner = (f"eventsourcing's projection runner, {len(MODELS)} read models, two of them an event", peer, Goal(30))
    return await compare(name, ours, [figure, runner], unit="events/s", rounds=bench.rounds)
