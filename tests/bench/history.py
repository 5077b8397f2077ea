"""The operators' long verbs, each as they run it: a process of its own, with what it took of memory at its peak.

Everything is done on a log and on one of ten times its length: what grows with the log would show.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter

import aio_pika
import asyncpg

from services.command.relay import Relay
from shared.database.pool import open_pool
from shared.log import Log
from tests.bench.rebuild import folded_log
from tests.bench.relay import fresh
from tests.bench.rounds import Goal, Result, compare, measure
from tests.bench.servers import Bench

KITHLOG = Path(sys.executable).with_name("kithlog")
QUEUE = "bench.replay"
# A process is charged with what the one that starts it had taken by then: so a small one starts it, and tells.
_PEAK = """
import resource, subprocess, sys
code = subprocess.call(sys.argv[1:], stdout=subprocess.DEVNULL)
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
sys.exit(code)
"""
_numbers = count(1)


@dataclass(slots=True)
class Side:
    """A log of some length, with its read models."""

    bench: Bench
    url: str
    events: int
    folder: Path
    peak: float = 0.0
    """MB, of the largest process of the last verb."""

    @property
    def exported(self) -> Path:
        return self.folder / f"{self.events}.jsonl"

    async def rebuild(self) -> float:
        return await self._run(self.url, "rebuild")

    async def verify(self) -> float:
        return await self._run(self.url, "verify")

    async def export(self) -> float:
        self.exported.unlink(missing_ok=True)
        return await self._run(self.url, "log", "export", str(self.exported))

    async def import_(self) -> float:
        name = f"import_{next(_numbers)}"
        rate = await self._run(await self.bench.database(name), "log", "import", str(self.exported))
        await asyncio.to_thread(self.bench.infrastructure.postgres.drop_database, f"bench_{name}")
        return rate

    async def replay(self) -> float:
        async with fresh(self.bench) as amqp_url:
            async with await aio_pika.connect(amqp_url) as connection:
                channel = await connection.channel()
                await channel.declare_queue(QUEUE, durable=True, arguments={"x-queue-type": "quorum"})
            # Nobody takes what is sent, as beside it of the relay.
            verb = ("replay", "run", QUEUE, "--why", "measured", "--room", str(2 * self.events))
            return await self._run(self.url, *verb, amqp_url=amqp_url)

    async def last_peak(self) -> float:
        return self.peak

    async def _run(self, url: str, *verb: str, amqp_url: str | None = None) -> float:
        """Events a second, from the process's start to its end."""
        amqp_url = amqp_url or self.bench.infrastructure.amqp_url
        env = os.environ | {"KITHLOG_DATABASE_URL": url, "KITHLOG_AMQP_URL": amqp_url}
        began = perf_counter()
        self.peak = await asyncio.to_thread(_peak_of, [str(KITHLOG), *verb, "--json"], env)
        return self.events / (perf_counter() - began)


def _peak_of(command: Sequence[str], env: dict[str, str]) -> float:
    ended = subprocess.run([sys.executable, "-c", _PEAK, *command], env=env, capture_output=True, check=False)
    if ended.returncode:
        raise RuntimeError(f"{' '.join(command)}: {ended.stderr.decode(errors='replace')}")
    return int(ended.stdout) / 1024


@asynccontextmanager
async def _relay(bench: Bench, side: Side) -> AsyncIterator[Callable[[], Awaitable[float]]]:
    """The relay, publishing the same log."""
    pool, owner = await open_pool(side.url), await asyncpg.connect(side.url)
    async with Log.open(pool, side.url) as log:

        async def publish() -> float:
            await owner.execute("DELETE FROM log.relay_cursor")
            async with fresh(bench) as url:
                began = perf_counter()
                return await Relay(side.url, url, log).run_once() / (perf_counter() - began)

        yield publish
    await owner.close()
    await pool.close()


async def run(bench: Bench) -> list[Result]:
    events = bench.scaled(1_000_000)
    results: list[Result] = []
    with TemporaryDirectory() as folder:
        long, short = [
            Side(bench, await folded_log(bench, f"history_{number}", number), number, Path(folder))
            for number in (events, max(1000, events // 10))
        ]

        async def figure(name: str, verb: Callable[[Side], Awaitable[float]], least: float) -> None:
            name = f"{name} of {events:,} events"
            ours = partial(verb, long)
            rate = await measure(name, ours, least, Goal(1), unit="events/s", rounds=bench.rounds, warm=False)
            results.append(rate)
            await memory(name, verb)

        async def memory(name: str, verb: Callable[[Side], Awaitable[float]]) -> None:
            """Of the long side's last run, against one of the short side."""
            await verb(short)
            against = [(f"on {short.events:,} events", short.last_peak, Goal(1.25, "at most"))]
            results.extend(
                await compare(f"{name}: peak memory", long.last_peak, against, unit="MB", rounds=1, warm=False)
            )

        await figure("kithlog rebuild", Side.rebuild, 20_000)
        await figure("kithlog verify", Side.verify, 20_000)
        await figure("kithlog log export", Side.export, 20_000)
        await figure("kithlog log import", Side.import_, 20_000)
        async with _relay(bench, long) as relay:
            name = f"kithlog replay of {events:,} events"
            # Of the relay's messages RabbitMQ keeps two: in the projector's queue, and in the history stream.
            against = [("the relay, in-process, same log, to a queue and a stream", relay, Goal(1))]
            results += await compare(name, long.replay, against, unit="events/s", rounds=bench.rounds, warm=False)
        await memory(name, Side.replay)
    return results
