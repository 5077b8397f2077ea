"""Folding a page of events into changes: pure. What must be loaded is said beforehand, by the plan."""

from __future__ import annotations

import gc
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from pydantic import ValidationError

from services.projector.changes import Changes, ContactId, OwnerId, Parked, RowId, StreamId
from services.projector.read_model import ReadModel, Telling
from services.projector.rows import Rows
from services.projector.timing_fold import TimingFold
from shared.codec import UnknownEventType, decode
from shared.domain.contact import Forgotten
from shared.domain.kernel import Event
from shared.envelope import Recorded

_LONGEST_ERROR = 2_000


@dataclass(slots=True)
class Step:
    """One event, and the rows that it may touch."""

    event: Recorded[Any]
    touches: list[tuple[ReadModel[Any], RowId]] = field(default_factory=list)
    failed: tuple[str, Exception] | None = None
    """Where it could not even be routed: the model, or the codec, and the error."""


@dataclass(slots=True)
class Plan:
    """What folding some events takes. `position` is that of the last one, `unknown` the reason why not all are in."""

    position: int
    steps: list[Step] = field(default_factory=list)
    wanted: set[RowId] = field(default_factory=set)
    """Rows to look up."""
    fresh: set[RowId] = field(default_factory=set)
    """Rows that can't exist yet."""
    owners: set[OwnerId] = field(default_factory=set)
    """Owners all of whose rows are to be looked up."""
    forgotten: set[ContactId] = field(default_factory=set)
    """Contacts all rows that tell of whom are to be looked up."""
    unknown: UnknownEventType | None = None
    unreadable: bool = False
    """Whether the payload of some event is not what its type says."""


@contextmanager
def _uncollected() -> Iterator[None]:
    """Without Python's search for cycles: what a page makes is in use until it is written, and to look through all of
    it again and again while it grows took a quarter of the time of folding."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


class Folder:
    """The read models and the timers, folded together: an event counts in all of them or in none."""

    def __init__(self, models: Sequence[ReadModel[Any]], timing: TimingFold) -> None:
        self._models, self._timing = tuple(models), timing
        self.telling = frozenset(model.name for model in models if issubclass(model.row, Telling))
        """The models whose rows tell of contacts."""

    @property
    def models(self) -> tuple[ReadModel[Any], ...]:
        """All that have rows, those of the timers included."""
        return (*self._models, *self._timing.models)

    @_uncollected()
    def plan(self, events: Sequence[Recorded[bytes]], parked: Collection[StreamId]) -> Plan:
        """Decode the events and say what they need. An unknown event type ends the plan before it.

        Events of parked streams are passed over. `events` follow each other and are not empty.
        """
        plan = Plan(events[0].position - 1)
        for recorded in events:
            if (recorded.tenant, recorded.stream_id) not in parked:
                try:
                    event = decode(recorded)
                except UnknownEventType as unknown:
                    plan.unknown = unknown
                    return plan
                except ValidationError as error:
                    plan.steps.append(Step(recorded, failed=("codec", error)))
                    plan.unreadable = True
                else:
                    plan.steps.append(self._step(event, plan))
            plan.position = recorded.position
        return plan

    def _step(self, e: Recorded[Event], plan: Plan) -> Step:
        step = Step(e)
        tenant, name = e.tenant, "timing"
        try:
            keys, owners = self._timing.needs(e)
            for model in self._models:
                name = model.name
                for key in model.keys(e):
                    id = (name, tenant, key)
                    step.touches.append((model, id))
                    (plan.fresh if model.entries else plan.wanted).add(id)
        except Exception as error:
            return Step(e, failed=(name, error))
        plan.wanted.update(keys)
        plan.owners.update(owners)
        if type(e.data) is Forgotten:
            plan.forgotten.add((tenant, e.stream_id))
        return step

    def further(self, plan: Plan, rows: Rows) -> tuple[set[RowId], set[OwnerId]]:
        """What else is needed, now that `rows` holds all that was; empty when nothing is."""
        return self._timing.further(plan.owners, rows)

    @_uncollected()
    def fold(self, plan: Plan, rows: Rows) -> Changes:
        """Fold the plan's events into `rows`, and answer what came of it.

        An exception undoes what its event changed, in all models, and parks its stream.
        """
        changes = Changes()
        parked: set[StreamId] = set()
        for step in plan.steps:
            e = step.event
            stream = (e.tenant, e.stream_id)
            if stream in parked:
                continue
            failed = step.failed or self._fold_one(step, rows, changes)
            if failed is not None:
                parked.add(stream)
                changes.parked[stream] = park(e, *failed)
        return changes

    def _fold_one(self, step: Step, rows: Rows, changes: Changes) -> tuple[str, Exception] | None:
        e = step.event
        staged: dict[RowId, Any] = {}
        name = "timing"
        try:
            for model, id in step.touches:
                name = model.name
                before = rows[id]
                after = model.evolve(id[2], before, e)
                if after is not before:
                    staged[id] = after
            name = "forgetting"
            if type(e.data) is Forgotten:
                staged |= self._forget(e, rows)
                changes.forgotten.add((e.tenant, e.stream_id))
            name = "timing"
            timers, owners = self._timing.fold(e, rows, staged)
        except Exception as error:
            return name, error
        if staged:
            rows.change(staged, owners)
            changes.rows.update(staged)
            changes.owners.update(owners)
        changes.timers.update(timers)
        return None

    def _forget(self, e: Recorded[Event], rows: Rows) -> dict[RowId, Any]:
        """What tells of the contact, without that. The rows are there: looked up for the page, or folded in it."""
        told = rows.of(self.telling, e.tenant)
        emptied = ((id, row, row.forgetting(e.stream_id, e.recorded_at)) for id, row in told)
        return {id: after for id, before, after in emptied if after is not before}


def park(e: Recorded[Any], model: str, error: Exception) -> Parked:
    # PostgreSQL's text can't hold NUL, and the error may quote what could.
    text = f"{type(error).__name__}: {error}".replace("\0", "\\0")[:_LONGEST_ERROR]
    return Parked(e.tenant, e.stream_id, e.category, e.position, model, text)
