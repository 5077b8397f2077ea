"""Rounds: load, some faults, rest, and a judgement on everything since the run began."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from math import inf
from pathlib import Path
from random import Random
from time import monotonic
from uuid import UUID

import asyncpg

from deploy.launcher.child import Child
from deploy.launcher.failure import LaunchFailure
from deploy.launcher.infrastructure import Infrastructure
from deploy.launcher.postgres import LocalPostgres
from shared.broker.topology import COMMANDS, DEAD_COMMANDS, PROJECTOR
from shared.envelope import Recorded
from tests.chaos import witness
from tests.chaos.checker import check
from tests.chaos.cluster import Cluster
from tests.chaos.cold_fold import ColdFold, Shown, shown
from tests.chaos.faults import draw, fault
from tests.chaos.held import Held, Receipt
from tests.chaos.load import longest_waits, waiting_file
from tests.chaos.outcome import Outcome
from tests.chaos.processes import Stage, ended_by_itself, grown_beyond, size, stage
from tests.chaos.seen import Seen, read
from tests.chaos.witness import Delivery

REST_WITHIN = 90.0
"""Seconds after which a run that does not come to rest is a violation itself."""
SMALL_LAG = 2.0
"""Seconds. Lag is normal when relay, projector and consumer have all events that are older than this, when no timer has
been due for longer, and when nobody who asked since the last fault waits longer for an answer, by whichever way."""
IN_HAND = 30.0
"""Seconds for which a service may be at commands that nobody waits for, when all else is at rest."""
CALM = 3.0
"""Seconds for which lag must be normal to count as normal again: more than `SMALL_LAG`, for it takes that long to find
that somebody does nothing."""
_NEVER = datetime.min.replace(tzinfo=UTC)
_COLUMNS = ", ".join(Recorded.__dataclass_fields__)
_RECEIPTS = "SELECT tenant, command_id, position, events FROM log.receipt"
_EXECUTED = """
    SELECT count(*) FROM log.receipt JOIN unnest($1::text[], $2::uuid[]) AS u (tenant, command_id)
    USING (tenant, command_id)
"""
_PLACES = """
    SELECT h.position AS head, coalesce((SELECT min(position) FROM log.relay_cursor), 0) AS relay,
           coalesce((SELECT min(position) FROM read.checkpoint), 0) AS projector,
           (SELECT count(*) FROM read.timer WHERE due_at <= log.now()) AS overdue
    FROM log.head h
"""
_AGES = """
    WITH place AS (
        SELECT coalesce((SELECT min(position) FROM log.relay_cursor), 0) AS relay,
               coalesce((SELECT min(position) FROM read.checkpoint), 0) AS projector, $1::bigint AS consumer
    )
    SELECT b.name, greatest(extract(epoch FROM log.now() - e.recorded_at), 0)::float8 AS age
    FROM place, LATERAL (VALUES ('relay', relay), ('projector', projector), ('consumer', consumer)) b (name, position)
    LEFT JOIN log.event e ON e.position = b.position + 1
"""
"""How old the first event is that each does not have yet."""
_OVERDUE = "SELECT tenant, id FROM read.timer WHERE due_at <= log.now()"


class Run:
    """Some rounds on one database; everything is judged from its beginning after each."""

    def __init__(self, set_up: Stage, seed: int, *, rate: float, seconds: float, clients: int) -> None:
        """`rate`: commands a second, of all `clients`; `seconds`: what is left between the faults of a round, in
        all."""
        self._stage, self._seed = set_up, seed
        self._rate, self._seconds, self._clients = rate, seconds, clients
        self._journal, self._record = set_up.logs / "journal", set_up.logs / "witness.record"
        self._events: list[Recorded[bytes]] = []
        """The log as it was judged last, which the cold fold goes on from."""
        self._cold = ColdFold()
        self._dead = 0
        self._asked = self._heard = 0

    async def round(self, number: int, faults: list[str], enough: Callable[[Seen], bool] | None) -> Outcome:
        """`enough`: whether the load may end; it goes on without faults for as long as it may not. Without it, the load
        ends soon after lag was normal, and what clients saw is not read meanwhile."""
        rng = Random(f"{self._seed}/{number}")
        arguments = ["--journal", str(self._journal), "--seed", f"{self._seed}/{number}"]
        arguments += ["--rate", str(self._rate), "--clients", str(self._clients)]
        before, asked_before = size(self._journal), self._asked
        load = self._stage.start_load(*arguments)
        try:
            await grown_beyond(before, self._journal)
            began = monotonic()
            gap = self._seconds / (len(faults) + 1)
            for name in faults:
                await asyncio.sleep(gap)
                await fault(name)(self._stage, rng)
            recovered, last = await self._lag_is_normal()
            deaf = await self._deaf()
            await asyncio.sleep(gap)
            while enough and load.running and not enough(read(self._journal)):
                await grown_beyond(size(self._journal), self._journal)
            lasted = monotonic() - began
        finally:
            await asyncio.to_thread(load.stop, signal.SIGTERM, 120.0)
        deaf += await _until_none(self._not_listening)
        violations = [*self._stage.found, *self._ended(load), *deaf]
        self._stage.found.clear()
        if recovered is None:
            violations.append(f"the services did not recover: {last}")
        seen = await asyncio.to_thread(read, self._journal)
        violations += await self._rest(seen) or await self._judge(seen)
        self._asked = seen.commands
        rate = (self._asked - asked_before) / lasted
        return Outcome(
            self._seed, number, tuple(faults), seen.commands, len(seen.unknown), rate, len(self._events), recovered,
            last, tuple(violations),
        )  # fmt: skip

    def _ended(self, load: Child) -> list[str]:
        """Processes and loops that ended though nobody had asked them to, or badly."""
        services, consumer = self._stage.services, self._stage.consumer
        return [
            *([f"{load.name} ended with {load.exit_code}"] if load.exit_code else []),
            *(end for each in services for end in each.ended_by_itself()),
            *(ended_by_itself(consumer) if consumer is not None else []),
            *(death for each in services for death in each.deaths()),
        ]

    async def _places(self) -> asyncpg.Record:
        connection = await asyncpg.connect(self._stage.database_url, timeout=10)
        try:
            row = await connection.fetchrow(_PLACES)
            assert row is not None
            return row
        finally:
            await connection.close()

    async def _lag_is_normal(self) -> tuple[float | None, str]:
        """Seconds until all services are ready and lag is normal and stays so, while the load goes on; and who was the
        last."""
        began, calm_since, last = monotonic(), None, "readiness"
        overdue: dict[tuple[str, UUID], float] = {}
        try:
            await self._stage.ready()
        except (TimeoutError, LaunchFailure):
            return None, last
        ready = monotonic()
        while True:
            now, lags = monotonic(), await self._lags(began, overdue)
            slowest = max(lags, key=lambda name: lags[name])
            if lags[slowest] > SMALL_LAG:
                calm_since, last = None, slowest
            elif now - (calm_since := calm_since or now) >= CALM:
                return calm_since - began, last
            if now - ready > REST_WITHIN:
                return None, last
            await asyncio.sleep(0.25)

    async def _lags(self, began: float, overdue: dict[tuple[str, UUID], float]) -> Mapping[str, float]:
        """By how many seconds everybody is behind, as far as it is known since `began`.

        `overdue`: since when each timer is known to be due, brought up to date. A conversation that is written down
        late arms timers that were due long ago: how late a timer is says nothing of who is to fire it.
        """
        ages, due = await self._ages()
        now = monotonic()
        known = {timer: overdue.get(timer, now) for timer in due}
        overdue.clear()
        overdue |= known
        away = await self._stage.waiting(COMMANDS) is None
        waits = longest_waits(waiting_file(self._journal), began)
        return {
            **ages,
            "firing": max((now - since for since in known.values()), default=0.0),
            **{f"answers by {way}": waited for way, waited in waits.items()},
            "broker": inf if away else 0.0,
        }

    async def _ages(self) -> tuple[dict[str, float], list[tuple[str, UUID]]]:
        """How old the first event is that each does not have; and the timers that are due."""
        connection = await asyncpg.connect(self._stage.database_url, timeout=10)
        try:
            ages = {name: age or 0.0 for name, age in await connection.fetch(_AGES, self._furthest_heard())}
            return ages, [(tenant, id) for tenant, id in await connection.fetch(_OVERDUE)]
        finally:
            await connection.close()

    def _furthest_heard(self) -> int:
        """The consumer's position; what the broker brings again is no step back."""
        self._heard = max(self._heard, witness.latest(self._record))
        return self._heard

    async def _deaf(self) -> list[str]:
        """Lag does not tell: a projector that hears nothing looks at the log by itself."""
        before: float | None = None

        async def look() -> list[str]:
            nonlocal before
            heard = await self._stage.heard()
            if None not in (heard, before) and heard > before:  # type: ignore[operator]
                return []
            before = heard if before is None else before
            return ["deaf: no message comes to a projector"]

        return await _until_none(look)

    async def _not_listening(self) -> list[str]:
        """Who should listen to the broker, and does not."""
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

    async def _rest(self, seen: Seen) -> list[str]:
        """Until nothing is on its way any more: what could not come to rest."""
        latest = max((at for id, at in seen.due.items() if id not in seen.put_off), default=_NEVER)
        if restless := await _until_none(partial(self._on_its_way, latest)):
            return restless
        # What a service has in hand is on its way again. What was lost is not waited for as long: the checker tells.
        await _until_none(partial(self._in_hand, seen), within=IN_HAND)
        return await _until_none(partial(self._on_its_way, latest))

    async def _on_its_way(self, latest: datetime) -> list[str]:
        """`latest`: when the last reminder falls due that clients know of."""
        promised = latest >= datetime.now(UTC)  # asked first: what is due by then is overdue below
        at = await self._places()
        heard = self._furthest_heard()
        waiting, dead = await self._stage.waiting(COMMANDS), await self._stage.waiting(DEAD_COMMANDS)
        self._dead = dead or 0
        behind = at["head"] - min(at["relay"], at["projector"], heard)
        if behind == 0 and at["overdue"] == 0 and waiting == 0 and dead is not None and not promised:
            return []
        return [f"no rest within {REST_WITHIN:.0f} s: {dict(at)}, the consumer is at {heard}, {waiting} commands wait"]

    async def _in_hand(self, seen: Seen) -> list[str]:
        """The commands that nobody waits for and that are not executed: the broker counts only those that it has not
        handed out."""
        wiped_at = self._stage.wiped_at
        unheard = [command for command, at in seen.handed_over.items() if wiped_at is None or at > wiped_at]
        if not unheard:
            return []
        connection = await asyncpg.connect(self._stage.database_url, timeout=10)
        try:
            tenants, ids = [tenant for tenant, _ in unheard], [id for _, id in unheard]
            executed = await connection.fetchval(_EXECUTED, tenants, ids)
        finally:
            await connection.close()
        return [f"{len(unheard) - executed} commands are not executed"] if executed < len(unheard) else []

    async def _judge(self, seen: Seen) -> list[str]:
        connection = await asyncpg.connect(self._stage.database_url)
        try:
            async with connection.transaction(isolation="repeatable_read", readonly=True):
                # From its beginning each time: what was written once has to be there still.
                rows = await connection.fetch(f"SELECT {_COLUMNS} FROM log.event ORDER BY position")
                events: list[Recorded[bytes]] = [Recorded(*row) for row in rows]
                held = Held(
                    events,
                    await connection.fetchval("SELECT position FROM log.head"),
                    {(tenant, id): Receipt(*told) for tenant, id, *told in await connection.fetch(_RECEIPTS)},
                    [row[0] for row in await connection.fetch("SELECT id FROM read.timer WHERE due_at <= log.now()")],
                    self._dead,
                    self._stage.wiped_at,
                    self._events,
                )
                written = await shown(connection)
        finally:
            await connection.close()
        # At once: to judge takes long, and what is appended meanwhile is not in `held`.
        delivered = await asyncio.to_thread(witness.read, self._record)
        self._events = events
        return await asyncio.to_thread(self._compare, seen, held, delivered, written)

    def _compare(self, seen: Seen, held: Held, delivered: Sequence[Delivery], written: Shown) -> list[str]:
        """Takes long: in a thread, for this process's loop has the ways of all connections, which would be silent to
        both of their ends meanwhile."""
        self._cold.go_on(held.events)
        return [
            *check(seen, held, delivered),
            *self._cold.differences(written),
        ]


async def _until_none(look: Callable[[], Awaitable[list[str]]], *, within: float | None = None) -> list[str]:
    """Looks until nothing is found, or for so many seconds (else `REST_WITHIN`): what was found last."""
    began = monotonic()
    while True:
        found = await look()
        if not found or monotonic() - began > (REST_WITHIN if within is None else within):
            return found
        await asyncio.sleep(0.2)


async def run(
    infra: Infrastructure,
    database_url: str,
    amqp_url: str,
    logs: Path,
    seed: int,
    rounds: int,
    *,
    rate: float,
    seconds: float,
    clients: int = 128,
    enough: Callable[[Seen], bool] | None = None,
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
            outcome = await one.round(number, hand, enough if number == len(hands) else None)
            tell(outcome)
            outcomes.append(outcome)
    return outcomes
