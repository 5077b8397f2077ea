"""Read models built afresh beside the live ones: to replace them, to go back to earlier ones, or to compare.

What is live goes on meanwhile. A generation is folded to where the checkpoint stands; then the checkpoint is held for a
moment, so that both sides stand at one position, and a snapshot of that moment is compared at leisure. To switch, it is
held once more for the last events. Nothing of this appends to the log: notifications can't come from it.
"""

from __future__ import annotations

import asyncio
import resource
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from time import monotonic
from typing import TYPE_CHECKING, Any
from uuid import UUID

import asyncpg

from services.projector.folding import TIMING, rebuilt_as
from services.projector.models import MODELS
from services.projector.read_model import ReadModel
from services.projector.rebuild_building import Builder, LeftOut, Part, processors, shared_out
from services.projector.rebuild_comparing import (
    TIMERS,
    Facts,
    TimerDifference,
    differing_rows,
    differing_timers,
    timers_of,
    timers_of_nobody,
    write_timers,
)
from services.projector.rebuild_leftovers import drop
from services.projector.rebuild_report import Busy, Mode, Refused, Report, Situation, Told
from services.projector.rebuild_selection import WHOLE, Selection
from services.projector.rebuild_staging import QUERIES
from services.projector.rebuild_worker import build_in_process
from services.projector.retiming import refuse_others
from services.projector.store import QUERIES as STORE
from services.projector.store import columns
from services.projector.timing_facts import TimingFacts
from services.projector.timing_models import LINK, OF_TIMING, RECIPIENT, SUBJECT
from shared.database.pool import UNAVAILABLE, connect
from shared.timing.policies import Policies

if TYPE_CHECKING:
    Connection = asyncpg.Connection[asyncpg.Record]

NAMES = (*(model.name for model in MODELS), TIMING)
"""What can be rebuilt: the timers with their facts by one name, for one can't be without the other."""
ALONE = 20_000
"""Events up to which starting further processes costs more than it gains."""
_PAUSES = (0, 0.1, 0.2, 0.4, 0.8)
"""Seconds before each attempt to drop generations, so that who waited behind the one before gets through."""
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


def models_of(policies: Policies, names: Sequence[str]) -> dict[str, ReadModel[Any]]:
    """The models behind some of `NAMES`. Raises `Refused` for another name."""
    unknown = sorted(set(names) - set(NAMES))
    if unknown:
        raise Refused(f"no read model {', '.join(unknown)}: there are {', '.join(NAMES)}")
    found: dict[str, ReadModel[Any]] = {model.name: model for model in MODELS if model.name in names}
    if TIMING in names:
        found |= {model.name: model for model in TimingFacts(policies).models}
    return found


@asynccontextmanager
async def working(database_url: str, policies: Policies, mode: Mode, names: Sequence[str]) -> AsyncIterator[Work]:
    """Take the one turn there is. Raises `Busy`, `Refused`, and what asyncpg raises while PostgreSQL is away."""
    models = models_of(policies, names)
    # One that is stopped while it holds the checkpoint must not hold up the projector for long.
    connection = await connect(database_url, server_settings={"idle_in_transaction_session_timeout": "60s"})
    try:
        if not await connection.fetchval(QUERIES["take_turn"]):
            raise Busy("another rebuild, rollback or verification is at work on this database: wait for it to end")
        try:
            await connection.execute(QUERIES["await_parts"])
            yield Work(database_url, connection, policies, mode, models)
        finally:
            # By itself the server ends it only once it has noticed that nobody is there any more.
            with suppress(*UNAVAILABLE):
                await connection.execute(QUERIES["end_turn"], timeout=_GRACE)
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
        self.selection = Selection()
        self.processes = processors()
        self.progress: Progress = lambda step, done, total: None
        self.recording: Recording | None = None
        self._generations: dict[str, int] = {}
        self._live: dict[str, asyncpg.Record] = {}
        self._left_out = LeftOut({}, frozenset())
        self._timers: set[tuple[str, str]] = set()
        """The subjects, by tenant and key, of timers that differ."""
        self._of_nobody = False

    # --- what is there -------------------------------------------------------------------------------------------

    async def _look(self, query: str = "situation") -> Situation:
        row = await self._connection.fetchrow(QUERIES[query])
        if row is None or row["position"] is None:
            raise Refused("nothing was folded yet: start the projector, which folds the log from its beginning")
        situation = Situation(*row)
        if SUBJECT in self._models and not self._changes_version(SUBJECT):
            refuse_others(situation.policies, self._policies)
        return situation

    def _changes_version(self, name: str) -> bool:
        """Whether a model is not live in the version that this release folds. Timers of another version come of another
        release, which may reckon them by other policies, too, and this one's projector does not start before."""
        live = self._live.get(name)
        return live is not None and bool(live["version"] != self._models[name].version)

    async def _know_left_out(self, built: int) -> None:
        """Read after the position that is to be built to: then all that was parked up to there is known; and what is
        parked before what was discarded: then what goes from one to the other in between is in both, not in neither."""
        now = {(row[0], row[1]): row[2] for row in await self._connection.fetch(QUERIES["parked"])}
        gone = [stream for stream, at in self._left_out.waiting.items() if at <= built and now.get(stream) != at]
        if gone:
            raise Refused(f"stream {gone[0][1]} was retried or discarded meanwhile: begin again")
        discarded = await self._connection.fetch(QUERIES["discarded"])
        self._left_out = LeftOut(now, frozenset((row[0], row[1]) for row in discarded))

    async def prepare(self) -> None:
        """Look at what is live and at what an earlier attempt has left. Raises `Refused`."""
        rows = await self._connection.fetch(QUERIES["generations"])
        self._live = {row["model"]: row for row in rows if row["status"] == "live"}
        situation = await self._look()
        mode, self.report.forked = self.report.mode, situation.forked
        useless: list[int] = []
        left: dict[str, asyncpg.Record] = {}
        for row in rows:
            mine = row["status"] == "building" and mode == "rebuild" and row["model"] in self._models
            usable = mine and (row["version"], row["epoch"]) == (
                self._models[row["model"]].version,
                situation.head_epoch,
            )
            if row["status"] == "scratch" or (mine and not (usable and row["position"] <= situation.target)):
                useless.append(row["id"])
            elif mine:
                left[row["model"]] = row
        if len({left[name]["position"] if name in left else 0 for name in OF_TIMING}) > 1:
            # Folded together or not at all: one of them is of another version, or new with this release.
            useless += (left.pop(name)["id"] for name in OF_TIMING if name in left)
        self._generations = {name: row["id"] for name, row in left.items()}
        await self._drop(useless)
        if situation.forked and (mode != "rebuild" or set(self._models) != set(self._all())):
            raise Refused("the log was restored to an earlier point, of which nothing live is: rebuild all read models")
        for name, model in self._models.items():
            live = self._live.get(name)
            self.report.models[name] = Told(name, model.version, None if live is None else live["version"])
            if mode != "rollback" and live and live["version"] > model.version:
                raise Refused(
                    f"read model {name} is live in version {live['version']}, this release folds version "
                    f"{model.version}: use the newer release, or `kithlog rollback {rebuilt_as(name)} --why …`"
                )
            if mode == "verify" and (live is None or live["version"] != model.version):
                remedy = f"`kithlog rebuild {rebuilt_as(name)}`"
                raise Refused(f"read model {name} is not live in version {model.version}: {remedy}")
        if mode == "rollback":
            self._go_back_to(rows, situation)
        else:
            await self._create(situation)

    def _all(self) -> Sequence[str]:
        return (*(model.name for model in MODELS), *OF_TIMING)

    def _go_back_to(self, rows: Sequence[Any], situation: Situation) -> None:
        for name, model in self._models.items():
            kept = next((row for row in rows if row["model"] == name and row["status"] == "retired"), None)
            if kept is None:
                raise Refused(f"read model {name} has no earlier generation to go back to: only a rebuild keeps one")
            if kept["version"] != model.version:
                raise Refused(
                    f"the earlier generation of {name} is of version {kept['version']}, this release folds version "
                    f"{model.version}: roll back with the release that folds version {kept['version']}"
                )
            if kept["epoch"] != situation.epoch or kept["position"] > situation.target:
                raise Refused(f"the earlier generation of {name} is of another timeline of the log: rebuild it")
            if kept["stale"] is not None:
                raise Refused(f"the earlier generation of {name} lacks events, for {kept['stale']}: rebuild it")
            self._generations[name] = kept["id"]

    async def _create(self, situation: Situation) -> None:
        status = "building" if self.report.mode == "rebuild" else "scratch"
        for name, model in self._models.items():
            if name not in self._generations:
                made = await self._connection.fetchval(
                    QUERIES["create_generation"], name, model.version, status, model.listed
                )
                await self._connection.execute(QUERIES["begin_generations"], [made], situation.head_epoch)
                self._generations[name] = made

    async def _drop(self, ids: Collection[int]) -> None:
        """What can't be dropped now is left to the next one at work."""
        await self._connection.execute(QUERIES["scrap"], list(ids))
        left = list(ids)
        for pause in _PAUSES:
            if not left:
                return
            await asyncio.sleep(pause)
            left = await drop(self._connection, left)

    async def discard(self) -> None:
        """Remove what was built, which is not live. What a killed rebuild leaves is gone on with, not removed."""
        if self.report.mode != "rollback" and not self.report.switched:
            await self._drop(self._generations.values())

    # --- building ------------------------------------------------------------------------------------------------

    async def build(self) -> None:
        """Fold up to where the live models are. Raises `CannotFold`, `UnknownEventType`, `PartFailed`, `Refused`."""
        began = monotonic()
        situation = await self._look()
        await self._know_left_out(0)
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

    async def _parts(self, target: int) -> list[Part]:
        rows = await self._connection.fetch(QUERIES["generations"])
        positions = {row["model"]: row["position"] for row in rows if row["id"] in self._generations.values()}
        parts = []
        for position in sorted(set(positions.values())):
            names = [name for name in self._models if positions[name] == position]
            split = shared_out(names, self.processes) if target - position > ALONE else [names]
            parts += [self._part(share, position, target) for share in split if position < target]
        return parts

    def _part(self, names: Sequence[str], after: int, upto: int) -> Part:
        generations = {name: self._generations[name] for name in names}
        tolerant = self.report.mode == "verify"
        return Part(generations, after, upto, self._left_out, self.selection, tolerant)

    @asynccontextmanager
    async def joined(self) -> AsyncIterator[Builder]:
        """All generations as one, which they are once they are built: to go on with the live ones."""
        rows = await self._connection.fetch(QUERIES["generations"])
        [position] = {row["position"] for row in rows if row["id"] in self._generations.values()}
        for id in self._generations.values():
            await self._connection.execute(QUERIES["analyze_generation"], id)
        async with Builder.open(self._url, self._part(list(self._models), position, position), self._policies) as one:
            one.failures.update({(each.tenant, each.stream_id): each for each in self.report.failures})
            yield one
        own = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        self.report.peak_bytes = max(self.report.peak_bytes, own)

    async def _come_near(self, builder: Builder) -> None:
        while (target := (await self._look()).target) - builder.position > NEAR:
            await self._know_left_out(builder.position)
            await builder.build(target, self._left_out, lambda n: None)

    @asynccontextmanager
    async def _meeting(self, builder: Builder) -> AsyncIterator[Situation]:
        """A transaction in which both sides stand at one position, and stay there."""
        await self._come_near(builder)
        async with self._connection.transaction():
            situation = await self._look("hold_checkpoint")
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
        generation = self._generations[name]
        told.rows = await snapshot.fetchval(QUERIES["count_rows"], generation, *selection.columns(name))
        if told.expected or self.report.mode == "rollback":
            return
        live = self._live[name]["id"]
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
        generations = self._generations
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
                await self._connection.execute(STORE["reckoned"], self._policies.fingerprint)
            await self._connection.execute(QUERIES["retire"], list(self._models), situation.position, situation.epoch)
            await self._connection.execute(QUERIES["enliven"], list(self._generations.values()), note)
            if situation.forked:
                left_out = self._left_out
                await self._connection.execute(QUERIES["unpark_others"], *columns(list(left_out.waiting), 2))
                await self._connection.execute(QUERIES["forget_other_discarded"], *columns(list(left_out.discarded), 2))
                await self._connection.execute(QUERIES["forget_lost_endings"], situation.epoch)
            await self._connection.execute(QUERIES["turn"], situation.target, situation.head_epoch)
            await self._record()
        self.report.switched = True
        kept = {row["id"] for row in self._live.values()}
        rows = await self._connection.fetch(QUERIES["generations"])
        retired = {row["id"] for row in rows if row["status"] == "retired" and row["model"] in self._models}
        await self._drop(retired - kept)

    async def _compare_since(self, builder: Builder, note: str | None) -> None:
        if note is not None or self.report.mode == "rollback" or self.report.forked:
            return
        since = Selection(ids=frozenset(builder.touched or ()))
        for name, told in self.report.models.items():
            if name in self._models and not told.expected:
                live, afresh = self._live[name]["id"], self._generations[name]
                async for difference in differing_rows(self._connection, self._models[name], live, afresh, since):
                    self.report.tell(told, difference)
        if self.report.unexplained:
            raise Refused("rows that changed since the comparison differ: nothing was switched")

    async def _mend_timers(self, builder: Builder, situation: Situation) -> None:
        """Pending timers become what the facts say; where that is what they are, nothing is written."""
        subjects = {(id[1], id[2]) for id in builder.touched or () if id[0] == SUBJECT}
        recipients = [id for id in builder.touched or () if id[0] == RECIPIENT]
        for _, tenant, key in recipients:
            rows = await self._connection.fetch(QUERIES["subjects_of"], self._generations[SUBJECT], tenant, UUID(key))
            subjects |= {(tenant, row["key"]) for row in rows}
        subjects |= self._timers
        page: list[TimerDifference] = []
        async for one in timers_of(self._connection, self._facts(situation), subjects):
            if one.explained is None:
                page.append(one)
            if len(page) >= _TIMERS:
                await write_timers(self._connection, page)
                page.clear()
        if self.selection.whole and self._of_nobody:
            page += await timers_of_nobody(self._connection, self._generations[SUBJECT])
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
                    *(self._live[name]["id"], self._generations[name]),
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
