"""Read model `preparation`: what the sheet for a conversation says; one row an interview, by the interview's id.

Names and the seeker's introduction are joined in when the sheet is asked for.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, ClassVar
from uuid import UUID

from services.projector.models.per_stream import PerStream
from services.projector.read_model import Filed, Telling
from shared.domain import interview
from shared.domain.interview.details import Question
from shared.envelope import Recorded
from shared.immutable import immutable
from shared.replacing import replace


@immutable
class SheetRow(Telling):
    interview_id: UUID
    seeker_id: UUID
    contact_ids: tuple[UUID, ...]
    purpose: str
    about: str
    format: str | None
    intent: str | None = None
    """What the request said that the conversation is for."""
    minutes: int | None = None
    starts_at: datetime | None = None
    time_zone: str | None = None
    place: str | None = None
    person: str | None = None
    company: str | None = None
    position: str | None = None
    industry: str | None = None
    objectives: tuple[str, ...] = ()
    questions: tuple[Question, ...] = ()
    reserve: tuple[Question, ...] = ()
    prepared_at: datetime | None = None
    note: str | None = None
    former_ids: tuple[UUID, ...] = ()
    """Contacts who dropped out: what was learned of them is here still."""

    def forgetting(self, contact_id: UUID, at: datetime) -> SheetRow:
        """What the seeker wants to learn stays."""
        if contact_id not in (*self.contact_ids, *self.former_ids):
            return self
        return replace(self, place=None, person=None, company=None, position=None)


def _planned(e: Recorded[interview.Planned]) -> SheetRow:
    data = e.data
    return SheetRow(
        interview_id=e.stream_id,
        seeker_id=data.seeker_id,
        contact_ids=data.contact_ids,
        purpose=data.purpose,
        about=data.about,
        format=data.format,
    )


def _requested(row: SheetRow, e: Recorded[interview.RequestSent]) -> SheetRow:
    return replace(row, intent=e.data.intent, minutes=e.data.minutes, format=e.data.format or row.format)


def _dropped_out(row: SheetRow, e: Recorded[interview.DroppedOut]) -> SheetRow:
    left = interview.without(row.contact_ids, e.data)
    return replace(row, contact_ids=left, former_ids=(*row.former_ids, *e.data.dropped_ids))


def _format_agreed(row: SheetRow, e: Recorded[Any]) -> SheetRow:
    return _without_appointment(replace(row, format=e.data.format or row.format), e)


def _without_appointment(row: SheetRow, e: Recorded[Any]) -> SheetRow:
    """That which fell through counts no more."""
    return replace(row, starts_at=None, time_zone=None, place=None)


def _scheduled(row: SheetRow, e: Recorded[interview.Scheduled]) -> SheetRow:
    data = e.data
    return replace(
        row,
        starts_at=data.starts_at,
        time_zone=data.time_zone,
        minutes=data.minutes,
        format=data.format,
        place=data.place,
    )


def _researched(row: SheetRow, e: Recorded[interview.ResearchRecorded]) -> SheetRow:
    """What is absent stays as it was."""
    data = e.data
    return replace(
        row,
        person=data.person or row.person,
        company=data.company or row.company,
        position=data.position or row.position,
        industry=data.industry or row.industry,
    )


def _objectives(row: SheetRow, e: Recorded[interview.ObjectivesSet]) -> SheetRow:
    return replace(row, objectives=e.data.objectives)


def _questions(row: SheetRow, e: Recorded[interview.QuestionsChosen]) -> SheetRow:
    return replace(row, questions=e.data.questions, reserve=e.data.reserve)


def _prepared(row: SheetRow, e: Recorded[interview.Prepared]) -> SheetRow:
    return replace(row, prepared_at=e.occurred_at, note=e.data.note or row.note)


class Preparation(PerStream[SheetRow]):
    name = "preparation"
    version = 4
    row = SheetRow
    begins: ClassVar = {interview.Planned: _planned}
    changes: ClassVar = {
        interview.RequestSent: _requested,
        interview.DroppedOut: _dropped_out,
        interview.Accepted: _format_agreed,
        interview.AgreedLoosely: _format_agreed,
        interview.TimesOffered: _without_appointment,
        interview.Scheduled: _scheduled,
        interview.Rescheduled: _scheduled,
        interview.ResearchRecorded: _researched,
        interview.ObjectivesSet: _objectives,
        interview.QuestionsChosen: _questions,
        interview.Prepared: _prepared,
    }

    def file(self, row: SheetRow) -> Filed:
        return Filed(owner=row.seeker_id, state="prepared" if row.prepared_at else "open", sort=row.starts_at)
