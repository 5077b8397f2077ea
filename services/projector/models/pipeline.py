"""Read model `pipeline`: where each interview stands, and the next polite move; one row an interview, by its id."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any, ClassVar
from uuid import UUID

from services.projector.folding.read_model import Filed
from services.projector.models.per_stream import PerStream
from shared.domain import interview
from shared.domain.interview.machine import MACHINE, State, next_move
from shared.domain.kernel import Event
from shared.envelope import Recorded
from shared.immutable import immutable
from shared.replacing import replace


@immutable
class PipelineRow:
    interview_id: UUID
    seeker_id: UUID
    contact_ids: tuple[UUID, ...]
    purpose: str
    about: str
    """Which field, company, role or study."""
    programme_id: UUID | None
    lead_id: UUID | None
    format: str | None
    planned_at: datetime
    moved_at: datetime
    """When the last event of the interview happened."""
    status: str = "planned"
    next_move: str | None = "send_request"
    """A key of `shared.domain.moves.MOVES`; none: nothing is left to do."""
    channel: str | None = None
    minutes: int | None = None
    """Asked for, then agreed on, then taken."""
    follow_ups: int = 0
    requested_at: datetime | None = None
    accepted_at: datetime | None = None
    scheduled_at: datetime | None = None
    """When a time was first agreed on."""
    starts_at: datetime | None = None
    time_zone: str | None = None
    reschedules: int = 0
    prepared: bool = False
    held_at: datetime | None = None
    overran: bool = False
    noted: bool = False
    reflected: bool = False
    clicked: int | None = None
    """How well the two clicked, 1 to 5."""
    thanked_ids: tuple[UUID, ...] = ()
    thanked_at: datetime | None = None
    """When every contact had been thanked."""
    let_down_by: str | None = None
    """Who cancelled or missed it last."""
    offered_by: str | None = None
    """Who offered times last."""
    offered_until: datetime | None = None
    """When the last of those begins."""


def _planned(e: Recorded[interview.Planned]) -> PipelineRow:
    data = e.data
    return PipelineRow(
        interview_id=e.stream_id,
        seeker_id=data.seeker_id,
        contact_ids=data.contact_ids,
        purpose=data.purpose,
        about=data.about,
        programme_id=data.programme_id,
        lead_id=data.lead_id,
        format=data.format,
        planned_at=e.occurred_at,
        moved_at=e.occurred_at,
    )


# What each event changes besides status, next move and time, by field.
Changed = dict[str, Any]


def _request_sent(row: PipelineRow, e: Recorded[interview.RequestSent]) -> Changed:
    data = e.data
    return {
        "channel": data.channel,
        "minutes": data.minutes,
        "format": data.format or row.format,
        "requested_at": e.occurred_at,
    }


def _followed_up(row: PipelineRow, e: Recorded[interview.RequestFollowedUp]) -> Changed:
    return {"follow_ups": e.data.number}


def _dropped_out(row: PipelineRow, e: Recorded[interview.DroppedOut]) -> Changed:
    return {"contact_ids": interview.without(row.contact_ids, e.data)}


_NO_TIME: Changed = {"starts_at": None, "time_zone": None}
"""That of an appointment that fell through counts no more."""


def _accepted(row: PipelineRow, e: Recorded[Any]) -> Changed:
    return {"accepted_at": row.accepted_at or e.occurred_at, "format": e.data.format or row.format, **_NO_TIME}


def _appointed(row: PipelineRow, e: Recorded[Any]) -> Changed:
    data = e.data
    return {
        "accepted_at": row.accepted_at or e.occurred_at,
        "scheduled_at": row.scheduled_at or e.occurred_at,
        "starts_at": data.starts_at,
        "time_zone": data.time_zone,
        "minutes": data.minutes,
        "format": data.format,
        "let_down_by": None,
        "reschedules": row.reschedules + (type(data) is interview.Rescheduled),
    }


def _times_offered(row: PipelineRow, e: Recorded[interview.TimesOffered]) -> Changed:
    until = max(time.starts_at for time in e.data.times)
    offered = {"offered_by": e.data.by, "offered_until": until}
    return {"accepted_at": row.accepted_at or e.occurred_at, **offered, **_NO_TIME}


def _let_down(row: PipelineRow, e: Recorded[Any]) -> Changed:
    return {"let_down_by": row.let_down_by if row.status == "missed" else e.data.by}


def _prepared(row: PipelineRow, e: Recorded[interview.Prepared]) -> Changed:
    return {"prepared": True}


def _held(row: PipelineRow, e: Recorded[interview.Held]) -> Changed:
    data = e.data
    return {
        "held_at": e.occurred_at,
        "format": data.format,
        "minutes": data.minutes or row.minutes,
        "overran": data.overran,
    }


def _noted(row: PipelineRow, e: Recorded[interview.NotesTaken]) -> Changed:
    return {"noted": True}


def _reflected(row: PipelineRow, e: Recorded[interview.ReflectionRecorded]) -> Changed:
    return {"reflected": True, "clicked": e.data.clicked}


def _thanked(row: PipelineRow, e: Recorded[interview.Thanked]) -> Changed:
    return {
        "thanked_ids": (*row.thanked_ids, *e.data.thanked_ids),
        "thanked_at": e.occurred_at if e.data.complete else row.thanked_at,
    }


def _nothing_else(row: PipelineRow, e: Recorded[Any]) -> Changed:
    return {}


CHANGES: dict[type[Event], Callable[[PipelineRow, Recorded[Any]], Changed]] = {
    interview.RequestSent: _request_sent,
    interview.RequestFollowedUp: _followed_up,
    interview.Accepted: _accepted,
    interview.Declined: _nothing_else,
    interview.DroppedOut: _dropped_out,
    interview.Lapsed: _nothing_else,
    interview.AgreedLoosely: _accepted,
    interview.TimesOffered: _times_offered,
    interview.Scheduled: _appointed,
    interview.Rescheduled: _appointed,
    interview.Confirmed: _nothing_else,
    interview.Cancelled: _let_down,
    interview.ResearchRecorded: _nothing_else,
    interview.ObjectivesSet: _nothing_else,
    interview.QuestionsChosen: _nothing_else,
    interview.Prepared: _prepared,
    interview.Started: _nothing_else,
    interview.Held: _held,
    interview.Missed: _let_down,
    interview.NotesTaken: _noted,
    interview.ReflectionRecorded: _reflected,
    interview.Thanked: _thanked,
}


def _moved(row: PipelineRow, e: Recorded[Any]) -> PipelineRow:
    changed = CHANGES[type(e.data)](row, e)
    status = MACHINE.next(row.status, e.data)
    move = _next_move(row, status, changed)
    return replace(row, **changed, status=status, next_move=move, moved_at=e.occurred_at)


def _next_move(row: PipelineRow, status: str, changed: Changed) -> str | None:
    """By the domain's rule, for the row as it will be."""
    return next_move(
        State(
            status=status,
            contact_ids=changed.get("contact_ids", row.contact_ids),
            format=changed.get("format", row.format),
            follow_ups=changed.get("follow_ups", row.follow_ups),
            accepted=changed.get("accepted_at", row.accepted_at) is not None,
            prepared=changed.get("prepared", row.prepared),
            reflected=changed.get("reflected", row.reflected),
            thanked=frozenset(changed.get("thanked_ids", row.thanked_ids)),
            let_down_by=changed.get("let_down_by", row.let_down_by),
            offered_by=changed.get("offered_by", row.offered_by),
        )
    )


class Pipeline(PerStream[PipelineRow]):
    name = "pipeline"
    version = 6
    row = PipelineRow
    begins: ClassVar = {interview.Planned: _planned}
    changes: ClassVar = dict.fromkeys(CHANGES, _moved)

    def file(self, row: PipelineRow) -> Filed:
        return Filed(owner=row.seeker_id, state=row.status, sort=row.planned_at)
