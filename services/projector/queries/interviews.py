"""Queries about one interview: how it stands, and its preparation sheet."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query, Response
from fastapi.responses import HTMLResponse

from services.projector.models import PIPELINE, PREPARATION, SEEKERS
from services.projector.queries import sheet as sheets
from services.projector.queries.answering import Desk, One, People, json_response, require, widen
from services.projector.queries.asking import Look, TenantPath
from services.projector.queries.items import PipelineItem, as_of_now, pipeline_item
from services.projector.queries.sheet import Sheet
from shared.clock import Clock

SAFE = {
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'",
    "X-Content-Type-Options": "nosniff",
}
"""A page that people wrote into may run and load nothing."""


class MarkdownResponse(Response):
    media_type = "text/markdown"


def add_interview_queries(router: APIRouter, desk: Desk, clock: Clock) -> None:
    """All refuse an unknown interview with 404 `unknown_interview`."""

    @router.get("/interviews/{interview_id}", response_model=One[PipelineItem], summary="An interview")
    async def interview(tenant: TenantPath, interview_id: UUID, ask: Annotated[Look, Query()]) -> Response:
        """Where it stands and the next polite move."""
        reader = await desk.reader(ask)
        found = await require(reader, PIPELINE, tenant, "interview", interview_id)
        row = as_of_now(found.item, clock.now())
        people = await People.of(reader, tenant, row.contact_ids)
        return json_response(One[PipelineItem], One(pipeline_item(row, people), found.position))

    async def find(tenant: str, interview_id: UUID, ask: Look) -> One[Sheet]:
        reader = await desk.reader(ask)
        found = await require(reader, PREPARATION, tenant, "interview", interview_id)
        row = found.item
        people = await People.of(reader, tenant, row.contact_ids)
        about = await reader.get(SEEKERS.name, tenant, str(row.seeker_id))
        seeker = None if about.body is None else SEEKERS.decode(about.body)
        sheet = widen(
            Sheet,
            row,
            contacts=people.all(row.contact_ids),
            seeker=seeker.name if seeker else "",
            introduction=seeker.introduction if seeker else None,
        )
        return One(sheet, found.position)

    @router.get(
        "/interviews/{interview_id}/preparation", response_model=One[Sheet], summary="The preparation sheet as data"
    )
    async def preparation(tenant: TenantPath, interview_id: UUID, ask: Annotated[Look, Query()]) -> Response:
        """Person, company, objectives, questions in order and in reserve, the seeker's introduction."""
        return json_response(One[Sheet], await find(tenant, interview_id, ask))

    @router.get(
        "/interviews/{interview_id}/preparation.html",
        response_class=HTMLResponse,
        summary="The preparation sheet to print",
    )
    async def preparation_html(tenant: TenantPath, interview_id: UUID, ask: Annotated[Look, Query()]) -> Response:
        sheet = await find(tenant, interview_id, ask)
        return HTMLResponse(sheets.to_html(sheet.item), headers=SAFE)

    @router.get(
        "/interviews/{interview_id}/preparation.md",
        response_class=MarkdownResponse,
        summary="The preparation sheet as Markdown",
    )
    async def preparation_markdown(tenant: TenantPath, interview_id: UUID, ask: Annotated[Look, Query()]) -> Response:
        sheet = await find(tenant, interview_id, ask)
        return MarkdownResponse(sheets.to_markdown(sheet.item))
