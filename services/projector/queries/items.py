"""Rows as answers show them: with the names of whom they mention, and moves in words."""

from __future__ import annotations

from datetime import datetime, timedelta

from services.projector.models.agenda import AppointmentRow
from services.projector.models.leads import LeadRow
from services.projector.models.notebook import PieceRow
from services.projector.models.notification import NotificationRow
from services.projector.models.pipeline import PipelineRow
from services.projector.models.relationship import TieRow
from services.projector.queries.answering import People, Person, widen
from shared.domain.interview.machine import FIXED
from shared.domain.moves import MOVES
from shared.domain.relationship import State, next_move
from shared.immutable import immutable
from shared.replacing import replace


@immutable(kw_only=True)
class PipelineItem(PipelineRow):
    contacts: tuple[Person, ...]
    next_move_says: str | None
    """The next polite move in words."""


@immutable(kw_only=True)
class AgendaItem(AppointmentRow):
    contacts: tuple[Person, ...]


@immutable(kw_only=True)
class RelationshipItem(TieRow):
    contact: Person
    next_move: str | None
    next_move_says: str | None
    next_touch_at: datetime | None
    """When the next reminder to keep in touch is due; null: none is pending."""


@immutable(kw_only=True)
class LeadItem(LeadRow):
    contact: Person
    new_contact: Person | None


@immutable(kw_only=True)
class NotebookItem(PieceRow):
    contacts: tuple[Person, ...]


@immutable(kw_only=True)
class NotificationItem(NotificationRow):
    contacts: tuple[Person, ...]


def in_words(move: str | None) -> str | None:
    return None if move is None else MOVES[move]


def as_of_now(row: PipelineRow, now: datetime) -> PipelineRow:
    """Where an appointment stands whose end is past, it is too late for whatever was to come before it; times that were
    offered and have passed are no choice any more."""
    if row.status in FIXED and row.starts_at and row.starts_at + timedelta(minutes=row.minutes or 0) <= now:
        return replace(row, next_move="record_conversation")
    if row.status == "times_offered" and row.offered_until and row.offered_until <= now:
        return replace(row, next_move="agree_time")
    return row


def pipeline_item(row: PipelineRow, people: People) -> PipelineItem:
    """Of a row `as_of_now`."""
    move = row.next_move
    if move == "thank" and people.closed(id for id in row.contact_ids if id not in row.thanked_ids):
        # Nobody is left to thank: what comes after the thanks.
        move = None if row.reflected else "reflect"
    move = people.polite(move, row.contact_ids)
    return widen(
        PipelineItem, replace(row, next_move=move), contacts=people.all(row.contact_ids), next_move_says=in_words(move)
    )


def agenda_item(row: AppointmentRow, people: People) -> AgendaItem:
    return widen(AgendaItem, row, contacts=people.all(row.contact_ids))


def relationship_item(row: TieRow, people: People, next_touch_at: datetime | None) -> RelationshipItem:
    move = next_move(State(status=row.status, introduction=row.introduction, touched=row.touches > 0))
    if move == "write_to_contact" and row.wrote_at and row.introduced_at and row.wrote_at >= row.introduced_at:
        # They are in touch: what is next is the conversation's own.
        move = None
    move = people.polite(move, [row.contact_id])
    return widen(
        RelationshipItem,
        row,
        contact=people(row.contact_id),
        next_move=move,
        next_move_says=in_words(move),
        next_touch_at=next_touch_at,
    )


def lead_item(row: LeadRow, people: People) -> LeadItem:
    new = None if row.new_contact_id is None else people(row.new_contact_id)
    return widen(LeadItem, row, contact=people(row.contact_id), new_contact=new)


def notebook_item(row: PieceRow, people: People) -> NotebookItem:
    return widen(NotebookItem, row, contacts=people.all(row.contact_ids))


def notification_item(row: NotificationRow, people: People) -> NotificationItem:
    return widen(NotificationItem, row, contacts=people.all(row.contact_ids))
