"""What timing knows, kept as rows beside the read models', for the projector alone: subjects, recipients, contacts, and
the links to them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final, Literal
from uuid import UUID

from services.projector.folding.changes import RowId
from services.projector.folding.read_model import Filed, StoredRows
from shared.domain.kernel import Event
from shared.envelope import Recorded
from shared.immutable import immutable
from shared.timing.contact import Closed, wishing_contact
from shared.timing.recipient import Recipient, recipients
from shared.timing.routing import subjects
from shared.timing.subject import Subject

TIMING: Final = "timing"
"""The timers and their facts, where a read model is named."""
SUBJECT: Final = "timing_subject"
RECIPIENT: Final = "timing_recipient"
CONTACT: Final = "timing_contact"
LINK: Final = "timing_link"


class Subjects(StoredRows[Subject]):
    """What is armed for an interview, a relationship, a lead, a seeker; by its id, owned by the seeker."""

    name = SUBJECT
    version = 19
    row = Subject

    def file(self, row: Subject) -> Filed:
        return Filed(owner=row.seeker_id)


class Recipients(StoredRows[Recipient]):
    """Zone, hours and wishes of a seeker; by the seeker's id."""

    name = RECIPIENT
    version = 4
    row = Recipient

    def file(self, row: Recipient) -> Filed:
        return Filed()


class Contacts(StoredRows[Closed]):
    """Those who are to be left in peace, by their id: what begins with them must know."""

    name = CONTACT
    version = 1
    row = Closed

    def file(self, row: Closed) -> Filed:
        return Filed()


@immutable
class Link:
    """From a contact to a subject that they take part in or are asked for, or from a programme to a recipient who is
    enrolled.

    Some events concern everything about a contact or a programme, and name only that.
    """

    source_id: UUID
    model: Literal["timing_subject", "timing_recipient"]
    key: str

    def id(self, tenant: str) -> RowId:
        return (LINK, tenant, f"{self.source_id}/{self.key}")

    def target(self, tenant: str) -> RowId:
        return (self.model, tenant, self.key)


class Links(StoredRows[Link]):
    """Made when a subject or an enrolment begins or a connector is asked, and never unmade: following one in vain does
    no harm."""

    name = LINK
    version = 3
    row = Link
    entries = True

    def file(self, row: Link) -> Filed:
        return Filed(owner=row.source_id)


OF_TIMING: Final[Mapping[str, StoredRows[Any]]] = {
    rows.name: rows for rows in (Subjects(), Recipients(), Contacts(), Links())
}


def rebuilt_as(model: str) -> str:
    """The name by which operators rebuild a model: those of timing, which nobody can have singly, go by one."""
    return TIMING if model in OF_TIMING else model


def touched(e: Recorded[Event]) -> Iterator[RowId]:
    """The rows that an event may touch, as far as it says itself, without links."""
    yield from ((SUBJECT, e.tenant, str(id)) for id in subjects(e))
    yield from ((RECIPIENT, e.tenant, str(id)) for id in recipients(e))
    if (contact := wishing_contact(e)) is not None:
        yield CONTACT, e.tenant, str(contact)
