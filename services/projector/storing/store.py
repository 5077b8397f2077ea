"""The projector's side of PostgreSQL: rows, timers and the checkpoint, moved together or not at all."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any
from uuid import UUID

import structlog

from services.projector.folding.changes import (
    Changes,
    Checkpoint,
    Ending,
    EventId,
    OwnerId,
    Parked,
    RowId,
    StreamId,
    TimerId,
)
from services.projector.folding.read_model import StoredRows
from services.projector.folding.timing_rows import OF_TIMING, rebuilt_as
from services.projector.storing.connecting import BY_KEYS, two_connections
from services.projector.storing.halting import Halted
from services.projector.storing.leftovers import drop_marked, mark_unfinished
from shared.codec import encode
from shared.database.queries import columns, load_queries
from shared.envelope import Recorded
from shared.log.appending import Head
from shared.timing.timers import TIMER, Timer

if TYPE_CHECKING:
    import asyncpg

    Connection = asyncpg.Connection[asyncpg.Record]

QUERIES = load_queries("services.projector.storing", "store.sql")
SETTINGS = {
    **BY_KEYS,
    # What a crash of the server takes from the read models, it takes from the checkpoint too: it is folded again.
    "synchronous_commit": "off",
    # A process that is stopped in the middle holds the checkpoint: the server ends that for it.
    "idle_in_transaction_session_timeout": "60s",
}
GOING_THROUGH = 3_600.0
"""Seconds that going through all rows of a tenant may take: no tenant's take that long, but what ran into a limit would
be begun again with the same page for ever."""
logger = structlog.get_logger(__name__)


class CheckpointMoved(Exception):
    """The checkpoint is not where the changes start from: another projector was first. Nothing was written."""


@dataclass(frozen=True, slots=True)
class Look:
    """The checkpoint and the log's head at one moment."""

    checkpoint: Checkpoint
    head: Head
    policies: str | None
    """The digest of those by which the pending timers were reckoned."""
    marked: bool
    """Whether unfinished generations tell of somebody who was forgotten."""


class Store:
    """Opened for one loop: one connection writes while the other reads ahead."""

    def __init__(self, reading: Connection, writing: Connection, models: Sequence[StoredRows[Any]]) -> None:
        self._reading, self._writing = reading, writing
        self._models = {model.name: model for model in models}
        self._generations: dict[str, int] = {}
        self._turn = 0
        self._dirty: dict[RowId, Any] = {}
        """Rows that are to be written, for a store that collects them."""

    @classmethod
    @asynccontextmanager
    async def open(cls, database_url: str, models: Sequence[StoredRows[Any]]) -> AsyncIterator[Store]:
        """Keeps trying while PostgreSQL is away."""
        async with two_connections(database_url, SETTINGS) as (reading, writing):
            yield cls(reading, writing, models)

    async def begin(self) -> Checkpoint:
        """Where to go on; prepares the models' tables when nothing was folded yet.

        Raises `Halted` when a model's live rows are not of the version that this release folds, or of a model that it
        does not know.
        """
        async with self._writing.transaction():
            await self._writing.execute(QUERIES["start_checkpoint"])
            row = await self._writing.fetchrow(QUERIES["lock_checkpoint"])
            assert row is not None
            checkpoint = Checkpoint(row["position"], row["epoch"], row["turn"])
            if checkpoint.position == 0 and await self._create_generations():
                await self._writing.execute(QUERIES["next_turn"])
                checkpoint = replace(checkpoint, turn=checkpoint.turn + 1)
            await self._find_generations(self._writing, checkpoint)
        return checkpoint

    async def _create_generations(self) -> bool:
        """Those that are missing; answers whether a release that does not know them may have begun to fold already."""
        live = {row["model"] for row in await self._writing.fetch(QUERIES["generations"])}
        missing = [model for model in self._models.values() if model.name not in live]
        for model in missing:
            await self._writing.execute(QUERIES["create_generation"], model.name, model.version, model.listed)
        return bool(live and missing)

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[tuple[Connection, Checkpoint]]:
        """A transaction in which rows are changed beside the fold: it holds the checkpoint, and ends one turn.

        `apply` writes in it, and what is loaded is loaded in it, so that it is not taken to be idle meanwhile. Raises
        `Halted` as `begin` does.
        """
        beside, self._reading = self._reading, self._writing
        try:
            async with self._writing.transaction():
                checkpoint = await self.begin()
                yield self._writing, checkpoint
                await self._writing.execute(QUERIES["next_turn"])
        finally:
            self._reading = beside

    @property
    def generations(self) -> Mapping[str, int]:
        """The live generation of each model, as known since `begin`."""
        return self._generations

    async def reckoned_by(self) -> str | None:
        """The digest of the timing policies by which the pending timers were reckoned; None before the first start."""
        digest: str | None = await self._writing.fetchval(QUERIES["reckoned_by"])
        return digest

    async def _find_generations(self, connection: Connection, checkpoint: Checkpoint) -> None:
        live = {row["model"]: row for row in await connection.fetch(QUERIES["generations"])}
        off = {}
        for model in self._models.values():
            row = live.get(model.name)
            if row is None or row["version"] != model.version:
                has = "has no rows" if row is None else f"has rows of version {row['version']}"
                off[model.name] = f"read model {model.name} {has}, this release folds version {model.version}"
            else:
                self._generations[model.name] = row["id"]
        if off:
            # All at once: after a rebuild of some, neither this release nor the one before would fold.
            raise Halted(
                "model_version",
                "; ".join(off.values()),
                f"run `kithlog rebuild {' '.join(dict.fromkeys(map(rebuilt_as, off)))}`; until then a projector of the "
                "release before goes on folding, where one still runs",
            )
        unknown = sorted(live.keys() - self._models.keys())
        if unknown:
            # Whatever was folded without them they would lack for good, and nobody would know.
            taken_out = (
                "WITH gone AS (UPDATE read.generation SET status = 'scratch' WHERE status = 'live' AND model = ANY "
                f"('{{{','.join(unknown)}}}')) UPDATE read.checkpoint SET turn = turn + 1"
            )
            raise Halted(
                "model_version",
                f"live are rows of {', '.join(unknown)}, which this release does not fold",
                f"use the one that does, and end this; to go back to this, end that and run `{taken_out}`, for it will "
                "have to rebuild them",
            )
        self._turn = checkpoint.turn

    async def look(self) -> Look:
        """Where the checkpoint and the log stand. Raises `Halted` as `begin` does, after generations were switched."""
        row = await self._reading.fetchrow(QUERIES["look"])
        assert row is not None
        checkpoint = Checkpoint(row["position"], row["epoch"], row["turn"])
        if checkpoint.turn != self._turn:
            await self._find_generations(self._reading, checkpoint)
        return Look(checkpoint, Head(row["head"], row["head_epoch"]), row["policies"], row["marked"])

    async def holds(self, events: Sequence[Recorded[bytes]]) -> bool:
        """Whether the log holds these very events. After a restore others may stand at their positions, and a command
        that was sent again may have made one of the same id there."""
        told = [(event.position, event.event_id, event.recorded_at) for event in events]
        all_of_them: bool = await self._reading.fetchval(QUERIES["holds"], *columns(told, 3))
        return all_of_them

    async def drop_marked(self) -> bool:
        """Drop what `Look.marked` tells of; False: some of it is left, for somebody is at work or reads."""
        return await drop_marked(self._writing)

    async def parked(self) -> set[StreamId]:
        return {(row["tenant"], row["stream_id"]) for row in await self._reading.fetch(QUERIES["parked"])}

    async def discarded(self, after: int) -> set[EventId]:
        """The events that folding goes on without, and comes to after a position: in an imported log."""
        return {(row["tenant"], row["event_id"]) for row in await self._reading.fetch(QUERIES["discarded"], after)}

    async def load(self, ids: Collection[RowId]) -> dict[RowId, Any]:
        """Those of the rows that exist."""
        if not ids:
            return {}
        wanted = list(ids)
        filed = [(self._generations[model], tenant, key) for model, tenant, key in wanted]
        rows = await self._reading.fetch(QUERIES["load"], *columns(filed, 3))
        found = ((wanted[ordinal - 1], body) for ordinal, body in rows)
        return {id: self._models[id[0]].decode(body) for id, body in found}

    async def load_owned(self, model: str, owners: Collection[tuple[str, UUID]]) -> list[tuple[OwnerId, RowId, Any]]:
        """All rows of a model whose owner, given with its tenant, is one of `owners`."""
        of = columns(list(owners), 2)
        rows = await self._reading.fetch(QUERIES["load_owned"], self._generations[model], *of)
        decode = self._models[model].decode
        return [((model, tenant, owner), (model, tenant, key), decode(body)) for tenant, owner, key, body in rows]

    async def load_mentioning(self, models: Collection[str], ids: Collection[tuple[str, UUID]]) -> dict[RowId, Any]:
        """The rows of some models in which one of some ids, given with its tenant, stands; None for those deleted.

        Looks through all rows of the tenants, since rows are not filed by whom they mention: that somebody is forgotten
        is rare, and an index would make each row dearer that is written.
        """
        of = {self._generations[model]: model for model in models}
        tenants, texts = [tenant for tenant, _ in ids], [str(id) for _, id in ids]
        rows = await self._reading.fetch(QUERIES["load_mentioning"], list(of), tenants, texts, timeout=GOING_THROUGH)
        found = {(of[generation], tenant, key): body for generation, tenant, key, body in rows}
        unwritten = {id: row for id, row in self._dirty.items() if id[0] in models}
        return {id: self._models[id[0]].decode(body) for id, body in found.items() if id not in unwritten} | unwritten

    async def apply(self, start: Checkpoint, position: int, changes: Changes) -> None:
        """Move from `start` to `position` with what the events between change. Raises `CheckpointMoved`."""
        written = [(id, row) for id, row in changes.rows.items() if row is not None]
        deleted = [id for id, row in changes.rows.items() if row is None]
        timers = [timer_row(id, timer) for id, timer in changes.timers.items() if timer is not None]
        settled = [id for id, timer in changes.timers.items() if timer is None]
        if changes.forgotten:
            # Before the rest: done twice it does no harm, and what is not done is done again with the page.
            forgotten = columns(list(changes.forgotten), 2)
            # What timers follow from holds ids alone: without it, reminders would be taken back with a rollback.
            for row in await self._writing.fetch(QUERIES["retired"], list(OF_TIMING)):
                await self._writing.execute(QUERIES["forget_retired"], row["id"], *forgotten, timeout=GOING_THROUGH)
            await mark_unfinished(self._writing)
        moved = await self._writing.fetchval(
            QUERIES["apply"],
            start.position,
            start.epoch,
            position,
            *columns([self.filed_row(id, row) for id, row in written], 7),
            *columns([(self._generations[model], tenant, key) for model, tenant, key in deleted], 3),
            *columns(timers, 9),
            *columns(settled, 2),
            *columns([_parked(each) for each in changes.parked.values()], 6),
            start.turn,
        )
        if not moved:
            raise CheckpointMoved(f"the checkpoint is not at {start.position} any more, or rows changed beside it")

    def filed_row(self, id: RowId, row: Any) -> tuple[Any, ...]:
        name, tenant, key = id
        model = self._models[name]
        filed = model.file(row)
        return (self._generations[name], tenant, key, filed.owner, filed.state, filed.sort, model.encode(row))


def timer_row(id: TimerId, timer: Timer | Ending) -> tuple[Any, ...]:
    if isinstance(timer, Ending):
        event = timer.event
        return (*id, event.subject_id, event.seeker_id, "{}", timer.due_at, event.reason, encode(event).decode(), "{}")
    # Arrays of arrays of different lengths can't be unnested: the guards go as one literal.
    guards = "{" + ",".join(map(str, timer.guards)) + "}"
    return (*id, timer.subject_id, timer.seeker_id, guards, timer.due_at, None, None, TIMER.dump_json(timer).decode())


def _parked(parked: Parked) -> tuple[Any, ...]:
    return (parked.tenant, parked.stream_id, parked.category, parked.position, parked.model, parked.error)
