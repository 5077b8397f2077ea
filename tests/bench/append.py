"""Appending through the log's public function, against the raw limit and pgbench."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import partial
from itertools import count
from statistics import median
from time import perf_counter
from uuid import uuid4

import asyncpg

from shared.database.pool import open_pool
from shared.domain.kernel import Stream
from shared.log import Append, Log, Pending
from tests.bench import plots
from tests.bench.payloads import payload
from tests.bench.pgbench import TABLE, pgbench
from tests.bench.rounds import Goal, Result, Side, compare
from tests.bench.servers import Bench

EVENTS = 100_000
"""Events a round: some seconds, as pgbench gets."""
_AT = datetime(2026, 3, 2, 9, tzinfo=UTC)
_places = count(1)
_LIMIT = "server-side INSERT … SELECT, one session, 1000 rows a commit"
_RAW_AT_A_TIME = 1000
_IDS = """
SELECT $1 + n AS n, gen_random_uuid() AS stream_id, gen_random_uuid() AS event_id, gen_random_uuid() AS command_id,
       gen_random_uuid() AS correlation_id, gen_random_uuid() AS causation_id
FROM generate_series(1, $2::integer) n
"""
_RAW = """
INSERT INTO {table} SELECT n, 1, 'bench', 'interview', stream_id, 1, event_id, 'interview.held', 1::smallint, now(),
       now(), 'bench', command_id, correlation_id, causation_id, $3
FROM {ids}
"""
# A PostgreSQL without OpenSSL opens a device for each random id that it makes, which takes most of the time of a row.
# Each has a table of its own: one for both would grow twice as fast as the log does, which they are compared with.
_TABLES = ("bench_raw_making_ids", "bench_raw_given_ids")
_MAKING_IDS = _RAW.format(table=_TABLES[0], ids=f"({_IDS}) ids")
_GIVEN_IDS = _RAW.format(table=_TABLES[1], ids="bench_ids WHERE n > $1 AND n <= $1 + $2")


def appends(number: int) -> list[Append]:
    """One event each, on streams of their own. Ids are random, as clients' are: indexes grow everywhere at once."""
    made = []
    for place in (next(_places) for _ in range(number)):
        command, stream = uuid4(), Stream("interview", uuid4())
        event = Pending(stream, "interview.held", 1, payload(place))
        made.append(Append("bench", command, [event], {stream: 0}, _AT, command, command, "bench", command.bytes))
    return made


async def callers(log: Log, concurrent: int, total: int) -> float:
    """Events a second with so many callers, each waiting for its answer before its next append."""
    waiting: Iterator[Append] = iter(appends(total))

    async def caller() -> None:
        for append in waiting:
            await log.append(append)

    began = perf_counter()
    await asyncio.gather(*(caller() for _ in range(concurrent)))
    return total / (perf_counter() - began)


async def _plot(log: Log, total: int, rounds: int) -> None:
    points = []
    for concurrent in (1, 4, 16, 64, 256, 1000):
        rates = [await callers(log, concurrent, max(concurrent, total // 20)) for _ in range(rounds)]
        points.append((float(concurrent), median(rates)))
    plots.lines("append", "Appending, by number of callers", {"the log": points}, "callers", "events/s")


async def run(bench: Bench) -> list[Result]:
    url = await bench.database("append")
    pool = await open_pool(url)
    raw = await asyncpg.connect(url)
    await raw.execute(TABLE)
    for table in _TABLES:
        await raw.execute(f"CREATE TABLE {table} (LIKE log.event INCLUDING ALL)")
    await raw.execute(
        "CREATE UNLOGGED TABLE bench_ids (n bigint PRIMARY KEY, stream_id uuid, event_id uuid, command_id uuid, "
        "correlation_id uuid, causation_id uuid)"
    )
    total = bench.scaled(EVENTS)
    bases = count(0, total)

    async def limit(statement: str) -> float:
        base = next(bases)
        await raw.execute("TRUNCATE bench_ids")
        await raw.execute(f"INSERT INTO bench_ids {_IDS}", base, total)
        await raw.execute("ANALYZE bench_ids")
        began = perf_counter()
        for after in range(base, base + total, _RAW_AT_A_TIME):
            await raw.execute(statement, after, _RAW_AT_A_TIME, payload(0))
        return total / (perf_counter() - began)

    async def eight_clients() -> float:
        return (await pgbench(url, clients=8, seconds=bench.seconds))[0]

    async def one_client() -> float:
        return (await pgbench(url, clients=1, seconds=bench.seconds))[1]

    results: list[Result] = []
    async with Log.open(pool, url) as log:

        async def one_caller() -> float:
            times = []
            for append in appends(bench.scaled(1000)):
                began = perf_counter()
                await log.append(append)
                times.append(perf_counter() - began)
            return median(times)

        limits: list[tuple[str, Side | float, Goal]] = [
            (f"{_LIMIT}, of ids that it makes", partial(limit, _MAKING_IDS), Goal(0.4)),
            (f"{_LIMIT}, of ids that are there", partial(limit, _GIVEN_IDS), Goal(0.4)),
            ("pgbench, 8 clients, one insert each", eight_clients, Goal(2)),
        ]
        for concurrent in (256, 1000):

            async def ours(concurrent: int = concurrent) -> float:
                return await callers(log, concurrent, total)

            results += await compare(
                f"append, {concurrent} callers", ours, limits, unit="events/s", rounds=bench.rounds
            )
        results += await compare(
            "append, one caller, p50", one_caller,
            [("pgbench, one client, one insert", one_client, Goal(2.5, "at most"))], unit="s", rounds=bench.rounds,
        )  # fmt: skip
        await _plot(log, total, bench.rounds)
    await raw.close()
    await pool.close()
    return results
