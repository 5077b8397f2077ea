"""The read models as they must be: the log folded in memory from its first event, beside what the database holds."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import asyncpg

from services.projector.folding.changes import Ending, OwnerId, RowId, StreamId, TimerId
from services.projector.folding.folder import Folder
from services.projector.folding.timing_fold import TimingFold
from services.projector.models import MODELS
from shared.domain.notification import Withdrawn
from shared.envelope import Recorded
from shared.timing.policies import default_policies
from shared.timing.timers import TIMER, Timer
from tests.projector.memory import gather

PAGE = 500
_ROWS = """
    SELECT g.model, r.tenant, r.key, r.body, r.owner, r.state, nullif(r.sort, '-infinity') AS sort
    FROM read.row r JOIN read.generation g ON g.id = r.generation AND g.status = 'live'
"""
_TIMERS = "SELECT tenant, id, subject_id, seeker_id, guards, due_at, ending, body FROM read.timer"
PUT_OFF = timedelta(days=7)
"""The longest that quiet hours, days off and full days put a reminder off."""
_PARKED = "SELECT tenant, stream_id, error FROM read.parked"


@dataclass(frozen=True, slots=True)
class Shown:
    """What the projector has written, as the database holds it."""

    rows: Sequence[asyncpg.Record]
    timers: Sequence[asyncpg.Record]
    parked: Sequence[asyncpg.Record]


async def shown(connection: asyncpg.Connection[asyncpg.Record]) -> Shown:
    return Shown(await connection.fetch(_ROWS), await connection.fetch(_TIMERS), await connection.fetch(_PARKED))


class ColdFold:
    """Grows with the log, so that a run is folded once however often it is looked at."""

    def __init__(self) -> None:
        self._folder = Folder(MODELS, TimingFold(default_policies()))
        self._models = {model.name: model for model in self._folder.models}
        self.rows: dict[RowId, Any] = {}
        self.timers: dict[TimerId, Timer | Ending] = {}
        self._owned: dict[OwnerId, set[RowId]] = defaultdict(set)
        self._parked: set[StreamId] = set()
        self._position = 0

    def go_on(self, events: Sequence[Recorded[bytes]]) -> None:
        """Fold what comes after the last position; `events` is the whole log."""
        while self._position < len(events):
            page = events[self._position : self._position + PAGE]
            plan = self._folder.plan(page, self._parked)
            changes = self._folder.fold(plan, gather(self._folder, plan, self.rows, self._owned.__getitem__))
            self.rows |= changes.rows
            for id, owner in changes.owners.items():
                self._owned[owner].add(id)
            for timer_id, pending in changes.timers.items():
                if pending is None:
                    self.timers.pop(timer_id, None)
                else:
                    self.timers[timer_id] = pending
            self._parked |= changes.parked.keys()
            self._position += len(page)

    def differences(self, shown: Shown) -> list[str]:
        """Where anything else is shown, as sentences."""
        rows = {
            (model, tenant, key): (self._models[model].decode(body), tuple(filed))
            for model, tenant, key, body, *filed in shown.rows
        }
        timers = {
            (each["tenant"], each["id"]): (_end_of(each), (each["subject_id"], each["seeker_id"], set(each["guards"])))
            for each in shown.timers
        }
        due_at = {(timer["tenant"], timer["id"]): timer["due_at"] for timer in shown.timers}
        return [
            *_differences("row", rows, {id: (row, self._filed(id, row)) for id, row in self.rows.items() if row}),
            *_differences("timer", timers, {id: (timer, _indexed(timer)) for id, timer in self.timers.items()}),
            # One that was put off (quiet hours, a full day) is due later than its rule says, never earlier.
            *(f"timer {id} is due at {due}, before {self.timers[id].due_at}" for id, due in due_at.items()
              if id in self.timers and due < self.timers[id].due_at),
            *(f"timer {id} is due at {due}, long after {self.timers[id].due_at}" for id, due in due_at.items()
              if id in self.timers and due > self.timers[id].due_at + PUT_OFF),
            *(f"parked: stream {id} of {tenant}: {error}" for tenant, id, error in shown.parked),
        ]  # fmt: skip

    def _filed(self, id: RowId, row: Any) -> tuple[Any, ...]:
        """By what queries find it."""
        filed = self._models[id[0]].file(row)
        return (filed.owner, filed.state, filed.sort)


def _indexed(timer: Timer | Ending) -> tuple[Any, ...]:
    """By what firing finds it, and judges whether it is in vain."""
    if isinstance(timer, Ending):
        return (timer.event.subject_id, timer.event.seeker_id, set())
    return (timer.subject_id, timer.seeker_id, set(timer.guards))


def _end_of(timer: asyncpg.Record) -> Timer | Ending:
    """What a fold would give for this row."""
    if timer["ending"] is None:
        return TIMER.validate_json(timer["body"])
    ending = Withdrawn.model_validate_json(timer["ending"])
    return Ending(ending, timer["due_at"])


def _differences(what: str, found: Mapping[Any, Any], expected: Mapping[Any, Any]) -> Iterator[str]:
    for id in expected.keys() - found.keys():
        yield f"{what} {id} is missing"
    for id in found.keys() - expected.keys():
        yield f"{what} {id} should not be there"
    for id in found.keys() & expected.keys():
        if found[id] != expected[id]:
            yield f"{what} {id} is {found[id]}, a cold fold gives {expected[id]}"
