"""What two generations of rows differ in, and what the timers differ in from what the facts say."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import TYPE_CHECKING, Any
from uuid import UUID

from pydantic import ValidationError

from services.projector.folding.changes import RowId, TimerId
from services.projector.folding.read_model import StoredRows
from services.projector.folding.selection import Selection
from services.projector.rebuild.staging import QUERIES, UNSORTED
from services.projector.storing.store import timer_row
from shared.database.queries import columns
from shared.timing.policies import Policies
from shared.timing.recipient import Recipient
from shared.timing.timers import RECIPIENT, SUBJECT, TIMER, Timer, timers

if TYPE_CHECKING:
    import asyncpg

    Connection = asyncpg.Connection[asyncpg.Record]

TIMERS = "timer"
"""The name under which differences of timers are told, as those of rows under their model's."""
_PAGE = 500
_LOOKED_AT = 2_000
"""Timers of which one statement finds out whether they are somebody's."""
_FILED = ("owner", "state", "sort")


@dataclass(frozen=True, slots=True)
class Difference:
    """One row or timer that is not what the log says."""

    model: str
    tenant: str
    key: str
    fields: Mapping[str, tuple[Any, Any]]
    """Field → what is live, and what it is afresh. The field `row` stands for a whole row that one side lacks."""

    @property
    def id(self) -> RowId:
        return (self.model, self.tenant, self.key)


async def differing_rows(
    connection: Connection, model: StoredRows[Any], live: int, afresh: int, selection: Selection
) -> AsyncIterator[Difference]:
    """Compare two generations of a model, inside the caller's transaction."""
    below, tenants, keys = selection.columns(model.name)
    if tenants is None:
        rows = connection.cursor(QUERIES["differing_rows"], live, afresh, below, prefetch=_PAGE)
    elif tenants:
        rows = connection.cursor(QUERIES["some_differing_rows"], live, afresh, tenants, keys, prefetch=_PAGE)
    else:
        return
    async for row in rows:
        fields = _fields(model, row)
        if fields:
            yield Difference(model.name, row["tenant"], row["key"], fields)


def _fields(model: StoredRows[Any], row: asyncpg.Record) -> dict[str, tuple[Any, Any]]:
    live, afresh = row["live_body"], row["body"]
    if live is None or afresh is None:
        return {"row": tuple(None if body is None else json.loads(body) for body in (live, afresh))}  # type: ignore[dict-item]
    found = {name: (row[f"live_{name}"], row[name]) for name in _FILED if row[f"live_{name}"] != row[name]}
    if live != afresh and not _same(model, live, afresh):
        one, other = json.loads(live), json.loads(afresh)
        names = dict.fromkeys([*one, *other])
        found |= {name: (one.get(name), other.get(name)) for name in names if one.get(name) != other.get(name)}
    return found


def _same(model: StoredRows[Any], live: str, afresh: str) -> bool:
    """Whether two texts stand for the same row: an instant may be written in more than one way."""
    try:
        return bool(model.decode(live) == model.decode(afresh))
    except ValidationError:
        return False  # a row of another version


@dataclass(frozen=True, slots=True)
class TimerDifference:
    """A timer that is not what the facts say, unless `explained`."""

    id: TimerId
    subject_id: UUID
    live: Timer | None
    afresh: Timer | None
    due: tuple[datetime | None, datetime | None]
    explained: str | None = None
    """Why that is as it should be, where it is: `fired` and not folded, or not yet, or `deferred` when it was due."""
    ended: str | None = None
    """Why, where what is live is not a timer but its ending."""
    recipient: Recipient | None = None
    """Whose policies say what is pending; of what is live and no ending."""

    def told(self) -> Difference:
        one, other = (
            None if timer is None else TIMER.dump_python(timer, mode="json") for timer in (self.live, self.afresh)
        )
        if one is None or other is None:
            live = one if self.ended is None else {"ended": self.ended}
            fields: dict[str, tuple[Any, Any]] = {"row": (live, other)}
        else:
            fields = {name: (one[name], other[name]) for name in one if one[name] != other[name]}
            if self.due[0] != self.due[1]:
                fields["due_at"] = self.due
        return Difference(TIMERS, self.id[0], str(self.id[1]), fields)


@dataclass(frozen=True, slots=True)
class Facts:
    """From where the facts of timers are read, and up to which position they are folded."""

    subjects: int
    recipients: int
    position: int
    policies: Policies


async def differing_timers(
    connection: Connection, facts: Facts, selection: Selection
) -> AsyncIterator[TimerDifference]:
    """Compare what is pending with what the facts of all selected subjects say, inside the caller's transaction."""
    if selection.ids is not None:
        async for found in timers_of(connection, facts, [id[1:] for id in selection.ids if id[0] == "timing_subject"]):
            yield found
        return
    place: tuple[Any, ...] = ("", UUID(int=0), UNSORTED, "")
    while True:
        rows = await connection.fetch(
            QUERIES["subjects"], facts.subjects, facts.recipients, *place, selection.below, _PAGE
        )
        if not rows:
            break
        place = (rows[-1]["tenant"], rows[-1]["owner"], rows[-1]["sort"], rows[-1]["key"])
        for found in await _compared(connection, facts, rows):
            yield found
    if selection.whole:
        async for one in timers_of_nobody(connection, facts.subjects):
            yield one


async def timers_of_nobody(connection: Connection, subjects: int) -> AsyncIterator[TimerDifference]:
    """Pending timers of subjects that the generation `subjects` does not know. In pages, for all are looked at: in one
    statement, those of a large system take longer than a statement may."""
    place: TimerId = ("", UUID(int=0))
    while rows := await connection.fetch(QUERIES["timers_of_nobody"], subjects, *place, _LOOKED_AT):
        place = (rows[-1]["tenant"], rows[-1]["id"])
        for row in rows:
            if row["body"] is not None:
                timer, due = TIMER.validate_json(row["body"]), (row["due_at"], None)
                yield TimerDifference((row["tenant"], row["id"]), row["subject_id"], timer, None, due)


async def timers_of(
    connection: Connection, facts: Facts, subjects: Iterable[tuple[str, str]]
) -> AsyncIterator[TimerDifference]:
    """The same for some subjects, by tenant and key."""
    left = sorted(subjects)
    while left:
        page, left = left[:_PAGE], left[_PAGE:]
        rows = await connection.fetch(QUERIES["some_subjects"], facts.subjects, facts.recipients, *columns(page, 2))
        for found in await _compared(connection, facts, rows):
            yield found


async def _compared(connection: Connection, facts: Facts, rows: Sequence[Any]) -> list[TimerDifference]:
    afresh: dict[TimerId, Timer] = {}
    recipients: dict[TimerId, Recipient | None] = {}
    """By subject."""
    for row in rows:
        recipient = None if row["recipient"] is None else _recipient(row["recipient"])
        subject = SUBJECT.validate_json(row["body"])
        recipients[row["tenant"], UUID(row["key"])] = recipient
        if subject.armings:
            afresh |= {(row["tenant"], id): timer for id, timer in timers(subject, recipient, facts.policies).items()}
    live = await connection.fetch(
        QUERIES["timers_of"], [row["tenant"] for row in rows], [UUID(row["key"]) for row in rows]
    )
    found = []
    for row in live:
        id = (row["tenant"], row["id"])
        timer = afresh.pop(id, None)
        text = None if timer is None else TIMER.dump_json(timer).decode()
        filed = timer is not None and _is_filed(row, timer)
        in_time = timer is not None and row["due_at"] == timer.due_at
        if row["outcome"] is None and filed and row["body"] == text and in_time:
            continue
        due = (row["due_at"], None if timer is None else timer.due_at)
        if row["outcome"] is not None:
            found.append(TimerDifference(id, row["subject_id"], None, timer, due, ended=row["outcome"]))
            continue
        body = TIMER.validate_json(row["body"])
        same = filed and body == timer
        if same and in_time:
            continue
        # Only what is due is put off.
        was_due = timer is not None and timer.due_at <= row["now"] and row["due_at"] > timer.due_at
        deferred = "deferred" if same and was_due else None
        recipient = recipients[row["tenant"], row["subject_id"]]
        found.append(TimerDifference(id, row["subject_id"], body, timer, due, deferred, recipient=recipient))
    found += (TimerDifference(id, timer.subject_id, None, timer, (None, timer.due_at)) for id, timer in afresh.items())
    return await _explained(connection, facts.position, found)


def _is_filed(row: Any, timer: Timer) -> bool:
    """Whether firing finds the timer, and what it waits for, by what it is."""
    return row["seeker_id"] == timer.seeker_id and set(row["guards"]) == set(timer.guards)


@lru_cache(maxsize=64)
def _recipient(body: str) -> Recipient:
    """Subjects come recipient by recipient."""
    return RECIPIENT.validate_json(body)


async def _explained(connection: Connection, position: int, found: list[TimerDifference]) -> list[TimerDifference]:
    """With the log's help: a timer that fired after `position` is gone already, and so is one of whose firing folding
    was left without; one that is to be ended is no difference until its end is in the log."""
    asked = [one for one in found if one.live is None]
    if not asked:
        return found
    rows = await connection.fetch(QUERIES["first_events"], [one.id[0] for one in asked], [one.id[1] for one in asked])
    began = {(row["tenant"], row["stream_id"]): row for row in rows}
    kept = []
    for one in found:
        first = began.get(one.id)
        unfolded = first is not None and (first["position"] > position or first["left_out"])
        if one.ended and one.afresh is None and (first is None or unfolded):
            continue
        if one.live is None and unfolded:
            kept.append(TimerDifference(one.id, one.subject_id, None, one.afresh, one.due, "fired"))
        else:
            kept.append(one)
    return kept


async def write_timers(connection: Connection, found: Sequence[TimerDifference]) -> None:
    """Make them what they are afresh."""
    written = [timer_row(one.id, one.afresh) for one in found if one.afresh is not None]
    gone = [one.id for one in found if one.afresh is None]
    if written:
        await connection.execute(QUERIES["upsert_timers"], *columns(written, 9))
    if gone:
        await connection.execute(QUERIES["delete_timers"], *columns(gone, 2))
