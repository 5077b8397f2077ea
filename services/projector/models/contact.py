"""Read model `contact`: who a contact is; one row a contact, by the contact's id.

What identifies the contact stands here and nowhere else among the rows: other models hold ids, and names are joined in
when a query is answered.
"""

from __future__ import annotations

from datetime import datetime
from typing import ClassVar
from uuid import UUID

from services.projector.folding.read_model import Filed
from services.projector.models.per_stream import PerStream
from shared.domain import contact
from shared.envelope import Recorded
from shared.immutable import immutable
from shared.replacing import replace


@immutable
class ContactRow:
    contact_id: UUID
    seeker_id: UUID | None
    """Who brought the contact in; none: the tenant itself."""
    name: str | None
    """None once the contact was forgotten."""
    email: str | None
    phone: str | None
    profile_url: str | None
    employer: str | None
    position: str | None
    fields: tuple[str, ...]
    time_zone: str | None
    source: str
    source_detail: str | None
    introduced_by: tuple[UUID, ...]
    """The contacts through whom the seeker came here, nearest first."""
    capacity: int | None
    """Requests a month that are welcome; none: not limited."""
    formats: tuple[str, ...]
    """Preferred formats, where hours were offered."""
    added_at: datetime
    status: str = "reachable"
    """reachable, do_not_contact or forgotten."""
    hours_offered_at: datetime | None = None
    """When they last offered to be asked; None: they did not, or asked for peace since."""


def _added(e: Recorded[contact.Added]) -> ContactRow:
    data = e.data
    return ContactRow(
        contact_id=e.stream_id,
        seeker_id=data.seeker_id,
        name=data.name,
        email=data.email,
        phone=data.phone,
        profile_url=data.profile_url,
        employer=data.employer,
        position=data.position,
        fields=data.fields or (),
        time_zone=data.time_zone,
        source=data.source,
        source_detail=data.source_detail,
        introduced_by=data.introduced_by,
        capacity=data.capacity,
        formats=(),
        added_at=e.occurred_at,
    )


def _corrected(row: ContactRow, e: Recorded[contact.DetailsCorrected]) -> ContactRow:
    return replace(row, **e.data.changes)


def _hours_offered(row: ContactRow, e: Recorded[contact.HoursOffered]) -> ContactRow:
    return replace(
        row,
        capacity=e.data.capacity,
        formats=e.data.formats,
        status="reachable",
        hours_offered_at=e.occurred_at,
    )


def _capacity_changed(row: ContactRow, e: Recorded[contact.CapacityChanged]) -> ContactRow:
    return replace(row, capacity=e.data.capacity)


def _left_in_peace(row: ContactRow, e: Recorded[contact.AskedNotToBeContacted]) -> ContactRow:
    return replace(row, status="do_not_contact", hours_offered_at=None)


def _forgotten(row: ContactRow, e: Recorded[contact.Forgotten]) -> ContactRow:
    return replace(
        row,
        name=None,
        email=None,
        phone=None,
        profile_url=None,
        employer=None,
        position=None,
        fields=(),
        time_zone=None,
        source_detail=None,
        status="forgotten",
        hours_offered_at=None,
    )


class Contacts(PerStream[ContactRow]):
    name = "contact"
    version = 4
    row = ContactRow
    begins: ClassVar = {contact.Added: _added}
    changes: ClassVar = {
        contact.DetailsCorrected: _corrected,
        contact.HoursOffered: _hours_offered,
        contact.CapacityChanged: _capacity_changed,
        contact.AskedNotToBeContacted: _left_in_peace,
        contact.Forgotten: _forgotten,
    }

    def file(self, row: ContactRow) -> Filed:
        return Filed(owner=row.seeker_id, state=row.status, sort=row.added_at)
