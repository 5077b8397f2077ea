"""Read model `preparation`: what the sheet for a conversation says; one row an interview, by the interview's id.

Names and the seeker's introduction are joined in when the sheet is asked for.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, ClassVar
from uuid import UUID

from services.projector.folding.read_model import Filed, Telling
from services.projector.models.per_stream import PerStream
from shared.domain import interview
from shared.domain.interview.details import Question
from shared.envelope import Recorded
from shared.immutable import immutable
from shared.replacing import replace

OF_CONTACTS = ("place", "person", "company", "position")
"""Fields that tell of the contacts."""


@immutable
class Former:
    """A contact who dropped out."""

    contact_id: UUID
    told: tuple[str, ...]
    """The fields that hold still what was said while they took part."""


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
    former: tuple[Former, ...] = ()
    """Contacts who dropped out, and what is told of them here still."""

    def forgetting(self, contact_id: UUID, at: datetime) -> SheetRow:
        """What the seeker wants to learn stays."""
        if contact_id in self.contact_ids:
            return replace(self, **dict.fromkeys(OF_CONTACTS))
        told = {name for each in self.former if each.contact_id == contact_id for name in each.told}
        return replace(self, **dict.fromkeys(told)) if told else self

    def saying(self, **said: str | None) -> SheetRow:
        """With what is said now of those who take part now."""
        former = tuple(replace(each, told=tuple(n for n in each.told if n not in said)) for each in self.former)
        return replace(self, **said, former=former)


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
    told = tuple(name for name in OF_CONTACTS if getattr(row, name) is not None)
    former = (*row.former, *(Former(each, told) for each in e.data.dropped_ids))
    return replace(row, contact_ids=interview.without(row.contact_ids, e.data), former=former)


def _format_agreed(row: SheetRow, e: Recorded[Any]) -> SheetRow:
    return _without_appointment(replace(row, format=e.data.format or row.format), e)


def _without_appointment(row: SheetRow, e: Recorded[Any]) -> SheetRow:
    """That which fell through counts no more."""
    return replace(row, starts_at=None, time_zone=None, place=None)


def _scheduled(row: SheetRow, e: Recorded[interview.Scheduled]) -> SheetRow:
    data = e.data
    row = replace(row, starts_at=data.starts_at, time_zone=data.time_zone, minutes=data.minutes, format=data.format)
    return row.saying(place=data.place)


def _researched(row: SheetRow, e: Recorded[interview.ResearchRecorded]) -> SheetRow:
    """What is absent stays as it was."""
    said = {name: value for name in ("person", "company", "position") if (value := getattr(e.data, name))}
    return replace(row, industry=e.data.industry or row.industry).saying(**said)


def _objectives(row: SheetRow, e: Recorded[interview.ObjectivesSet]) -> SheetRow:
    return replace(row, objectives=e.data.objectives)


def _questions(row: SheetRow, e: Recorded[interview.QuestionsChosen]) -> SheetRow:
    return replace(row, questions=e.data.questions, reserve=e.data.reserve)


def _prepared(row: SheetRow, e: Recorded[interview.Prepared]) -> SheetRow:
    return replace(row, prepared_at=e.occurred_at, note=e.data.note or row.note)


class Preparation(PerStream[SheetRow]):
    name = "preparation"
    version = 5
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
