"""Read model `contact_load`: what was asked of a contact in a calendar month; one row a month, by contact and month.

Places are counted in the month that the contact's own events name; follow-ups, moved appointments and no-shows in
the month, in UTC, in which they happened. All seekers of a tenant count together.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from services.projector.folding.read_model import Filed, ReadModel
from shared.domain import contact, interview
from shared.domain.kernel import Event
from shared.envelope import Recorded
from shared.immutable import immutable
from shared.replacing import replace


@immutable
class LoadRow:
    contact_id: UUID
    month: str
    """Such as 2026-11."""
    places: int = 0
    """Taken of the month's capacity: by requests, follow-ups and new times by the seeker's wish, without those that
    were given back."""
    requests: int = 0
    """Without those that came to nothing in time."""
    held: int = 0
    minutes: int = 0
    """That the contact gave, as far as recorded."""
    follow_ups: int = 0
    reschedules: int = 0
    """By the seeker's wish."""
    cancellations: int = 0
    """By the seeker, after a time was agreed on or while the request was open."""
    no_shows: int = 0
    """By the seeker."""


def _asked(row: LoadRow, e: Recorded[contact.Asked]) -> LoadRow:
    return replace(row, places=row.places + 1, requests=row.requests + (e.data.why == "request"))


def _freed(row: LoadRow, e: Recorded[contact.PlaceFreed]) -> LoadRow:
    return replace(row, places=row.places - 1, requests=row.requests - 1)


def _held(row: LoadRow, e: Recorded[interview.Held]) -> LoadRow:
    return replace(row, held=row.held + 1, minutes=row.minutes + (e.data.minutes or 0))


def _followed_up(row: LoadRow, e: Recorded[interview.RequestFollowedUp]) -> LoadRow:
    return replace(row, follow_ups=row.follow_ups + 1)


def _rescheduled(row: LoadRow, e: Recorded[interview.Rescheduled]) -> LoadRow:
    return replace(row, reschedules=row.reschedules + (e.data.asked_by == "seeker"))


def _cancelled(row: LoadRow, e: Recorded[interview.Cancelled]) -> LoadRow:
    return replace(row, cancellations=row.cancellations + (e.data.by == "seeker"))


def _missed(row: LoadRow, e: Recorded[interview.Missed]) -> LoadRow:
    return replace(row, no_shows=row.no_shows + (e.data.by == "seeker"))


Fold = Callable[[LoadRow, Recorded[Any]], LoadRow]
PLACES: dict[type[Event], Fold] = {contact.Asked: _asked, contact.PlaceFreed: _freed}
CONVERSATIONS: dict[type[Event], Fold] = {
    interview.Held: _held,
    interview.RequestFollowedUp: _followed_up,
    interview.Rescheduled: _rescheduled,
    interview.Cancelled: _cancelled,
    interview.Missed: _missed,
}
FOLDS = PLACES | CONVERSATIONS


class ContactLoad(ReadModel[LoadRow]):
    name = "contact_load"
    version = 3
    folds = FOLDS.keys()
    listed = True
    row = LoadRow

    def keys(self, e: Recorded[Any]) -> Iterable[str]:
        kind = type(e.data)
        if kind in PLACES:
            return (f"{e.stream_id}/{e.data.month}",)
        if kind in CONVERSATIONS and getattr(e.data, "asked", True):
            month = e.occurred_at.astimezone(UTC).strftime("%Y-%m")
            asked = getattr(e.data, "asked_ids", None) or e.data.contact_ids
            return [f"{contact_id}/{month}" for contact_id in asked]
        return ()

    def evolve(self, key: str, row: LoadRow | None, e: Recorded[Event]) -> LoadRow | None:
        if row is None:
            contact_id, _, month = key.partition("/")
            row = LoadRow(UUID(contact_id), month)
        return FOLDS[type(e.data)](row, e)

    def file(self, row: LoadRow) -> Filed:
        year, month = row.month.split("-")
        return Filed(owner=row.contact_id, state=row.month, sort=datetime(int(year), int(month), 1, tzinfo=UTC))
