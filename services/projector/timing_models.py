"""What timing knows, kept as rows like any read model, for the projector alone: subjects, recipients, contacts, and the
links to them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, Literal
from uuid import UUID

from services.projector.changes import RowId
from services.projector.read_model import Filed, ReadModel
from shared.domain.kernel import Event
from shared.envelope import Recorded
from shared.immutable import immutable
from shared.timing import subject as of_subjects
from shared.timing.contact import Closed, evolve_contact, wishing_contact
from shared.timing.policies import Policies
from shared.timing.recipient import Recipient, evolve_recipient, recipients
from shared.timing.routing import subjects
from shared.timing.subject import Subject

SUBJECT: Final = "timing_subject"
RECIPIENT: Final = "timing_recipient"
CONTACT: Final = "timing_contact"
LINK: Final = "timing_link"
OF_TIMING: Final = (SUBJECT, RECIPIENT, CONTACT, LINK)


class Subjects(ReadModel[Subject]):
    """What is armed for an interview, a relationship, a lead, a seeker; by its id, owned by the seeker."""

    name = SUBJECT
    version = 19
    row = Subject

    def __init__(self, policies: Policies) -> None:
        super().__init__()
        self._policies = policies

    def keys(self, e: Recorded[Event]) -> Iterable[str]:
        return [str(id) for id in subjects(e)]

    def evolve(self, key: str, row: Subject | None, e: Recorded[Event]) -> Subject | None:
        return of_subjects.evolve(UUID(key) if row is None else row.id, row, e, self._policies)

    def file(self, row: Subject) -> Filed:
        return Filed(owner=row.seeker_id)


class Recipients(ReadModel[Recipient]):
    """Zone, hours and wishes of a seeker; by the seeker's id."""

    name = RECIPIENT
    version = 4
    row = Recipient

    def keys(self, e: Recorded[Event]) -> Iterable[str]:
        return [str(id) for id in recipients(e)]

    def evolve(self, key: str, row: Recipient | None, e: Recorded[Event]) -> Recipient | None:
        return evolve_recipient(UUID(key), row, e)

    def file(self, row: Recipient) -> Filed:
        return Filed()


class Contacts(ReadModel[Closed]):
    """Those who are to be left in peace, by their id: what begins with them must know."""

    name = CONTACT
    version = 1
    row = Closed

    def keys(self, e: Recorded[Event]) -> Iterable[str]:
        id = wishing_contact(e)
        return () if id is None else (str(id),)

    def evolve(self, key: str, row: Closed | None, e: Recorded[Event]) -> Closed | None:
        return evolve_contact(row, e)

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

    def target(self, tenant: str) -> RowId:
        return (self.model, tenant, self.key)


class Links(ReadModel[Link]):
    """Made when a subject or an enrolment begins or a connector is asked, and never unmade: following one in vain does
    no harm."""

    name = LINK
    version = 3
    row = Link
    entries = True

    def keys(self, e: Recorded[Event]) -> Iterable[str]:
        return ()

    def evolve(self, key: str, row: Link | None, e: Recorded[Event]) -> Link | None:
        return row

    def file(self, row: Link) -> Filed:
        return Filed(owner=row.source_id)

    @staticmethod
    def id(link: Link, tenant: str) -> RowId:
        return (LINK, tenant, f"{link.source_id}/{link.key}")
