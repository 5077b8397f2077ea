"""Queries about one seeker that are not plain listings: the seeker, the notebook."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query, Response

from services.projector.models import NOTEBOOK
from services.projector.models.seeker import SeekerRow
from services.projector.queries.answering import (
    Desk,
    One,
    PageOf,
    People,
    json_response,
    page_of,
    require_seeker,
)
from services.projector.queries.asking import Look, NotebookAsk, TenantPath
from services.projector.queries.items import NotebookItem, notebook_item
from services.projector.queries.languages import search_language


def add_seeker_queries(router: APIRouter, desk: Desk) -> None:
    """All refuse an unknown seeker with 404 `unknown_seeker`."""

    @router.get("/seekers/{seeker_id}", response_model=One[SeekerRow], summary="A seeker")
    async def seeker(tenant: TenantPath, seeker_id: UUID, ask: Annotated[Look, Query()]) -> Response:
        reader = await desk.reader(ask)
        position = await reader.position()
        row = await require_seeker(reader, tenant, seeker_id)
        return json_response(One[SeekerRow], One(row, position))

    @router.get(
        "/seekers/{seeker_id}/notebook", response_model=PageOf[NotebookItem], summary="The notebook, latest first"
    )
    async def notebook(tenant: TenantPath, seeker_id: UUID, ask: Annotated[NotebookAsk, Query()]) -> Response:
        """Notes, advice, resources, reflections, what came of leads; `q` searches them in the seeker's language."""
        reader = await desk.reader(ask)
        seeker = await require_seeker(reader, tenant, seeker_id)
        if ask.q is None:
            page = await page_of(reader, NOTEBOOK, tenant, ask, owner=seeker_id, states=ask.kind, descending=True)
        else:
            found = await reader.search_notebook(
                tenant,
                seeker_id,
                ask.q,
                language=search_language(seeker.locale),
                kinds=ask.kind,
                since=ask.since,
                until=ask.until,
                limit=ask.limit,
                after=ask.cursor,
            )
            page = PageOf.read(found, NOTEBOOK.decode)
        people = await People.of(reader, tenant, (each for row in page.items for each in row.contact_ids))
        items = [notebook_item(row, people) for row in page.items]
        return json_response(PageOf[NotebookItem], page.shown(items))
