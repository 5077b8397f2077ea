"""A log of millions against a short one: the same work on both, in turn.

The long log holds the short one again and again, as the histories of further tenants, with their read models and
timers: so the tables are as large as real ones, and every history is legal.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from itertools import count
from random import Random
from statistics import median
from time import perf_counter

import asyncpg

from services.projector.folding import Folder
from services.projector.loop import Projector
from services.projector.mailbox import Mailbox
from services.projector.models import MODELS
from services.projector.timing_fold import TimingFold
from shared.database.pool import open_pool
from shared.log import Append, Log
from shared.timing.policies import default_policies
from tests.bench import plots, synthetic
from tests.bench.rebuild import folded_log
from tests.bench.rounds import Goal, Result, compare
from tests.bench.servers import Bench

_COPY = """
INSERT INTO log.event
SELECT position + $2 * $1::bigint, epoch, tenant || '-$1', category, stream_id, version, event_id, type,
       schema_version, occurred_at, recorded_at, actor, command_id, correlation_id, causation_id, data
FROM log.event WHERE tenant = 'tenant-1';
INSERT INTO log.receipt
SELECT tenant || '-$1', command_id, fingerprint, position + $2 * $1::bigint, events, recorded_at
FROM log.receipt WHERE tenant = 'tenant-1';
INSERT INTO read.row
SELECT r.generation, r.tenant || '-$1', r.key, r.owner, r.state, r.sort, r.body, r.search
FROM read.row r JOIN read.generation g ON g.id = r.generation AND g.status = 'live' WHERE r.tenant = 'tenant-1';
INSERT INTO read.timer
SELECT tenant || '-$1', id, subject_id, seeker_id, guards, due_at, outcome, ending, body
FROM read.timer WHERE tenant = 'tenant-1';
UPDATE log.head SET position = position + $2;
UPDATE read.checkpoint SET position = position + $2;
"""
_WORK = 2000
"""Events appended and projected a round."""
_seeds = count(20_001)


class Side:
    """One of the two logs."""

    def __init__(self, database_url: str, log: Log, streams: Sequence[asyncpg.Record]) -> None:
        self._database_url, self._log, self._streams = database_url, log, streams
        self._rng = Random(1)
        self._folder = Folder(MODELS, TimingFold(default_policies()))

    @classmethod
    @asynccontextmanager
    async def open(cls, database_url: str) -> AsyncIterator[Side]:
        pool = await open_pool(database_url)
        streams = await pool.fetch("SELECT DISTINCT tenant, stream_id FROM log.event WHERE position % 97 = 0")
        async with Log.open(pool, database_url) as log:
            yield cls(database_url, log, streams)
        await pool.close()

    async def append(self) -> float:
        """Events a second."""
        appends = list(synthetic.appends(_WORK, seed=next(_seeds)))
        began = perf_counter()
        await self._write(appends)
        return _WORK / (perf_counter() - began)

    async def project(self) -> float:
        """Events a second, of new histories."""
        await self._write(list(synthetic.appends(_WORK, seed=next(_seeds))))
        async with Projector(self._database_url, self._log, self._folder, Mailbox()).session() as session:
            began = perf_counter()
            return await session.run_once() / (perf_counter() - began)

    async def read(self) -> float:
        """Median seconds to read a stream."""
        times = []
        for _ in range(500):
            row = self._rng.choice(self._streams)
            began = perf_counter()
            await self._log.read_stream(row["tenant"], row["stream_id"])
            times.append(perf_counter() - began)
        return median(times)

    async def _write(self, appends: Sequence[Append]) -> None:
        for outcome in await self._log.append_all(appends):
            if isinstance(outcome, Exception):
                raise outcome


async def run(bench: Bench) -> list[Result]:
    long = max(10_000, bench.scaled(10_000_000))
    short = min(100_000, long // 10)
    short_url = await folded_log(bench, "short", short)
    create = bench.infrastructure.postgres.create_database
    long_url = await asyncio.to_thread(create, "bench_long", "bench_short")
    await _grow(long_url, long)
    rows = (
        ("append", Side.append, "events/s", Goal(1 / 1.3)),
        ("projection", Side.project, "events/s", Goal(1 / 1.3)),
        ("reading a stream, p50", Side.read, "s", Goal(1.3, "at most")),
    )
    results = []
    async with AsyncExitStack() as stack:
        large = await stack.enter_async_context(Side.open(long_url))
        small = await stack.enter_async_context(Side.open(short_url))
        for what, work, unit, goal in rows:
            against = [(f"a log of {short:,}", partial(work, small), goal)]
            name = f"{what}, log of {long:,}"
            results += await compare(name, partial(work, large), against, unit=unit, rounds=bench.rounds)
    _plot(results, short, long)
    return results


async def _grow(database_url: str, events: int) -> None:
    owner = await asyncpg.connect(database_url)
    base = await owner.fetchval("SELECT position FROM log.head")
    for number in range(1, events // base):
        async with owner.transaction():
            for statement in _COPY.split(";\n")[:-1]:
                await owner.execute(statement.replace("$1", str(number)).replace("$2", str(base)))
    await owner.execute("VACUUM ANALYZE")
    await owner.close()


def _plot(results: Sequence[Result], short: int, long: int) -> None:
    series = {
        result.name.partition(",")[0]: [
            (short, 1e6 / (result.limit_or_peer_value or 1)),
            (long, 1e6 / result.value),
        ]
        for result in results
        if result.unit == "events/s"
    }
    plots.lines("growth", "Cost of an event against the log's length", series, "events in the log", "µs an event")
