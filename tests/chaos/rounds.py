"""Rounds: load, some faults, rest, and a judgement on everything since the run began."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from time import monotonic

import asyncpg

from deploy.launcher.infrastructure import Infrastructure
from deploy.launcher.postgres import LocalPostgres
from shared.envelope import Recorded
from tests.chaos import witness
from tests.chaos.checker import Held, check
from tests.chaos.cluster import Cluster
from tests.chaos.cold_fold import ColdFold
from tests.chaos.faults import draw, fault
from tests.chaos.processes import Stage, grown_beyond, size, stage
from tests.chaos.seen import read

REST_WITHIN = 90.0
"""Seconds after which a run that does not come to rest is a violation itself."""
SMALL_LAG = 2.0
"""Lag is normal when relay and projector are behind by no more than what the load writes in so many seconds."""
_NEVER = datetime.min.replace(tzinfo=UTC)
_COLUMNS = ", ".join(Recorded.__dataclass_fields__)
_PLACES = """
    SELECT h.position AS head, coalesce((SELECT min(position) FROM log.relay_cursor), 0) AS relay,
           coalesce((SELECT min(position) FROM read.checkpoint), 0) AS projector,
           (SELECT count(*) FROM read.timer WHERE due_at <= log.now()) AS overdue
    FROM log.head h
"""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one round came to."""

    seed: int
    number: int
    faults: tuple[str, ...]
    commands: int
    events: int
    """Both since the run began."""
    recovered: float | None
    """Seconds from the last fault's end until all was ready and the lag normal, under load; None: it never was."""
    violations: tuple[str, ...] = field(default=())

    def __str__(self) -> str:
        back = "never" if self.recovered is None else f"{self.recovered:.1f} s"
        return (
            f"seed {self.seed} round {self.number}: {self.commands} commands, {self.events} events, "
            f"lag normal after {back}, {len(self.violations)} violations; faults: {', '.join(self.faults)}"
        )


class Run:
    """Some rounds on one database; everything is judged from its beginning after each."""

    def __init__(self, set_up: Stage, seed: int, *, rate: float, seconds: float) -> None:
        """`rate`: commands a second; `seconds`: what is left between the faults of a round, in all."""
        self._stage, self._seed = set_up, seed
        self._rate, self._seconds = rate, seconds
        self._journal, self._record = set_up.logs / "journal", set_up.logs / "witness.record"
        self._events: list[Recorded[bytes]] = []
        self._cold = ColdFold()

    async def round(self, number: int, faults: list[str]) -> Outcome:
        rng = Random(f"{self._seed}/{number}")
        arguments = ["--journal", str(self._journal), "--seed", f"{self._seed}/{number}", "--rate", str(self._rate)]
        before = size(self._journal)
        load = self._stage.start_load(*arguments)
        try:
            await grown_beyond(before, self._journal)
            gap = self._seconds / (len(faults) + 1)
            for name in faults:
                await asyncio.sleep(gap)
                await fault(name)(self._stage, rng)
            recovered = await self._lag_is_normal()
            await asyncio.sleep(gap)
        finally:
            await asyncio.to_thread(load.stop, signal.SIGTERM, 120.0)
        violations = [f"{load.name} ended with {load.exit_code}"] if load.exit_code else []
        if recovered is None:
            violations.append("the services did not recover")
        violations += [
            f"{service.name} ended by itself with {service.running.exit_code}"
            for service in self._stage.services
            if not service.running.running
        ]
        violations += [death for service in self._stage.services for death in service.deaths()]
        violations += await self._rest() or await self._judge()
        seen = read(self._journal)
        return Outcome(
            self._seed, number, tuple(faults), seen.commands, len(self._events), recovered, tuple(violations)
        )

    async def _places(self) -> asyncpg.Record:
        connection = await asyncpg.connect(self._stage.database_url, timeout=10)
        try:
            row = await connection.fetchrow(_PLACES)
            assert row is not None
            return row
        finally:
            await connection.close()

    async def _lag_is_normal(self) -> float | None:
        """Seconds until all services are ready and nobody is far behind, while the load goes on."""
        began = monotonic()
        try:
            await self._stage.ready()
        except TimeoutError:
            return None
        while (waited := monotonic() - began) < REST_WITHIN:
            at = await self._places()
            if at["head"] - min(at["relay"], at["projector"]) <= SMALL_LAG * self._rate:
                return waited
            await asyncio.sleep(0.1)
        return None

    async def _rest(self) -> list[str]:
        """Until nothing is on its way any more: what could not come to rest."""
        began = monotonic()
        latest = max(read(self._journal).due.values(), default=_NEVER)
        while monotonic() - began < REST_WITHIN:
            promised = latest >= datetime.now(UTC)  # asked first: what is due by then is overdue below
            at = await self._places()
            heard = max((each.position for each in witness.read(self._record)), default=0)
            behind = at["head"] - min(at["relay"], at["projector"], heard)
            if behind == 0 and at["overdue"] == 0 and not promised:
                return []
            await asyncio.sleep(0.2)
        return [f"no rest within {REST_WITHIN:.0f} s: {dict(at)}, the consumer is at {heard}"]

    async def _judge(self) -> list[str]:
        connection = await asyncpg.connect(self._stage.database_url)
        try:
            async with connection.transaction(isolation="repeatable_read", readonly=True):
                last = self._events[-1].position if self._events else 0
                rows = await connection.fetch(f"SELECT {_COLUMNS} FROM log.event WHERE position > $1 ORDER BY 1", last)
                self._events += [Recorded(*row) for row in rows]
                held = Held(
                    self._events,
                    await connection.fetchval("SELECT position FROM log.head"),
                    {row[0]: row[1] for row in await connection.fetch("SELECT command_id, position FROM log.receipt")},
                    [row[0] for row in await connection.fetch("SELECT id FROM read.timer WHERE due_at <= log.now()")],
                )
                self._cold.go_on(self._events)
                differences = await self._cold.differences(connection)
        finally:
            await connection.close()
        return [*check(read(self._journal), held, witness.read(self._record)), *differences]


async def run(
    infra: Infrastructure,
    database_url: str,
    amqp_url: str,
    logs: Path,
    seed: int,
    rounds: int,
    *,
    rate: float = 200.0,
    seconds: float = 8.0,
    faults: list[list[str]] | None = None,
    stand_by: LocalPostgres | None = None,
    cluster: Cluster | None = None,
    tell: Callable[[Outcome], None] = lambda outcome: None,
) -> list[Outcome]:
    """Rounds on a migrated database and a virtual host that are this run's own; `logs` is an empty folder.

    `faults`: for each round its faults, instead of those that the seed draws; `stand_by`: of the infrastructure's
    PostgreSQL, and `cluster`: in the place of its RabbitMQ, for the faults that need them.
    """
    outcomes = []
    async with stage(infra, database_url, amqp_url, logs) as set_up:
        set_up.stand_by, set_up.cluster = stand_by, cluster
        if cluster is not None:
            for number, way in enumerate(set_up.ways_to_the_broker):
                way.turn_to(cluster.url(number))
        one = Run(set_up, seed, rate=rate, seconds=seconds)
        for number, hand in enumerate(faults or draw(Random(seed), rounds), start=1):
            outcome = await one.round(number, hand)
            tell(outcome)
            outcomes.append(outcome)
    return outcomes
