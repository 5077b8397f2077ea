"""Read models built afresh beside the live ones: to replace them, to go back to earlier ones, or to compare.

What is live goes on meanwhile. A generation is folded to where the checkpoint stands; then the checkpoint is held for a
moment, so that both sides stand at one position, and a snapshot of that moment is compared at leisure. To switch, it is
held once more for the last events. Nothing of this appends to the log: notifications can't come from it.
"""

from __future__ import annotations

import asyncio
import resource
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from time import monotonic
from typing import TYPE_CHECKING, Any
from uuid import UUID

import asyncpg

from services.projector.folding.read_model import StoredRows
from services.projector.folding.selection import WHOLE, Selection
from services.projector.folding.timing_rows import LINK, OF_TIMING, RECIPIENT, SUBJECT, TIMING
from services.projector.models import MODELS
from services.projector.rebuild.building import Builder, LeftOut, Part, processors, shared_out
from services.projector.rebuild.comparing import (
    TIMERS,
    Facts,
    TimerDifference,
    differing_rows,
    differing_timers,
    timers_of,
    timers_of_nobody,
    write_timers,
)
from services.projector.rebuild.generations import Generations
from services.projector.rebuild.report import Busy, Mode, Refused, Report, Situation, Told
from services.projector.rebuild.staging import QUERIES
from services.projector.rebuild.worker import build_in_process
from services.projector.storing.leftovers import QUERIES as LEFTOVERS
from shared.database.pool import PASSING, connect
from shared.database.queries import columns
from shared.timing.policies import Policies

if TYPE_CHECKING:
    Connection = asyncpg.Connection[asyncpg.Record]

NAMES = (*(model.name for model in MODELS), TIMING)
"""What can be rebuilt: the timers with their facts by one name, for one can't be without the other."""
ALONE = 20_000
"""Events up to which starting further processes costs more than it gains."""
_TIMERS = 2_000
"""Timers written by one statement."""
NEAR = 500
"""Events that may be left to fold while the checkpoint is held."""
_GRACE = 5.0
"""Seconds for which the server may take its time to end a turn."""
Recording = Callable[["Connection", Report], Awaitable[None]]
"""Writes down, in the transaction that changes what is live, who did it."""
Progress = Callable[[str, int, int], object]
"""Hears of a step's name, how many events or models it has done just now, and how many it will have done."""


def models_of(names: Sequence[str]) -> dict[str, StoredRows[Any]]:
    """The models behind some of `NAMES`. Raises `Refused` for another name."""
    unknown = sorted(set(names) - set(NAMES))
    if unknown:
        raise Refused(f"no read model {', '.join(unknown)}: there are {', '.join(NAMES)}")
    found: dict[str, StoredRows[Any]] = {model.name: model for model in MODELS if model.name in names}
    if TIMING in names:
        found |= OF_TIMING
    return found


@asynccontextmanager
async def working(database_url: str, policies: Policies, mode: Mode, names: Sequence[str]) -> AsyncIterator[Work]:
    """Take the one turn there is. Raises `Busy`, `Refused`, and what asyncpg raises while PostgreSQL is away."""
    models = models_of(names)
    # One that is stopped while it holds the checkpoint must not hold up the projector for long.
    connection = await connect(database_url, server_settings={"idle_in_transaction_session_timeout": "60s"})
    try:
        if not await connection.fetchval(LEFTOVERS["take_turn"]):
            raise Busy("another rebuild, rollback or verification is at work on this database: wait for it to end")
        try:
            await connection.execute(QUERIES["await_parts"])
            yield Work(database_url, connection, policies, mode, models)
        finally:
            # By itself the server ends it only once it has noticed that nobody is there any more.
            with suppress(*PASSING):
                await connection.execute(LEFTOVERS["end_turn"], timeout=_GRACE)
    finally:
        connection.terminate()


class Work:
    """One rebuild, rollback or verification. Use `working`."""

    def __init__(
        self, database_url: str, connection: Connection, policies: Policies, mode: Mode, models: Mapping[str, Any]
    ) -> None:
        self._url, self._connection, self._policies = database_url, connection, policies
        self._models = dict(models)
        self.report = Report(mode)
        self.generations = Generations(connection, models, policies, self.report)
        self.selection = Selection()
        self.processes = processors()
        self.progress: Progress = lambda step, done, total: None
        self.recording: Recording | None = None
        self._left_out = LeftOut({}, frozenset())
        self._timers: set[tuple[str, str]] = set()
        """The subjects, by tenant and key, of timers that differ."""
        self._of_nobody = False

    # --- building ------------------------------------------------------------------------------------------------

    async def build(self) -> None:
        """Fold up to where the live models are. Raises `CannotFold`, `UnknownEventType`, `PartFailed`, `Refused`."""
        began = monotonic()
        situation = await self.generations.look()
        await self._know_left_out(0)
        if (await self.generations.look()).turn != self.generations.turn:
            # Between the two looks a stream may have ceased to wait, whose events what is there already lacks.
            raise Refused("rows were changed beside the fold meanwhile: begin again")
        parts = await self._parts(situation.target)
        total = sum(part.upto - part.after for part in parts)
        self.report.events = max((part.upto - part.after for part in parts), default=0)

        def advance(n: int) -> None:
            self.progress("folding", n, total)

        alone = [part for part in parts if part.upto - part.after <= ALONE or self.processes == 1]
        others = [part for part in parts if part not in alone]
        try:
            async with asyncio.TaskGroup() as group:
                tasks = [
                    group.create_task(build_in_process(self._url, part, self._policies, advance)) for part in others
                ]
        except ExceptionGroup as failed:
            raise failed.exceptions[0] from None
        for failures, peak in (task.result() for task in tasks):
            self.report.failures += failures
            self.report.peak_bytes = max(self.report.peak_bytes, peak)
        for part in alone:
            async with Builder.open(self._url, part, self._policies) as builder:
                await builder.build(part.upto, self._left_out, advance)
                self.report.failures += builder.failures.values()
        self.report.seconds = monotonic() - began

    async def _know_left_out(self, built: int) -> None:
        """Read after the position that is to be built to: then all that was parked up to there is known; and what is
        parked before what was discarded: then what goes from one to the other in between is in both, not in neither."""
        now = {(row[0], row[1]): row[2] for row in await self._connection.fetch(QUERIES["parked"])}
        gone = [stream for stream, at in self._left_out.waiting.items() if at <= built and now.get(stream) != at]
        if gone:
            raise Refused(f"stream {gone[0][1]} was retried or discarded meanwhile: begin again")
        discarded = await self._connection.fetch(QUERIES["discarded"])
        self._left_out = LeftOut(now, frozenset((row[0], row[1]) for row in discarded))

    async def _parts(self, target: int) -> list[Part]:
        positions = await self.generations.positions()
        parts = []
        for position in sorted(set(positions.values())):
            names = [name for name in self._models if positions[name] == position]
            split = shared_out(names, self.processes) if target - position > ALONE else [names]
            parts += [self._part(share, position, target) for share in split if position < target]
        return parts

    def _part(self, names: Sequence[str], after: int, upto: int) -> Part:
        generations = {name: self.generations.mine[name] for name in names}
        tolerant = self.report.mode == "verify"
        return Part(generations, after, upto, self._left_out, self.selection, tolerant)

    @asynccontextmanager
    async def joined(self) -> AsyncIterator[Builder]:
        """All generations as one, which they are once they are built: to go on with the live ones."""
        [position] = set((await self.generations.positions()).values())
        for id in self.generations.mine.values():
            await self._connection.execute(QUERIES["analyze_generation"], id)
        async with Builder.open(self._url, self._part(list(self._models), position, position), self._policies) as one:
            one.beside = True
            one.failures.update({(each.tenant, each.stream_id): each for each in self.report.failures})
            yield one
        own = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        self.report.peak_bytes = max(self.report.peak_bytes, own)

    async def _come_near(self, builder: Builder) -> None:
        while (target := (await self.generations.look()).target) - builder.position > NEAR:
            await self._know_left_out(builder.position)
            await builder.build(target, self._left_out, lambda n: None)

    @asynccontextmanager
    async def _meeting(self, builder: Builder) -> AsyncIterator[Situation]:
        """A transaction in which both sides stand at one position, and stay there."""
        await self._come_near(builder)
        async with self._connection.transaction():
            situation = await self.generations.hold()
            await self._know_left_out(builder.position)
            await builder.build(situation.target, self._left_out, lambda n: None)
            yield situation

    # --- comparing -----------------------------------------------------------------------------------------------

    async def compare(self, builder: Builder) -> Situation:
        """Compare a snapshot of one position; answers of which moment it was.

        Rows are compared by PostgreSQL and timers by this process, so side by side.
        """
        snapshots: list[Connection] = []
        try:
            for _ in range(2):
                snapshots.append(await connect(self._url, server_settings={"work_mem": "64MB", "jit": "off"}))
            of_rows, of_timers = snapshots
            async with self._meeting(builder) as situation:
                await of_rows.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
                shared: str = await of_rows.fetchval("SELECT pg_export_snapshot()")
            await of_timers.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
            await of_timers.execute(f"SET TRANSACTION SNAPSHOT '{shared}'")
            self.report.position = situation.target
            async with asyncio.TaskGroup() as group:
                group.create_task(self._compare_all_rows(of_rows))
                if SUBJECT in self._models:
                    group.create_task(self._compare_timers(of_timers, situation))
        except ExceptionGroup as failed:
            raise failed.exceptions[0] from None
        finally:
            for each in snapshots:
                each.terminate()
        self.report.failures = list(builder.failures.values())
        self.report.parked, self.report.discarded = len(self._left_out.waiting), len(self._left_out.discarded)
        builder.touched = set()
        return situation

    async def _compare_all_rows(self, snapshot: Connection) -> None:
        for name in self._models:
            await self._compare_rows(snapshot, name, self.report.models[name])
            self.progress("comparing", 1, len(self._models))

    async def _compare_rows(self, snapshot: Connection, name: str, told: Told) -> None:
        selection = self.selection
        if selection.below < WHOLE and name in (RECIPIENT, LINK):
            return  # in a sample, links are folded in part, and of a recipient's timers only some are looked at
        generation = self.generations.mine[name]
        told.rows = await snapshot.fetchval(QUERIES["count_rows"], generation, *selection.columns(name))
        if told.expected or self.report.mode == "rollback":
            return
        live = self.generations.live[name]["id"]
        async for difference in differing_rows(snapshot, self._models[name], live, generation, selection):
            self.report.tell(told, difference)

    async def _compare_timers(self, snapshot: Connection, situation: Situation) -> None:
        of_version = self.report.models[SUBJECT]
        told = Told(TIMERS, of_version.version, of_version.live_version)
        async for found in differing_timers(snapshot, self._facts(situation), self.selection):
            if found.explained is not None:
                told.explained[found.explained] = told.explained.get(found.explained, 0) + 1
                continue
            self._timers.add((found.id[0], str(found.subject_id)))
            self._of_nobody = self._of_nobody or found.afresh is None
            if self.report.mode != "rollback":
                self.report.tell(told, found.told())
        self.report.models[TIMERS] = told

    def _facts(self, situation: Situation) -> Facts:
        generations = self.generations.mine
        return Facts(generations[SUBJECT], generations[RECIPIENT], situation.target, self._policies)

    # --- switching -----------------------------------------------------------------------------------------------

    async def switch(self, builder: Builder, compared: Situation, note: str | None) -> None:
        """Make what was built live, in one transaction. Raises `Refused` when rows that changed since differ."""
        async with self._meeting(builder) as situation:
            if (situation.turn, situation.epoch) != (compared.turn, compared.epoch):
                raise Refused("rows were changed beside the fold since they were compared: begin again")
            await self._compare_since(builder, note)
            if SUBJECT in self._models:
                await self._mend_timers(builder, situation)
                await self._connection.execute(QUERIES["reckoned"], self._policies.fingerprint)
            await self._connection.execute(QUERIES["retire"], list(self._models), situation.position, situation.epoch)
            await self._connection.execute(QUERIES["enliven"], list(self.generations.mine.values()), note)
            if situation.forked:
                left_out = self._left_out
                await self._connection.execute(QUERIES["unpark_others"], *columns(list(left_out.waiting), 2))
                await self._connection.execute(QUERIES["forget_other_discarded"], *columns(list(left_out.discarded), 2))
                await self._connection.execute(QUERIES["forget_lost_endings"], situation.epoch)
            await self._connection.execute(QUERIES["turn"], situation.target, situation.head_epoch)
            await self._record()
        self.report.switched = True
        await self.generations.drop_earlier()

    async def _compare_since(self, builder: Builder, note: str | None) -> None:
        if note is not None or self.report.mode == "rollback" or self.report.forked:
            return
        since = Selection(ids=frozenset(builder.touched or ()))
        for name, told in self.report.models.items():
            if name in self._models and not told.expected:
                live, afresh = self.generations.live[name]["id"], self.generations.mine[name]
                async for difference in differing_rows(self._connection, self._models[name], live, afresh, since):
                    self.report.tell(told, difference)
        if self.report.unexplained:
            raise Refused("rows that changed since the comparison differ: nothing was switched")

    async def _mend_timers(self, builder: Builder, situation: Situation) -> None:
        """Pending timers become what the facts say; where that is what they are, nothing is written."""
        of_subjects = self.generations.mine[SUBJECT]
        subjects = {(id[1], id[2]) for id in builder.touched or () if id[0] == SUBJECT}
        recipients = [id for id in builder.touched or () if id[0] == RECIPIENT]
        for _, tenant, key in recipients:
            rows = await self._connection.fetch(QUERIES["subjects_of"], of_subjects, tenant, UUID(key))
            subjects |= {(tenant, row["key"]) for row in rows}
        subjects |= self._timers
        await self._write_timers(timers_of(self._connection, self._facts(situation), subjects))
        if self.selection.whole and self._of_nobody:
            await self._write_timers(timers_of_nobody(self._connection, of_subjects))

    async def _write_timers(self, found: AsyncIterator[TimerDifference]) -> None:
        page: list[TimerDifference] = []
        async for one in found:
            if one.explained is None:
                page.append(one)
            if len(page) >= _TIMERS:
                await write_timers(self._connection, page)
                page.clear()
        await write_timers(self._connection, page)

    # --- healing -------------------------------------------------------------------------------------------------

    async def heal(self, builder: Builder) -> None:
        """Put what was folded afresh in the place of the live rows and timers that differ from it.

        Raises `Refused` where that is not what the log says: rows of what can't be folded may be whole as they are.
        """
        async with self._meeting(builder) as situation:
            failure = next(iter(builder.failures.values()), None)
            if failure is not None:
                raise Refused(
                    f"stream {failure.stream_id} can't be folded afresh from position {failure.position} on "
                    f"({failure.why}), so nothing was healed: restore that event from a back-up, or "
                    "use a release that can fold it"
                )
            ids = [id for id in self.report.ids if id[0] in self._models]
            for name in {id[0] for id in ids}:
                await self._connection.execute(
                    QUERIES["heal_rows"],
                    *(self.generations.live[name]["id"], self.generations.mine[name]),
                    *([id[1] for id in ids if id[0] == name], [id[2] for id in ids if id[0] == name]),
                )
            if SUBJECT in self._models:
                await self._mend_timers(builder, situation)
            await self._connection.execute(QUERIES["turn"], situation.target, situation.epoch)
            await self._record()
        self.report.healed = len(self.report.ids)

    async def _record(self) -> None:
        if self.recording is not None:
            await self.recording(self._connection, self.report)
