"""Queries about what lies between a seeker and their contacts: how it stands, and all that passed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query, Response

from services.projector.models import LEADS, RELATIONSHIPS, TIMELINE
from services.projector.models.leads import LeadRow
from services.projector.models.relationship import COOLING, TieRow
from services.projector.models.timeline import EntryRow
from services.projector.queries.answering import (
    Desk,
    PageOf,
    People,
    json_response,
    page_of,
    require_seeker,
    unknown,
)
from services.projector.queries.asking import Filtered, RelationshipState, TenantPath, TimelineAsk
from services.projector.queries.items import RelationshipItem, relationship_item
from services.projector.queries.reader import Reader
from shared.domain.identity import relationship_id
from shared.immutable import immutable
from shared.replacing import replace

KEEP_IN_TOUCH, _ = COOLING


@immutable(kw_only=True)
class TimelinePage(PageOf[EntryRow]):
    relationship: RelationshipItem
    """How it stands between the two."""


async def _items(reader: Reader, tenant: str, rows: Sequence[TieRow]) -> list[RelationshipItem]:
    people = await People.of(reader, tenant, (row.contact_id for row in rows))
    touches = await reader.next_due(tenant, [row.relationship_id for row in rows], KEEP_IN_TOUCH)
    return [relationship_item(row, people, touches.get(row.relationship_id)) for row in rows]


OF_LEADS = {
    "lead.recorded": ("what", "person", "employer"),
    "lead.acted_on": ("what", "person"),
    "lead.came_to_something": ("result",),
    "lead.came_to_nothing": ("result",),
    "lead.dropped": ("result",),
}
"""Type of an entry → what of the leads board it shows."""


async def _with_leads(reader: Reader, tenant: str, entries: Sequence[EntryRow]) -> list[EntryRow]:
    """The entries, those of leads with what the lead is about, as far as that may still be known."""
    keys = {str(each.stream_id) for each in entries if each.type in OF_LEADS}
    leads = {key: LEADS.decode(body) for key, body in (await reader.rows(LEADS.name, tenant, keys)).items()}
    return [_with_lead(each, leads.get(str(each.stream_id))) for each in entries]


def _with_lead(entry: EntryRow, lead: LeadRow | None) -> EntryRow:
    more = {name: getattr(lead, name, None) for name in OF_LEADS.get(entry.type, ())}
    return replace(entry, facts=entry.facts | {name: value for name, value in more.items() if value is not None})


def add_relationship_queries(router: APIRouter, desk: Desk) -> None:
    """All refuse an unknown seeker with 404 `unknown_seeker`."""

    @router.get(
        "/seekers/{seeker_id}/relationships",
        response_model=PageOf[RelationshipItem],
        summary="Relationships, oldest first",
    )
    async def relationships(
        tenant: TenantPath, seeker_id: UUID, ask: Annotated[Filtered[RelationshipState], Query()]
    ) -> Response:
        """How it stands with each contact: warm or cooling, what passed last, when to be in touch next."""
        reader = await desk.reader(ask)
        await require_seeker(reader, tenant, seeker_id)
        page = await page_of(reader, RELATIONSHIPS, tenant, ask, owner=seeker_id, states=ask.state)
        return json_response(PageOf[RelationshipItem], page.shown(await _items(reader, tenant, page.items)))

    @router.get(
        "/seekers/{seeker_id}/timeline/{contact_id}",
        response_model=TimelinePage,
        summary="All that passed between a seeker and a contact, latest first",
    )
    async def timeline(
        tenant: TenantPath, seeker_id: UUID, contact_id: UUID, ask: Annotated[TimelineAsk, Query()]
    ) -> Response:
        """404 `unknown_relationship` while nothing has passed between the two."""
        reader = await desk.reader(ask)
        await require_seeker(reader, tenant, seeker_id)
        between = relationship_id(seeker_id, contact_id)
        page = await page_of(reader, TIMELINE, tenant, ask, owner=between, states=ask.type, descending=True)
        found = await reader.get(RELATIONSHIPS.name, tenant, str(between))
        if found.body is None:
            raise unknown("relationship", between, "contact_id")
        entries = await _with_leads(reader, tenant, page.items)
        [tie] = await _items(reader, tenant, [RELATIONSHIPS.decode(found.body)])
        return json_response(TimelinePage, TimelinePage(entries, page.next, page.position, relationship=tie))
