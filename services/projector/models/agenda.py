"""Read model `agenda`: the appointments; one row an interview that ever had a time, by the interview's id.

An e-mail interview has no start time and is never scheduled, so it has no row. `sequence` and `uid` are those of
RFC 5545: the UID stays for ever, the sequence rises with every change that a calendar program must take over.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Any
from uuid import UUID

from services.projector.folding.read_model import Filed, ReadModel, Telling
from shared.domain import interview
from shared.domain.kernel import Event
from shared.envelope import Recorded
from shared.immutable import immutable
from shared.replacing import replace


@immutable
class AppointmentRow(Telling):
    interview_id: UUID
    seeker_id: UUID
    contact_ids: tuple[UUID, ...]
    status: str
    """scheduled, confirmed, held, missed or cancelled."""
    starts_at: datetime
    time_zone: str
    """Of the wall clock that was agreed on."""
    minutes: int
    format: str
    place: str | None
    uid: str
    sequence: int
    created_at: datetime
    changed_at: datetime
    """When the last change was written down; calendar programs ask for it."""
    former_ids: tuple[UUID, ...] = ()
    """Contacts who dropped out since this time was agreed on."""

    def forgetting(self, contact_id: UUID, at: datetime) -> AppointmentRow:
        """The sequence rises: calendar programs are to take over that place and name are gone."""
        if contact_id not in (*self.contact_ids, *self.former_ids):
            return self
        return replace(self, place=None, sequence=self.sequence + 1, changed_at=at)


def _scheduled(row: AppointmentRow | None, e: Recorded[interview.Scheduled]) -> AppointmentRow:
    """The first time agreed on, or another after that fell through: the calendar entry stays one and the same."""
    data = e.data
    return AppointmentRow(
        interview_id=e.stream_id,
        seeker_id=data.seeker_id,
        contact_ids=data.contact_ids,
        status="scheduled",
        starts_at=data.starts_at,
        time_zone=data.time_zone,
        minutes=data.minutes,
        format=data.format,
        place=data.place,
        uid=f"{e.stream_id}@kithlog",
        sequence=0 if row is None else row.sequence + 1,
        created_at=e.recorded_at if row is None else row.created_at,
        changed_at=e.recorded_at,
    )


def _to(status: str, rise: int = 0) -> Callable[[AppointmentRow | None, Recorded[Any]], AppointmentRow | None]:
    def fold(row: AppointmentRow | None, e: Recorded[Any]) -> AppointmentRow | None:
        if row is None:
            return None
        return replace(row, status=status, sequence=row.sequence + rise, changed_at=e.recorded_at)

    return fold


def _dropped_out(row: AppointmentRow | None, e: Recorded[interview.DroppedOut]) -> AppointmentRow | None:
    if row is None:
        return None
    return replace(
        row,
        contact_ids=interview.without(row.contact_ids, e.data),
        former_ids=(*row.former_ids, *e.data.dropped_ids),
        sequence=row.sequence + 1,
        changed_at=e.recorded_at,
    )


def _held(row: AppointmentRow | None, e: Recorded[interview.Held]) -> AppointmentRow | None:
    """One that fell through stays so: they talked in another way."""
    return row if row is None or row.status in {"cancelled", "missed"} else _to("held")(row, e)


FOLDS: dict[type[Event], Callable[[AppointmentRow | None, Recorded[Any]], AppointmentRow | None]] = {
    interview.Scheduled: _scheduled,
    interview.Rescheduled: _scheduled,
    interview.Confirmed: _to("confirmed"),
    interview.Cancelled: _to("cancelled", rise=1),
    interview.DroppedOut: _dropped_out,
    interview.Held: _held,
    interview.Missed: _to("missed"),
}


class Agenda(ReadModel[AppointmentRow]):
    name = "agenda"
    version = 4
    folds = FOLDS.keys()
    row = AppointmentRow

    def keys(self, e: Recorded[Event]) -> Iterable[str]:
        return (str(e.stream_id),) if type(e.data) in FOLDS else ()

    def evolve(self, key: str, row: AppointmentRow | None, e: Recorded[Event]) -> AppointmentRow | None:
        return FOLDS[type(e.data)](row, e)

    def file(self, row: AppointmentRow) -> Filed:
        return Filed(owner=row.seeker_id, state=row.status, sort=row.starts_at)
