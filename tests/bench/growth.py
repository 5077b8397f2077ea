"""A log of millions against a short one: the same work on both, in turn.

The long log holds the short one again and again, as the histories of further tenants, with their read models and
timers: so the tables are as large as real ones, and every history is legal.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from functools import partial
from itertools import count
from pathlib import Path
from random import Random
from shutil import disk_usage
from statistics import median
from time import perf_counter
from urllib.parse import urlsplit

import asyncpg

from deploy.launcher.services import SERVICES, Running, Service
from services.command.relay import NAME
from services.projector.folding import Folder
from services.projector.loop import Projector
from services.projector.mailbox import Mailbox
from services.projector.models import MODELS
from services.projector.timing_fold import TimingFold
from shared.database.pool import open_pool
from shared.log import Append, Log
from shared.timing.policies import default_policies
from tests.bench import plots, synthetic
from tests.bench.callers import rate
from tests.bench.http import serving
from tests.bench.rebuild import folded_log
from tests.bench.rounds import Goal, Result, compare
from tests.bench.servers import Bench

_COPY = """
INSERT INTO log.event
SELECT position + $2 * $1::bigint, epoch, tenant || '-$1', category, stream_id, version, event_id, type,
       schema_version, occurred_at, recorded_at, actor, command_id, correlation_id, causation_id, data
FROM log.event WHERE position <= $2;
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
_PUBLISHED = """
INSERT INTO log.relay_cursor (name, position, epoch) SELECT $1, position, epoch FROM log.head
ON CONFLICT (name) DO UPDATE SET position = excluded.position
"""
_WORK = 2000
"""Events appended and projected a round."""
_MUCH = 20_000
"""Commands executed, or events projected, by a service whose memory is looked at: many times what its caches keep."""
_SMALL_CACHES = {"kept_states": "1000", "kept_rows": "1000"}
_READS = 500
"""Streams read a round."""
_SOME = 100
_BYTES_AN_EVENT = 4000
"""With its read models, timers, indexes and WAL; 3,400 were measured."""
_seeds = count(20_001)


class Side:
    """One of the two logs."""

    def __init__(self, bench: Bench, database_url: str, log: Log, pool: asyncpg.Pool[asyncpg.Record]) -> None:
        self._bench, self._database_url, self._log, self._pool = bench, database_url, log, pool
        self._amqp_url = bench.infrastructure.rabbitmq.create_vhost(urlsplit(database_url).path.removeprefix("/"))
        self._streams: Sequence[asyncpg.Record] = ()
        """Of all ages, as many of one log as of the other, so that both sides have the same to remember."""
        self._others: Sequence[asyncpg.Record] = ()
        """As many again, hardly any of which is read twice."""
        self._rng = Random(1)
        self._folder = Folder(MODELS, TimingFold(default_policies()))

    @classmethod
    @asynccontextmanager
    async def open(cls, bench: Bench, database_url: str) -> AsyncIterator[Side]:
        pool = await open_pool(database_url)
        async with Log.open(pool, database_url) as log:
            side = cls(bench, database_url, log, pool)
            side._streams = await pool.fetch("SELECT tenant, stream_id FROM log.event WHERE position % 997 = 0")
            yield side
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

    async def read_some(self) -> float:
        """Median seconds to read one of some streams of all ages: as many in either log, so that memory holds them."""
        return await self._read(self._streams[:: max(1, len(self._streams) // _SOME)])

    async def read_any(self) -> float:
        """Median seconds to read a stream; of a long log hardly one is read twice."""
        return await self._read(self._streams)

    async def _read(self, streams: Sequence[asyncpg.Record]) -> float:
        times = []
        for _ in range(_READS):
            row = self._rng.choice(streams)
            began = perf_counter()
            await self._log.read_stream(row["tenant"], row["stream_id"])
            times.append(perf_counter() - began)
        return median(times)

    async def command_memory(self) -> float:
        """Megabytes, at most, of a command service that starts on this log, executes commands and publishes them."""
        owner = await asyncpg.connect(self._database_url)
        await owner.execute(_PUBLISHED.replace("$1", f"'{NAME}'"))
        await owner.close()
        async with self._serving(SERVICES[0]) as [command]:
            scripts = [synthetic.requests(_MUCH // 16, seed=next(_seeds)) for _ in range(16)]
            await rate(command.url, scripts)
            return peak_memory(command)

    async def projector_memory(self) -> float:
        """Megabytes, at most, of a projector that starts on this log and is behind by many events."""
        await self._write(list(synthetic.appends(_MUCH, seed=next(_seeds))))
        async with self._serving(SERVICES[1]) as [projector]:
            await self._caught_up(projector)
            return peak_memory(projector)

    async def _caught_up(self, projector: Running) -> None:
        while projector.child.running:
            if await self._pool.fetchval("SELECT h.position = c.position FROM log.head h, read.checkpoint c"):
                return
            await asyncio.sleep(0.1)
        raise RuntimeError("the projector has ended")

    def _serving(self, service: Service) -> AbstractAsyncContextManager[list[Running]]:
        return serving(self._bench, self._database_url, service, amqp_url=self._amqp_url, fire="false", **_SMALL_CACHES)

    async def _write(self, appends: Sequence[Append]) -> None:
        for outcome in await self._log.append_all(appends):
            if isinstance(outcome, Exception):
                raise outcome


async def run(bench: Bench) -> list[Result]:
    long = max(100_000, bench.scaled(10_000_000))
    short = min(100_000, long // 100)
    middle = 10 * short
    _look_for_room(bench, long + middle)
    urls = {short: await folded_log(bench, "short", short)}
    for name, events in (("middle", middle), ("long", long)):
        create = bench.infrastructure.postgres.create_database
        urls[events] = await asyncio.to_thread(create, f"bench_{name}", "bench_short")
        await _grow(urls[events], events)
    rows = (
        ("append", Side.append, "events/s", Goal(1 / 1.3), (short, middle)),
        ("projection", Side.project, "events/s", Goal(1 / 1.3), (short, middle)),
        ("reading one of a hundred streams, p50", Side.read_some, "s", Goal(1.3, "at most"), (short,)),
        ("reading any stream, p50", Side.read_any, "s", Goal(1.3, "at most"), (short,)),
        ("memory of the command service, peak", Side.command_memory, "MB", Goal(1.3, "at most"), (short,)),
        ("memory of the projector, peak", Side.projector_memory, "MB", Goal(1.3, "at most"), (short,)),
    )
    results = []
    async with AsyncExitStack() as stack:
        sides = {events: await stack.enter_async_context(Side.open(bench, url)) for events, url in urls.items()}
        for what, work, unit, goal, others in rows:
            against = [(_log_of(events), partial(work, sides[events]), goal) for events in others]
            name = f"{what}, log of {long:,}"
            results += await compare(name, partial(work, sides[long]), against, unit=unit, rounds=bench.rounds)
    _plot(results, long, {_log_of(events): events for events in (short, middle)})
    return results


def _log_of(events: int) -> str:
    return f"a log of {events:,}"


def _look_for_room(bench: Bench, events: int) -> None:
    """Raises RuntimeError where the disk has no room for a log of so many events with its read models."""
    wanted, free = events * _BYTES_AN_EVENT, disk_usage(bench.infrastructure.run.path).free
    if wanted > free:
        raise RuntimeError(
            f"a log of {events:,} events takes {wanted / 1e9:.0f} GB in {bench.infrastructure.run.path}, where "
            f"{free / 1e9:.0f} GB are free: set TMPDIR to a folder with more, or measure less (--scale)"
        )


def peak_memory(process: Running) -> float:
    """The most megabytes that it has held so far."""
    status = Path("/proc", str(process.child.pid), "status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024


async def _grow(database_url: str, events: int) -> None:
    owner = await asyncpg.connect(database_url)
    base = await owner.fetchval("SELECT position FROM log.head")
    for number in range(1, -(-events // base)):
        async with owner.transaction():
            for statement in _COPY.split(";\n")[:-1]:
                await owner.execute(statement.replace("$1", str(number)).replace("$2", str(base)))
    await owner.execute("VACUUM ANALYZE")
    await owner.close()


def _plot(results: Sequence[Result], long: int, shorter: Mapping[str, int]) -> None:
    """`long`: how many events ours holds; `shorter`: what it was measured against, and how many that holds."""
    costs: dict[str, dict[int, float]] = {}
    for result in results:
        if result.unit == "events/s" and result.limit_or_peer_value:
            cost = costs.setdefault(result.name.partition(",")[0], {long: 1e6 / result.value})
            cost[shorter[result.against]] = 1e6 / result.limit_or_peer_value
    series = {name: list(cost.items()) for name, cost in costs.items()}
    plots.lines("growth", "Cost of an event against the log's length", series, "events in the log", "µs an event")
