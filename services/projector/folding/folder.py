"""Folding a page of events into changes: pure. What must be loaded is said beforehand, by the plan."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Any

from pydantic import ValidationError

from services.projector.folding.changes import Changes, ContactId, EventId, OwnerId, Parked, RowId, StreamId
from services.projector.folding.read_model import ReadModel, StoredRows, Telling
from services.projector.folding.rows import Rows
from services.projector.folding.timing_facts import NOBODY, Concern, TimingFacts
from services.projector.folding.timing_rows import TIMING
from shared.codec import UnknownEventType, decode, kind_of
from shared.domain.contact import Forgotten
from shared.domain.kernel import Event
from shared.envelope import Recorded
from shared.timing.policies import Policies

_LONGEST_ERROR = 2_000


class Unfoldable(Exception):
    """What the events up to `position` lead to together can't be reckoned, or is not taken by PostgreSQL.

    Which of them is the reason is found by folding them one by one.
    """

    def __init__(self, position: int, model: str, cause: Exception) -> None:
        super().__init__(f"{model}: what the events up to position {position} lead to can't be had: {cause!r}")
        self.position, self.model, self.cause = position, model, cause


@dataclass(slots=True)
class Step:
    """One event, and the rows that it may touch."""

    event: Recorded[Any]
    touches: list[tuple[ReadModel[Any], RowId]] = field(default_factory=list)
    concern: Concern = NOBODY
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


class Folder:
    """The read models and the timers, folded together: an event counts in all of them or in none."""

    def __init__(self, models: Sequence[ReadModel[Any]], timing: TimingFacts) -> None:
        self._models, self._timing = tuple(models), timing
        self._folding: dict[type[Event], tuple[ReadModel[Any], ...]] = {}
        self.telling = frozenset(model.name for model in models if issubclass(model.row, Telling))
        """The models whose rows tell of contacts."""

    @property
    def models(self) -> tuple[StoredRows[Any], ...]:
        """All that have rows, those of the timers included."""
        return (*self._models, *self._timing.models)

    def plan(
        self, events: Sequence[Recorded[bytes]], parked: Collection[StreamId], discarded: Collection[EventId] = ()
    ) -> Plan:
        """Decode the events and say what they need. An unknown event type ends the plan before it.

        Events that are discarded or of parked streams are passed over, and so are those that nothing here folds.
        `events` follow each other and are not empty.
        """
        plan = Plan(events[0].position - 1)
        for recorded in events:
            waits = (recorded.tenant, recorded.stream_id) in parked
            if not (waits or (discarded and (recorded.tenant, recorded.event_id) in discarded)):
                try:
                    event = decode(recorded) if self._folds(kind_of(recorded)) else None
                except UnknownEventType as unknown:
                    plan.unknown = unknown
                    return plan
                except ValidationError as error:
                    plan.steps.append(Step(recorded, failed=("codec", error)))
                    plan.unreadable = True
                else:
                    if event is not None:
                        plan.steps.append(self._step(event, plan))
            plan.position = recorded.position
        return plan

    def _step(self, e: Recorded[Event], plan: Plan) -> Step:
        step = Step(e)
        tenant, name = e.tenant, TIMING
        try:
            step.concern = self._timing.concern(e)
            keys, owners = self._timing.needs(e, step.concern)
            for model in self._that_fold(type(e.data)):
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

    @property
    def policies(self) -> Policies:
        """By which the timers are reckoned."""
        return self._timing.policies

    def _folds(self, kind: type[Event]) -> bool:
        return bool(self._that_fold(kind)) or kind is Forgotten or self._timing.listens(kind)

    def _that_fold(self, kind: type[Event]) -> tuple[ReadModel[Any], ...]:
        """The models that an event of a kind may touch, found once."""
        found = self._folding.get(kind)
        if found is None:
            found = tuple(model for model in self._models if model.folds is None or kind in model.folds)
            self._folding[kind] = found
        return found

    def further(self, plan: Plan, rows: Rows) -> tuple[set[RowId], set[OwnerId]]:
        """What else is needed, now that `rows` holds all that was; empty when nothing is."""
        return self._timing.further(plan.owners, rows)

    def fold(self, plan: Plan, rows: Rows) -> Changes:
        """Fold the plan's events into `rows`, and answer what came of it.

        An exception undoes what its event changed, in all models, and parks its stream. Raises `Unfoldable`.
        """
        changes = Changes()
        before: dict[RowId, Any] = {}
        parked: set[StreamId] = set()
        for step in plan.steps:
            e = step.event
            stream = (e.tenant, e.stream_id)
            if stream in parked:
                continue
            failed = step.failed or self._fold_one(step, rows, changes, before)
            if failed is not None:
                parked.add(stream)
                changes.parked[stream] = park(e, *failed)
        try:
            timers = self._timing.timers(before, rows)
        except Exception as error:
            raise Unfoldable(plan.position, TIMING, error) from error
        # An ending takes the place of its timer, unless that is pending again: a policy was switched off and on.
        ended = {id: one for id, one in changes.timers.items() if timers.get(id) is None}
        changes.timers = {**timers, **ended}
        return changes

    def _fold_one(
        self, step: Step, rows: Rows, changes: Changes, before: dict[RowId, Any]
    ) -> tuple[str, Exception] | None:
        """`before` collects what timing knew before the first change of each of its rows."""
        e = step.event
        staged: dict[RowId, Any] = {}
        facts: dict[RowId, Any] = {}
        name = TIMING
        try:
            ended, owners = self._timing.fold(e, step.concern, rows, facts)
            for model, id in step.touches:
                name = model.name
                was = rows[id]
                now = model.evolve(id[2], was, e)
                if now is not was:
                    staged[id] = now
            name = "forgetting"
            if type(e.data) is Forgotten:
                staged |= self._forget(e, rows)
                changes.forgotten.add((e.tenant, e.stream_id))
        except Exception as error:
            return name, error
        for id in facts:
            if id in rows and id not in changes.rows:
                before[id] = rows[id]
        staged |= facts
        if staged:
            rows.change(staged, owners)
            changes.rows.update(staged)
            changes.owners.update(owners)
        changes.timers.update(ended)
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
