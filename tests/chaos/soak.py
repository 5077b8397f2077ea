"""``python -m tests.chaos.soak``: steady load, no faults, and nothing that grows but the log.

Samples memory and file descriptors of every service, the lag of relay and projector, the queues, the dead tuples of the
tables that are overwritten all the time, and what share they are of the read models' rows. Exit code 1 when one of them
grew.
"""

from __future__ import annotations

import argparse
import asyncio
import signal
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from time import monotonic

import aio_pika
import asyncpg
import uvloop

from deploy.launcher.infrastructure import Infrastructure
from shared.broker.topology import COMMANDS, DEAD_COMMANDS, PROJECTOR
from shared.database.migrate import migrate
from tests.chaos import witness
from tests.chaos.growth import EVENTS, FEWEST, Sample, grown, growth
from tests.chaos.processes import Stage, grown_beyond, stage

MOST = 720
"""Samples that are taken, however long it goes on: all pairs of them are looked at in the end."""
_LAGS = """
    SELECT h.position AS head, h.position - c.position AS relay, h.position - p.position AS projector
    FROM log.head h, log.relay_cursor c, read.checkpoint p
"""
_DEAD = """
    SELECT schemaname || '.' || relname AS name, n_dead_tup AS dead
    FROM pg_stat_user_tables
    WHERE (schemaname, relname) IN (('log', 'head'), ('log', 'relay_cursor'), ('read', 'checkpoint'), ('read', 'timer'),
                                    ('read', 'told'))
"""
_DEAD_ROWS = """
    SELECT 100.0 * sum(n_dead_tup) / greatest(sum(n_live_tup), 1)
    FROM pg_stat_user_tables
    WHERE schemaname = 'read' AND relname LIKE 'row\\_%'
"""


async def sample(set_up: Stage, database_url: str, amqp_url: str) -> Sample:
    """All figures of this moment, by name."""
    figures: dict[str, float] = {}
    for service in set_up.services:
        proc = Path("/proc", str(service.running.pid))
        [resident] = [line for line in (proc / "status").read_text().splitlines() if line.startswith("VmRSS")]
        figures[f"{service.name}: memory (MB)"] = int(resident.split()[1]) / 1024
        figures[f"{service.name}: open files"] = len(list((proc / "fd").iterdir()))
    connection = await asyncpg.connect(database_url)
    try:
        lags = await connection.fetchrow(_LAGS)
        assert lags is not None
        figures |= {"relay: lag (events)": lags["relay"], "projector: lag (events)": lags["projector"]}
        figures |= {f"{row['name']}: dead tuples": row["dead"] for row in await connection.fetch(_DEAD)}
        figures["read.row: dead tuples (%)"] = float(await connection.fetchval(_DEAD_ROWS) or 0)
    finally:
        await connection.close()
    async with await aio_pika.connect(amqp_url) as broker:
        channel = await broker.channel()
        for name in (PROJECTOR, COMMANDS, DEAD_COMMANDS, witness.QUEUE):
            queue = await channel.declare_queue(name, passive=True)
            figures[f"{name}: messages"] = queue.declaration_result.message_count or 0
    return Sample(lags["head"], figures)


async def soak(infra: Infrastructure, seconds: float, every: float, rate: float) -> list[Sample]:
    """Samples at a steady load of `rate` commands a second."""
    database_url, amqp_url = infra.postgres.create_database("soak"), infra.rabbitmq.create_vhost("soak")
    await migrate(database_url)
    samples: list[Sample] = []
    # A cache that is full before the second half shows whether anything else grows.
    settings = {"KITHLOG_KEPT_STATES": "1000", "KITHLOG_KEPT_ROWS": "1000"}
    with tempfile.TemporaryDirectory(prefix="kithlog-soak-") as folder:
        logs = Path(folder)
        async with stage(infra, database_url, amqp_url, logs, replicas=1, settings=settings) as set_up:
            load = set_up.start_load("--journal", str(logs / "journal"), "--seed", "soak", "--rate", str(rate))
            try:
                await grown_beyond(0, logs / "journal")
                began = monotonic()
                while monotonic() - began < seconds:
                    await asyncio.sleep(every)
                    samples.append(await sample(set_up, database_url, amqp_url))
                    tell(samples[-1], monotonic() - began)
            finally:
                await asyncio.to_thread(load.stop, signal.SIGTERM, 120.0)
    return samples


def tell(taken: Sample, seconds: float) -> None:
    shown = ", ".join(f"{name} {value:.0f}" for name, value in taken.figures.items())
    print(f"{seconds:5.0f} s, {taken.events} events: {shown}", flush=True)


def summary(samples: Sequence[Sample]) -> str:
    """A table of each figure's median in the second and last quarter, and of how it grew over the second half."""
    quarter = len(samples) // 4
    lines = [f"{'':36} {'2nd quarter':>12} {'last quarter':>12} {f'for {EVENTS:,} events':>18}"]
    for name in samples[-1].figures:
        values = [each.figures[name] for each in samples]
        early, late = median(values[quarter : 2 * quarter]), median(values[-quarter:])
        lines.append(f"{name:36} {early:12.0f} {late:12.0f} {growth(samples, name):18.1f}")
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--every", type=float, help=f"seconds between samples; absent: 5, or as {MOST} samples take")
    parser.add_argument("--rate", type=float, default=100.0, help="commands a second")
    chosen = parser.parse_args()
    seconds = chosen.minutes * 60
    every = chosen.every or max(5.0, seconds / MOST)
    if seconds < every * FEWEST:
        parser.error(f"growth is not to be seen in {seconds:g} s, with a sample each {every:g} s: {FEWEST} are needed")
    with Infrastructure.start(mode="local") as infra:
        print(infra.banner, flush=True)
        samples = uvloop.run(soak(infra, seconds, every, chosen.rate))
    print(summary(samples))
    growing = grown(samples, chosen.rate)
    for each in growing:
        print(f"GROWN {each}")
    print(f"{samples[-1].events} events in {chosen.minutes:g} minutes, {len(growing)} of the figures above grew")
    return 1 if growing else 0


if __name__ == "__main__":
    sys.exit(main())
