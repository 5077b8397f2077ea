"""Who is to be left in peace: what timing must know of a contact, folded from the contact's events."""

from __future__ import annotations

from typing import Final
from uuid import UUID

from shared.domain import contact
from shared.domain.kernel import Event
from shared.envelope import Recorded
from shared.immutable import immutable

_CLOSING: tuple[type[Event], ...] = (contact.AskedNotToBeContacted, contact.Forgotten)
WISHES: Final[frozenset[type[Event]]] = frozenset({*_CLOSING, contact.HoursOffered})
"""Events after which a contact is to be left in peace, or may be asked again."""


@immutable
class Closed:
    """A contact who is to be left in peace. Of one who may be asked there is nothing to know."""

    id: UUID


def wishing_contact(e: Recorded[Event]) -> UUID | None:
    """The contact who is to be left in peace from this event on, or may be asked again: all subjects with them among
    their `people` change."""
    return e.stream_id if type(e.data) in WISHES else None


def evolve_contact(closed: Closed | None, e: Recorded[Event]) -> Closed | None:
    """Fold one event of a `wishing_contact`; unchanged is the same object."""
    if type(e.data) not in _CLOSING:
        return None
    return closed or Closed(e.stream_id)
