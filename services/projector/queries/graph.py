"""A seeker's network as a graph: the seeker at the root, contacts, promised introductions, and who led to whom."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import accumulate
from typing import Literal
from uuid import UUID

from services.projector.models.leads import LeadRow
from services.projector.models.network import NodeRow
from services.projector.queries.answering import People
from shared.operations.turns import in_turns

Kind = Literal["seeker", "contact", "promise"]


@dataclass(frozen=True, slots=True)
class Node:
    id: UUID
    """Of the seeker, of the contact, or of the lead that is the promise."""
    kind: Kind
    """A promise is somebody whom a contact said to introduce and has not yet."""
    label: str
    joined_at: datetime | None
    """When they came into the network; null for the seeker."""
    source: str | None = None
    """How the contact came to be known, where nobody of the network introduced them."""
    hops: int = 0
    """Introductions between the seeker and them; 1: known without any."""
    conversations: int = 0


@dataclass(frozen=True, slots=True)
class Edge:
    source: UUID
    target: UUID
    kind: Literal["knows", "introduced", "promised"]


@dataclass(frozen=True, slots=True)
class Growth:
    month: str
    """Such as 2026-11."""
    joined: int
    total: int


@dataclass(frozen=True, slots=True)
class Graph:
    nodes: list[Node]
    """The seeker first, then in the order of joining."""
    edges: list[Edge]
    growth: list[Growth]
    """Months in which somebody joined, promises not counted."""
    complete: bool
    """Whether the network is shown whole; one of thousands is cut off at the latest."""


async def graph_of(
    seeker_id: UUID,
    name: str,
    contacts: Sequence[NodeRow],
    promises: Iterable[LeadRow],
    people: People,
    *,
    complete: bool = True,
) -> Graph:
    """`contacts` in the order of joining."""
    known = {row.contact_id for row in contacts}
    led_by = {row.contact_id: [each for each in row.introducers if each in known] for row in contacts}
    hops = _hops(led_by)
    nodes = [Node(seeker_id, "seeker", name, None)]
    edges: list[Edge] = []
    async for row in in_turns(contacts):
        introducers = led_by[row.contact_id]
        source = None if introducers else (row.source_detail or row.connector or row.source)
        label = people(row.contact_id).name or "a contact"
        nodes.append(
            Node(row.contact_id, "contact", label, row.joined_at, source, hops[row.contact_id], row.conversations)
        )
        edges += [Edge(each, row.contact_id, "introduced") for each in introducers]
        if not introducers:
            edges.append(Edge(seeker_id, row.contact_id, "knows"))
    async for lead in in_turns(promises):
        if lead.contact_id in known:
            label = lead.person or lead.what
            hop = hops[lead.contact_id] + 1
            nodes.append(Node(lead.lead_id, "promise", label, lead.recorded_at, hops=hop))
            edges.append(Edge(lead.contact_id, lead.lead_id, "promised"))
    return Graph(nodes, edges, _growth(contacts), complete)


def _hops(led_by: Mapping[UUID, Sequence[UUID]]) -> dict[UUID, int]:
    """How many steps from the seeker each contact is, by the shortest way.

    Where people introduced each other in a circle, the first of them to join counts as known without introduction.
    """
    leads_to: dict[UUID, list[UUID]] = {contact: [] for contact in led_by}
    for contact, introducers in led_by.items():
        for each in introducers:
            leads_to[each].append(contact)
    hops: dict[UUID, int] = {}
    for first in ([contact for contact, introducers in led_by.items() if not introducers], *([c] for c in led_by)):
        ring, distance = [each for each in first if each not in hops], 1
        while ring:
            hops |= dict.fromkeys(ring, distance)
            ring = list(dict.fromkeys(each for one in ring for each in leads_to[one] if each not in hops))
            distance += 1
    return hops


def _growth(contacts: Iterable[NodeRow]) -> list[Growth]:
    months = Counter(f"{row.joined_at.astimezone(UTC):%Y-%m}" for row in contacts)
    in_order = sorted(months.items())
    totals = accumulate(joined for _, joined in in_order)
    return [Growth(month, joined, total) for (month, joined), total in zip(in_order, totals, strict=True)]
