"""Read model `network`: whom a seeker came to know, and through whom; one row a contact, by seeker and contact.

A row is a node with the edges that lead to it. The whole is a graph with the seeker at its root.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Any
from uuid import UUID

from services.projector.folding.read_model import Filed, ReadModel, Telling
from shared.domain import contact, interview, lead, relationship
from shared.domain.kernel import Event
from shared.envelope import Recorded
from shared.immutable import immutable
from shared.replacing import replace


@immutable
class NodeRow(Telling):
    seeker_id: UUID
    contact_id: UUID
    joined_at: datetime
    """When the contact came into the seeker's network; does not change any more."""
    source: str | None = None
    """How the contact came to be known, and through which network, association or event."""
    source_detail: str | None = None
    introducers: tuple[UUID, ...] = ()
    """The contacts who introduced this one to the seeker, or gave the lead by which they met; mostly one."""
    connector: str | None = None
    """Who introduced, where that is not a contact."""
    first_held_at: datetime | None = None
    conversations: int = 0

    def forgetting(self, contact_id: UUID, at: datetime) -> NodeRow:
        """Node and edges stay, without a name."""
        if self.contact_id != contact_id or self.source_detail is None:
            return self
        return replace(self, source_detail=None)


def _through(row: NodeRow, introducer: UUID | None) -> NodeRow:
    if introducer is None or introducer == row.contact_id or introducer in row.introducers:
        return row
    return replace(row, introducers=(*row.introducers, introducer))


def _added(row: NodeRow, e: Recorded[contact.Added]) -> NodeRow:
    chain = e.data.introduced_by
    row = replace(row, source=e.data.source, source_detail=e.data.source_detail)
    return _through(row, chain[0] if chain else None)


def _introduced(row: NodeRow, e: Recorded[relationship.IntroductionMade]) -> NodeRow:
    if row.contact_id != e.data.contact_id:
        return row  # who introduced: the seeker knows them
    return _through(replace(row, connector=e.data.connector or row.connector), e.data.connector_id)


def _came_of_lead(row: NodeRow, e: Recorded[lead.CameToSomething]) -> NodeRow:
    return _through(row, e.data.contact_id)


def _joined(row: NodeRow, e: Recorded[Any]) -> NodeRow:
    return row


def _held(row: NodeRow, e: Recorded[interview.Held]) -> NodeRow:
    first = row.first_held_at if row.first_held_at and row.first_held_at <= e.occurred_at else e.occurred_at
    if len(e.data.contact_ids) == 1:  # of several, it does not say which of them the nearest led to
        row = _through(row, next(iter(e.data.introduced_by), None))
    return replace(row, first_held_at=first, conversations=row.conversations + 1)


FOLDS: dict[type[Event], Callable[[NodeRow, Recorded[Any]], NodeRow]] = {
    contact.Added: _added,
    relationship.IntroductionMade: _introduced,
    relationship.Connected: _joined,
    relationship.TouchpointRecorded: _joined,
    lead.Recorded: _joined,
    lead.CameToSomething: _came_of_lead,
    interview.Planned: _joined,
    interview.Held: _held,
}


def _contacts(e: Recorded[Any]) -> tuple[UUID | None, ...]:
    """The contacts that the event adds or concerns."""
    if e.category == "interview":
        contacts: tuple[UUID, ...] = e.data.contact_ids
        return contacts
    match e.data:
        case contact.Added():
            return (e.stream_id,)
        case lead.CameToSomething():
            return (e.data.new_contact_id,)
        case relationship.IntroductionMade():
            return (e.data.contact_id, e.data.connector_id)
        case _:
            return (e.data.contact_id,)


class Network(ReadModel[NodeRow]):
    name = "network"
    version = 4
    folds = FOLDS.keys()
    row = NodeRow

    def keys(self, e: Recorded[Any]) -> Iterable[str]:
        if type(e.data) not in FOLDS or e.data.seeker_id is None:
            return ()
        return [f"{e.data.seeker_id}/{each}" for each in _contacts(e) if each is not None]

    def evolve(self, key: str, row: NodeRow | None, e: Recorded[Any]) -> NodeRow | None:
        if row is None:
            row = NodeRow(e.data.seeker_id, UUID(key.partition("/")[2]), joined_at=e.occurred_at)
        return FOLDS[type(e.data)](row, e)

    def file(self, row: NodeRow) -> Filed:
        return Filed(owner=row.seeker_id, state="met" if row.conversations else "known", sort=row.joined_at)
