"""Folding the log into generations beside the live ones: at full speed, in bounded memory, from where they stand."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from uuid import UUID

from services.projector.folding.changes import Changes, EventId, Parked, RowId, StreamId
from services.projector.folding.folder import Folder
from services.projector.folding.selection import Selected, Selection
from services.projector.folding.timing_facts import NOBODY, Concern, TimingFacts
from services.projector.folding.timing_rows import SUBJECT
from services.projector.models import MODELS
from services.projector.rebuild.staging import Staging
from services.projector.storing.loading import PAGE_BYTES, Loader
from shared.database.pool import connect
from shared.envelope import Recorded
from shared.log.reading import QUERIES as LOG_QUERIES
from shared.timing.policies import Policies

if TYPE_CHECKING:
    import asyncpg

PAGE = 2_000
FLUSH = 20_000
FLUSH_BYTES = 32 * 1024 * 1024
"""Events, and bytes of their payloads in sum, after which what was folded is written; what bounds the memory."""
_WEIGHTS = {"timing_subject": 7, "timeline": 6, "notebook": 3, "pipeline": 3, "notification": 3}
"""About what share of the time of building everything goes into a model, rows and their indexes included."""
KEPT = 10_000
"""Rows kept between pages, at least; twice as many at most."""


@dataclass(frozen=True, slots=True)
class LeftOut:
    """The events that what is live has not folded."""

    waiting: Mapping[StreamId, int]
    """Streams that are parked, each from a position on."""
    discarded: frozenset[EventId]
    """Events that folding went on without."""

    def __bool__(self) -> bool:
        return bool(self.waiting or self.discarded)

    def __contains__(self, e: Recorded[bytes]) -> bool:
        return (e.tenant, e.event_id) in self.discarded or e.position >= self.waiting.get(
            (e.tenant, e.stream_id), e.position + 1
        )

    def to_json(self) -> dict[str, Any]:
        waiting = [[tenant, str(stream), position] for (tenant, stream), position in self.waiting.items()]
        return {"waiting": waiting, "discarded": [[tenant, str(id)] for tenant, id in self.discarded]}

    @classmethod
    def from_json(cls, told: Mapping[str, Any]) -> LeftOut:
        waiting = {(tenant, UUID(stream)): position for tenant, stream, position in told["waiting"]}
        return cls(waiting, frozenset((tenant, UUID(id)) for tenant, id in told["discarded"]))


@dataclass(frozen=True, slots=True)
class Part:
    """What one process builds: generations that stand at the same position, and where they are to go."""

    generations: Mapping[str, int]
    after: int
    upto: int
    left_out: LeftOut
    selection: Selection = field(default_factory=Selection)
    tolerant: bool = False
    """Whether a stream that can't be folded is left out from there on; else building ends."""


class CannotFold(Exception):
    """An event that the live models have folded can't be folded afresh."""

    def __init__(self, failure: Parked) -> None:
        super().__init__(
            f"position {failure.position} can't be folded by {failure.why}: "
            f"correct the model, or let the projector park stream {failure.stream_id}"
        )
        self.failure = failure


def chosen_folder(names: Sequence[str], policies: Policies, selection: Selection) -> Folder:
    """A folder of some models by name; with `timing_subject`, of the facts of timing too."""
    models: list[Any] = [model for model in MODELS if model.name in names]
    if not selection.whole:
        models = [Selected(model, selection) for model in models]
    return Folder(models, TimingFacts(policies, selection) if SUBJECT in names else _NoTiming(policies, selection))


class _NoTiming(TimingFacts):
    """For a part without timing."""

    @property
    def models(self) -> Any:
        return ()

    def listens(self, kind: Any) -> bool:
        return False

    def concern(self, e: Any) -> Concern:
        return NOBODY


class Builder:
    """One connection reads the log, two others belong to the generations."""

    def __init__(self, log: asyncpg.Connection[asyncpg.Record], staging: Staging, folder: Folder, part: Part) -> None:
        self._log, self._staging, self._folder, self._part = log, staging, folder, part
        self._loader = Loader(staging, folder, kept=KEPT)
        self.failures: dict[StreamId, Parked] = {}
        """Streams that could not be folded, with `tolerant`."""
        self.touched: set[RowId] | None = None
        """Collects the rows that were folded, once it is set."""
        self.beside = False
        """Whether it goes on beside a projector. That deletes, of a generation that is gone back to, rows that mention
        who was forgotten: they are not to be written again from memory."""

    @classmethod
    @asynccontextmanager
    async def open(cls, database_url: str, part: Part, policies: Policies) -> AsyncIterator[Builder]:
        """Raises what asyncpg raises while PostgreSQL is away."""
        folder = chosen_folder(list(part.generations), policies, part.selection)
        log = await connect(database_url)
        try:
            async with Staging.beside(database_url, folder.models, part.generations, part.after) as staging:
                yield cls(log, staging, folder, part)
        finally:
            log.terminate()

    @property
    def position(self) -> int:
        return self._staging.position

    async def build(self, upto: int, left_out: LeftOut, advance: Callable[[int], object]) -> None:
        """Fold on to `upto` and write all of it; `advance` hears of every page how many events it had.

        Raises `CannotFold`, `UnknownEventType`, `Superseded`, and what asyncpg raises while PostgreSQL is away.
        """
        position, size = self._staging.position, 0
        reading: asyncio.Task[list[Recorded[bytes]]] | None = None
        try:
            while position < upto:
                events = await (reading or self._read(position, upto))
                reading = None
                end = events[-1].position
                if end < upto:
                    reading = asyncio.create_task(self._read(end, upto))
                    await asyncio.sleep(0)  # so that the server reads while this process folds
                await self._fold(events, left_out)
                position = end
                size += sum(len(event.data) for event in events)
                if position - self._staging.position >= FLUSH or size >= FLUSH_BYTES or position == upto:
                    await self._staging.flush(position)
                    size = 0
                advance(len(events))
        finally:
            if reading is not None:
                reading.cancel()
                await asyncio.gather(reading, return_exceptions=True)

    async def _read(self, after: int, upto: int) -> list[Recorded[bytes]]:
        rows = await self._log.fetch(LOG_QUERIES["read"], after, min(PAGE, upto - after), PAGE_BYTES)
        return [Recorded(*row) for row in rows]

    async def _fold(self, events: Sequence[Recorded[bytes]], left_out: LeftOut) -> None:
        if left_out:
            events = [e for e in events if e not in left_out]
        if not events:
            return
        plan = self._folder.plan(events, self.failures.keys())
        if plan.unknown is not None:
            raise plan.unknown
        rows = await self._loader.gather(plan, Changes())
        changes = self._folder.fold(plan, rows)
        if changes.parked and not self._part.tolerant:
            raise CannotFold(min(changes.parked.values(), key=lambda one: one.position))
        self.failures |= changes.parked
        self._staging.stage(changes)
        self._loader.keep(changes)
        if self.touched is not None:
            self.touched |= changes.rows.keys()
        if changes.forgotten and self.beside:
            self._loader.forget()


def shared_out(names: Sequence[str], processes: int) -> list[list[str]]:
    """The models of each process, so that each has about as much to do; those of timing together."""
    timing = [name for name in names if name.startswith("timing_")]
    together = [timing, *([name] for name in names if name not in timing)]
    together.sort(key=lambda part: -_weight(part))
    parts: list[list[str]] = [[] for _ in range(processes)]
    for some in together:
        min(parts, key=_weight).extend(some)
    return [part for part in parts if part]


def _weight(names: Sequence[str]) -> float:
    return sum(_WEIGHTS.get(name, 1) for name in names)


def processors() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
