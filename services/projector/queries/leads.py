"""A query about one lead: what it is, and how it stands."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query, Response

from services.projector.models import LEADS
from services.projector.queries.answering import Desk, One, People, json_response, require
from services.projector.queries.asking import Look, TenantPath
from services.projector.queries.items import LeadItem, lead_item


def add_lead_queries(router: APIRouter, desk: Desk) -> None:
    @router.get("/leads/{lead_id}", response_model=One[LeadItem], summary="A lead")
    async def lead(tenant: TenantPath, lead_id: UUID, ask: Annotated[Look, Query()]) -> Response:
        """As the leads board shows it."""
        reader = await desk.reader(ask)
        found = await require(reader, LEADS, tenant, "lead", lead_id)
        people = await People.of(reader, tenant, (found.item.contact_id, found.item.new_contact_id))
        return json_response(One[LeadItem], One(lead_item(found.item, people), found.position))
