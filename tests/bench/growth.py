"""A log of millions against a short one: the same work on both, in turn.

The long log holds the short one again and again, as the histories of further tenants, with their read models and
timers: so the tables are as large as real ones, and every history is legal. What is done concerns all tenants alike,
and streams of all ages: in a long log hardly anything is touched twice, as with a real one. The short log grows by a
round's events with each round. Firing is off: as made-up histories lie in the past, every timer would be overdue.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from functools import partial
from itertools import count
from pathlib import Path
from random import Random
from shutil import disk_usage
from statistics import median
from time import perf_counter
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID, uuid4

import asyncpg

from deploy.launcher.services import SERVICES, Running, Service
from services.command.relay import NAME
from services.projector.folding.folder import Folder
from services.projector.folding.timing_fold import TimingFold
from services.projector.live.loop import Projector
from services.projector.live.mailbox import Mailbox
from services.projector.models import MODELS
from shared.database.pool import open_pool
from shared.domain.kernel import Stream
from shared.log import Append, Log, Pending
from shared.timing.policies import default_policies
from tests.bench import plots, synthetic
from tests.bench.callers import rate
from tests.bench.http import serving
from tests.bench.live import visible_after
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
SELECT r.generation, r.tenant || '-$1', r.key, r.owner, r.state, r.sort, r.body
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
_RECURRING = ("relationship.touchpoint_recorded", "interview.notes_taken", "seeker.introduction_written")
"""What may come about any number of times."""
_OLD = """
SELECT DISTINCT ON (e.stream_id) e.category, e.stream_id, e.type, e.schema_version, e.data,
       (SELECT max(l.version) FROM log.event l WHERE l.tenant = e.tenant AND l.stream_id = e.stream_id) AS version
FROM log.event e WHERE e.tenant = $1 AND e.type = ANY ($2::text[]) ORDER BY e.stream_id, e.version
"""
_NEW = 20_000
"""Events of new histories a round: so many appended and projected, or commands executed. With a service whose memory is
looked at, many times what its caches keep."""
_COHORT = 200
"""Events of new histories in one tenant."""
_SMALL_CACHES = {"kept_states": "1000", "kept_rows": "1000"}
_READS = 500
"""Streams read a round."""
_SOME = 100
_BYTES_AN_EVENT = 4000
"""With its read models, timers, indexes and WAL; 3,400 were measured."""
_LIVE_RATE = 100
"""Commands a second, which leave both cores room."""
_seeds = count(20_001)


class Work:
    """What is done to one of the two logs: in all of its tenants alike, to streams of all ages."""

    def __init__(self, tenants: Sequence[str], old: Sequence[Mapping[str, Any]]) -> None:
        """`old`: for each stream that may go on, an event that may come about again. All tenants have the same ones."""
        self._tenants, self._old, self._rng = tenants, old, Random(1)
        self._more: Counter[tuple[str, UUID]] = Counter()
        """How many events were appended to a stream since."""

    def appends(self, new: int) -> list[Append]:
        """So many events of new histories, each of a few seekers, and between them one event more on each of the old
        streams: each is touched once, whatever the log's length."""
        lots = [[self._again(row, self._tenant())] for row in self._old]
        for _ in range(new // _COHORT):
            lots.append(list(synthetic.appends(_COHORT, seed=next(_seeds), tenant=self._tenant())))
        turns = [turn for lot in lots for turn in [iter(lot)] * len(lot)]
        self._rng.shuffle(turns)
        return [next(turn) for turn in turns]

    def requests(self, number: int, clients: int) -> list[list[bytes]]:
        each = number // clients
        return [synthetic.requests(each, seed=next(_seeds), tenant=self._tenant()) for _ in range(clients)]

    def _again(self, row: Mapping[str, Any], tenant: str) -> Append:
        id, stream = uuid4(), Stream(row["category"], row["stream_id"])
        version = row["version"] + self._more[tenant, stream.id]
        self._more[tenant, stream.id] += 1
        event = Pending(stream, row["type"], row["schema_version"], row["data"])
        return Append(tenant, id, [event], {stream: version}, None, id, id, "bench", id.bytes)

    def _tenant(self) -> str:
        return self._rng.choice(self._tenants)


class Side:
    """One of the two logs."""

    def __init__(self, bench: Bench, database_url: str, log: Log, pool: asyncpg.Pool[asyncpg.Record]) -> None:
        self._bench, self._database_url, self._log, self._pool = bench, database_url, log, pool
        self._amqp_url = bench.infrastructure.rabbitmq.create_vhost(urlsplit(database_url).path.removeprefix("/"))
        self._streams: Sequence[asyncpg.Record] = ()
        """Some, of all ages and tenants."""
        self._work = Work((), ())
        self._appended: list[float] = []
        self._rng = Random(1)
        self._folder = Folder(MODELS, TimingFold(default_policies()))

    @classmethod
    @asynccontextmanager
    async def open(cls, bench: Bench, database_url: str) -> AsyncIterator[Side]:
        pool = await open_pool(database_url)
        async with Log.open(pool, database_url) as log:
            side = cls(bench, database_url, log, pool)
            side._streams = await pool.fetch("SELECT tenant, stream_id FROM log.event WHERE position % 997 = 0")
            tenants = sorted({row["tenant"] for row in side._streams})
            side._work = Work(tenants, [dict(row) for row in await pool.fetch(_OLD, synthetic.TENANT, _RECURRING)])
            yield side
        await pool.close()

    async def catch_up(self) -> float:
        """Events a second. How fast they were appended is kept for `appended`."""
        appends = self._work.appends(self._bench.scaled(_NEW))
        events = sum(len(append.events) for append in appends)
        began = perf_counter()
        await self._write(appends)
        self._appended.append(events / (perf_counter() - began))
        async with Projector(self._database_url, self._log, self._folder, Mailbox()).session() as session:
            began = perf_counter()
            return await session.run_once() / (perf_counter() - began)

    async def appended(self) -> float:
        """Events a second, of each round of `catch_up` in turn."""
        return self._appended.pop(0)

    async def live(self) -> float:
        """Median seconds from a command's answer until its events are in the read models."""
        scripts = self._work.requests(3 * self._bench.seconds * _LIVE_RATE, 20)
        await self._publish_from_here()
        watch = await asyncpg.connect(self._database_url)
        async with self._serving(*SERVICES) as (command, _):
            lateness, _ = await visible_after(watch, command.url, scripts, _LIVE_RATE)
        await watch.close()
        return median(lateness)

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
        await self._publish_from_here()
        async with self._serving(SERVICES[0]) as [command]:
            await rate(command.url, self._work.requests(self._bench.scaled(_NEW), 16))
            return peak_memory(command)

    async def projector_memory(self) -> float:
        """Megabytes, at most, of a projector that starts on this log and is behind by many events."""
        await self._write(self._work.appends(self._bench.scaled(_NEW)))
        async with self._serving(SERVICES[1]) as [projector]:
            await self._caught_up(projector)
            return peak_memory(projector)

    async def _publish_from_here(self) -> None:
        owner = await asyncpg.connect(self._database_url)
        await owner.execute(_PUBLISHED.replace("$1", f"'{NAME}'"))
        await owner.close()

    async def _caught_up(self, projector: Running) -> None:
        while projector.child.running:
            if await self._pool.fetchval("SELECT h.position = c.position FROM log.head h, read.checkpoint c"):
                return
            await asyncio.sleep(0.1)
        raise RuntimeError("the projector has ended")

    def _serving(self, *services: Service) -> AbstractAsyncContextManager[list[Running]]:
        settings = {"amqp_url": self._amqp_url, "fire": "false"} | _SMALL_CACHES
        return serving(self._bench, self._database_url, *services, **settings)

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
        ("catching up", Side.catch_up, "events/s", Goal(1 / 1.3), (short, middle)),
        ("append", Side.appended, "events/s", Goal(1 / 1.3), (short, middle)),
        (
            f"live at {_LIVE_RATE} commands/s: answered → visible, firing off, p50",
            Side.live,
            "s",
            Goal(1.3, "at most"),
            (short,),
        ),
        ("reading one of a hundred streams, p50", Side.read_some, "s", Goal(1.3, "at most"), (short,)),
        ("reading any stream, p50", Side.read_any, "s", Goal(1.3, "at most"), (short,)),
        ("memory of the command service, peak", Side.command_memory, "MB", Goal(1.3, "at most"), (short,)),
        ("memory of the projector, firing off, peak", Side.projector_memory, "MB", Goal(1.3, "at most"), (short,)),
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
