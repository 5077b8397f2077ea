"""Whom an event tells of, and the event without that: for events that are read again after somebody was forgotten."""

from __future__ import annotations

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from typing import Any
from uuid import UUID

from shared.domain.kernel import Event
from shared.domain.personal import erased
from shared.envelope import Recorded


def contacts_of(e: Recorded[Any]) -> tuple[UUID, ...]:
    """The contacts whom an event's fields marked `contact` are about: who introduces has words of their own."""
    if e.category == "contact":
        return (e.stream_id,)
    one: UUID | None = getattr(e.data, "contact_id", None)
    if one is None:
        several: tuple[UUID, ...] = getattr(e.data, "contact_ids", ())
        return several
    connector: UUID | None = getattr(e.data, "connector_id", None)
    return (one,) if connector is None else (one, connector)


def new_contacts_of(e: Recorded[Any]) -> tuple[UUID, ...]:
    """The contacts whom the lead of the event has led to: its fields marked `new_contact` are about them."""
    new = getattr(e.data, "new_contact_id", None)
    return () if new is None else (new,)


def emptied(e: Recorded[Any], forgotten: Mapping[UUID, int], leads: AbstractSet[UUID]) -> Recorded[Event]:
    """The event without what it tells of contacts who are forgotten, `leads` being those that led to them.

    `forgotten` says for each at which position that was. What was written of several after it is about the others; of
    a lead it is about whom that led to whenever it was written.
    """
    data: Event = e.data
    if any(e.position < forgotten.get(each, 0) for each in contacts_of(e)):
        data = erased(data, "contact")
    if e.stream_id in leads:
        data = erased(data, "new_contact")
    return e if data is e.data else e.holding(data)
