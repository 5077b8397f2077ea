"""Rounds: load, some faults, rest, and a judgement on everything since the run began."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from time import monotonic

import asyncpg

from deploy.launcher.child import Child
from deploy.launcher.failure import LaunchFailure
from deploy.launcher.infrastructure import Infrastructure
from deploy.launcher.postgres import LocalPostgres
from shared.broker.topology import COMMANDS, DEAD_COMMANDS, PROJECTOR
from shared.envelope import Recorded
from tests.chaos import witness
from tests.chaos.checker import Held, check
from tests.chaos.cluster import Cluster
from tests.chaos.cold_fold import ColdFold
from tests.chaos.faults import draw, fault
from tests.chaos.outcome import Outcome
from tests.chaos.processes import Stage, grown_beyond, size, stage
from tests.chaos.seen import Seen, read

REST_WITHIN = 90.0
"""Seconds after which a run that does not come to rest is a violation itself."""
SMALL_LAG = 2.0
"""Lag is normal when relay and projector are behind by no more than what the load writes in so many seconds."""
_NEVER = datetime.min.replace(tzinfo=UTC)
_COLUMNS = ", ".join(Recorded.__dataclass_fields__)
_RECEIPTS = "SELECT tenant, command_id, position FROM log.receipt"
_PLACES = """
    SELECT h.position AS head, coalesce((SELECT min(position) FROM log.relay_cursor), 0) AS relay,
           coalesce((SELECT min(position) FROM read.checkpoint), 0) AS projector,
           (SELECT count(*) FROM read.timer WHERE due_at <= log.now()) AS overdue
    FROM log.head h
"""


class Run:
    """Some rounds on one database; everything is judged from its beginning after each."""

    def __init__(self, set_up: Stage, seed: int, *, rate: float, seconds: float, clients: int) -> None:
        """`rate`: commands a second, of all `clients`; `seconds`: what is left between the faults of a round, in
        all."""
        self._stage, self._seed = set_up, seed
        self._rate, self._seconds, self._clients = rate, seconds, clients
        self._journal, self._record = set_up.logs / "journal", set_up.logs / "witness.record"
        self._events: list[Recorded[bytes]] = []
        self._cold = ColdFold()
        self._dead = 0

    async def round(self, number: int, faults: list[str], enough: Callable[[Seen], bool]) -> Outcome:
        """`enough`: whether the load may end; it goes on without faults for as long as it may not."""
        rng = Random(f"{self._seed}/{number}")
        arguments = ["--journal", str(self._journal), "--seed", f"{self._seed}/{number}"]
        arguments += ["--rate", str(self._rate), "--clients", str(self._clients)]
        before = size(self._journal)
        load = self._stage.start_load(*arguments)
        try:
            await grown_beyond(before, self._journal)
            gap = self._seconds / (len(faults) + 1)
            for name in faults:
                await asyncio.sleep(gap)
                await fault(name)(self._stage, rng)
            recovered = await self._lag_is_normal()
            deaf = await self._deaf()
            await asyncio.sleep(gap)
            while load.running and not enough(read(self._journal)):
                await grown_beyond(size(self._journal), self._journal)
        finally:
            await asyncio.to_thread(load.stop, signal.SIGTERM, 120.0)
        violations = [*self._stage.found, *self._ended(load), *deaf]
        self._stage.found.clear()
        if recovered is None:
            violations.append("the services did not recover")
        violations += await self._rest() or await self._judge()
        seen = read(self._journal)
        return Outcome(
            self._seed, number, tuple(faults), seen.commands, len(self._events), recovered, tuple(violations)
        )

    def _ended(self, load: Child) -> list[str]:
        """Processes and loops that ended though nobody had asked them to, or badly."""
        services = self._stage.services
        return [
            *([f"{load.name} ended with {load.exit_code}"] if load.exit_code else []),
            *(f"{each.name} ended by itself with {each.running.exit_code}" for each in services
              if not each.running.running),
            *(death for each in services for death in each.deaths()),
        ]  # fmt: skip

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
        except (TimeoutError, LaunchFailure):
            return None
        while (waited := monotonic() - began) < REST_WITHIN:
            at = await self._places()
            if at["head"] - min(at["relay"], at["projector"]) <= SMALL_LAG * self._rate:
                return waited
            await asyncio.sleep(0.1)
        return None

    async def _deaf(self) -> list[str]:
        """Until messages bring events to a projector and all listen to the broker that should, under load: who does
        not. Lag does not tell: a projector that hears nothing looks at the log by itself."""
        began, before = monotonic(), await self._stage.from_messages()
        moved = False
        while monotonic() - began < REST_WITHIN:
            moved = moved or await self._stage.from_messages() > before
            if moved and not await self._not_listening():
                return []
            await asyncio.sleep(0.2)
        return [*([] if moved else ["deaf: no message brings events to a projector"]), *await self._not_listening()]

    async def _not_listening(self) -> list[str]:
        try:
            listening = await self._stage.consumers()
        except LaunchFailure as failure:
            return [f"deaf: the broker does not say who listens: {failure}"]
        wanted = {PROJECTOR: len(self._stage.projectors), COMMANDS: len(self._stage.commands)}
        return [
            f"deaf: {listening[queue]} services listen to {queue}, {number} should"
            for queue, number in wanted.items()
            if listening[queue] != number
        ]

    async def _rest(self) -> list[str]:
        """Until nothing is on its way any more: what could not come to rest."""
        began = monotonic()
        seen = read(self._journal)
        latest = max((at for id, at in seen.due.items() if id not in seen.put_off), default=_NEVER)
        while monotonic() - began < REST_WITHIN:
            promised = latest >= datetime.now(UTC)  # asked first: what is due by then is overdue below
            at = await self._places()
            heard = max((each.position for each in witness.read(self._record)), default=0)
            behind = at["head"] - min(at["relay"], at["projector"], heard)
            waiting, dead = await self._stage.waiting(COMMANDS), await self._stage.waiting(DEAD_COMMANDS)
            self._dead = dead or 0
            if behind == 0 and at["overdue"] == 0 and waiting == 0 and dead is not None and not promised:
                return []
            await asyncio.sleep(0.2)
        return [f"no rest within {REST_WITHIN:.0f} s: {dict(at)}, the consumer is at {heard}, {waiting} commands wait"]

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
                    {(tenant, id): position for tenant, id, position in await connection.fetch(_RECEIPTS)},
                    [row[0] for row in await connection.fetch("SELECT id FROM read.timer WHERE due_at <= log.now()")],
                    self._dead,
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
    clients: int = 64,
    enough: Callable[[Seen], bool] = lambda seen: True,
    faults: list[list[str]] | None = None,
    stand_by: LocalPostgres | None = None,
    cluster: Cluster | None = None,
    tell: Callable[[Outcome], None] = lambda outcome: None,
) -> list[Outcome]:
    """Rounds on a migrated database and a virtual host that are this run's own; `logs` is an empty folder.

    `enough`: whether what clients saw so far lets the last round's load end; `faults`: for each round its faults,
    instead of those that the seed draws; `stand_by`: of the infrastructure's PostgreSQL, and `cluster`: in the place of
    its RabbitMQ, for the faults that need them.
    """
    outcomes = []
    async with stage(infra, database_url, amqp_url, logs) as set_up:
        set_up.stand_by, set_up.cluster = stand_by, cluster
        if cluster is not None:
            for number, way in enumerate(set_up.ways_to_the_broker):
                way.turn_to(cluster.url(number))
        one = Run(set_up, seed, rate=rate, seconds=seconds, clients=clients)
        hands = faults or list(draw(Random(seed), rounds))
        for number, hand in enumerate(hands, start=1):
            outcome = await one.round(number, hand, enough if number == len(hands) else lambda seen: True)
            tell(outcome)
            outcomes.append(outcome)
    return outcomes
