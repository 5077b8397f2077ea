"""Queries about contacts across all seekers of a tenant: who they are, and what is asked of them."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query, Response

from services.projector.models import CONTACT_LOAD, CONTACTS
from services.projector.models.contact import ContactRow
from services.projector.models.contact_load import LoadRow
from services.projector.queries.answering import Desk, One, PageOf, json_response, page_of, require, widen
from services.projector.queries.asking import LoadAsk, Look, TenantPath
from services.projector.queries.reader import Reader
from shared.domain.contact import places_left
from shared.immutable import immutable


@immutable(kw_only=True)
class LoadItem(LoadRow):
    name: str | None
    capacity: int | None
    """Places a month, as of today; null: not limited."""
    free: int | None
    """Places left in the month, by today's capacity."""


async def _loads(reader: Reader, tenant: str, ask: LoadAsk, contact_id: UUID | None = None) -> Response:
    page = await page_of(reader, CONTACT_LOAD, tenant, ask, owner=contact_id, descending=True)
    found = await reader.rows(CONTACTS.name, tenant, {str(row.contact_id) for row in page.items})
    contacts = {key: CONTACTS.decode(body) for key, body in found.items()}
    items = [_item(row, contacts.get(str(row.contact_id))) for row in page.items]
    return json_response(PageOf[LoadItem], page.shown(items))


def _item(row: LoadRow, contact: ContactRow | None) -> LoadItem:
    capacity = contact.capacity if contact else None
    free = places_left(capacity, row.places)
    return widen(LoadItem, row, name=contact.name if contact else None, capacity=capacity, free=free)


def add_contact_queries(router: APIRouter, desk: Desk) -> None:
    @router.get("/contacts/{contact_id}", response_model=One[ContactRow], summary="A contact")
    async def contact(tenant: TenantPath, contact_id: UUID, ask: Annotated[Look, Query()]) -> Response:
        reader = await desk.reader(ask)
        return json_response(One[ContactRow], await require(reader, CONTACTS, tenant, "contact", contact_id))

    @router.get(
        "/contacts/{contact_id}/load", response_model=PageOf[LoadItem], summary="A contact's load, latest month first"
    )
    async def load(tenant: TenantPath, contact_id: UUID, ask: Annotated[LoadAsk, Query()]) -> Response:
        """Requests, follow-ups, moved appointments and no-shows of all seekers, month by month, against capacity."""
        reader = await desk.reader(ask)
        await require(reader, CONTACTS, tenant, "contact", contact_id)
        return await _loads(reader, tenant, ask, contact_id)

    @router.get("/contact-load", response_model=PageOf[LoadItem], summary="Every contact's load, latest month first")
    async def loads(tenant: TenantPath, ask: Annotated[LoadAsk, Query()]) -> Response:
        """All contacts of whom something was asked; `month` shows one month."""
        return await _loads(await desk.reader(ask), tenant, ask)
