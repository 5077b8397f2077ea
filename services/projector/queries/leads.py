"""A query about one lead: what it is, and how it stands."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query, Response

from services.projector.models import LEADS
from services.projector.queries.answering import Desk, One, People, json_response, unknown
from services.projector.queries.asking import Look, TenantPath
from services.projector.queries.items import LeadItem, lead_item


def add_lead_queries(router: APIRouter, desk: Desk) -> None:
    @router.get("/leads/{lead_id}", response_model=One[LeadItem], summary="A lead")
    async def lead(tenant: TenantPath, lead_id: UUID, ask: Annotated[Look, Query()]) -> Response:
        """As the leads board shows it."""
        reader = await desk.reader(ask)
        found = await reader.get(LEADS.name, tenant, str(lead_id))
        if found.body is None:
            raise unknown("lead", lead_id)
        row = LEADS.decode(found.body)
        people = await People.of(reader, tenant, (row.contact_id, row.new_contact_id))
        return json_response(One[LeadItem], One(lead_item(row, people), found.position))
