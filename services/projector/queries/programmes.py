"""Queries about programmes: what there is, who takes part, whom to match them with, and the board."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal
from uuid import UUID

from fastapi import APIRouter, Query, Response

from services.projector.models import LEADS, PARTICIPANTS, PIPELINE, PROGRAMMES, SEEKERS
from services.projector.models.participant import ParticipantRow
from services.projector.models.programme import ProgrammeRow
from services.projector.queries.answering import (
    Desk,
    PageOf,
    json_response,
    page_of,
    require,
    require_seeker,
    unknown,
    widen,
)
from services.projector.queries.asking import CandidatesAsk, Filtered, Look, Paging, TenantPath
from services.projector.queries.board import Board, board_of
from services.projector.queries.candidates import MOST_PARTICIPANTS, Candidates, find_candidates
from services.projector.queries.reader import Reader
from shared.clock import Clock
from shared.immutable import immutable
from shared.operations.turns import in_turns
from shared.replacing import replace

MOST_ROWS = 50_000


@immutable(kw_only=True)
class ParticipantItem(ParticipantRow):
    name: str | None


def coached(row: ParticipantRow, programme: ProgrammeRow) -> ParticipantRow:
    """The participant with their coach, who may have been assigned after they enrolled."""
    if row.coach_id is not None or row.left_at is not None:
        return row
    return replace(row, coach_id=programme.first_coach_id)


@dataclass(frozen=True, slots=True)
class ProgrammeBoard:
    programme: ProgrammeRow
    board: Board
    position: int


async def _require_programme(reader: Reader, tenant: str, programme_id: UUID) -> ProgrammeRow:
    return (await require(reader, PROGRAMMES, tenant, "programme", programme_id)).item


def add_programme_queries(router: APIRouter, desk: Desk, clock: Clock) -> None:
    """Free places are those of the month of the clock's present."""
    _add_programmes(router, desk)
    _add_candidates(router, desk, clock)
    _add_board(router, desk)


def _add_programmes(router: APIRouter, desk: Desk) -> None:
    @router.get("/programmes", response_model=PageOf[ProgrammeRow], summary="Programmes, oldest first")
    async def programmes(tenant: TenantPath, ask: Annotated[Paging, Query()]) -> Response:
        reader = await desk.reader(ask)
        return json_response(PageOf[ProgrammeRow], await page_of(reader, PROGRAMMES, tenant, ask))

    @router.get(
        "/programmes/{programme_id}/participants",
        response_model=PageOf[ParticipantItem],
        summary="Participants by enrolment",
    )
    async def participants(
        tenant: TenantPath, programme_id: UUID, ask: Annotated[Filtered[Literal["enrolled", "left"]], Query()]
    ) -> Response:
        reader = await desk.reader(ask)
        programme = await _require_programme(reader, tenant, programme_id)
        page = await page_of(reader, PARTICIPANTS, tenant, ask, owner=programme_id, states=ask.state)
        found = await reader.rows(SEEKERS.name, tenant, [str(row.seeker_id) for row in page.items])
        names = {key: SEEKERS.decode(body).name for key, body in found.items()}
        items = [
            widen(ParticipantItem, coached(row, programme), name=names.get(str(row.seeker_id))) for row in page.items
        ]
        return json_response(PageOf[ParticipantItem], page.shown(items))


def _add_candidates(router: APIRouter, desk: Desk, clock: Clock) -> None:
    @router.get(
        "/programmes/{programme_id}/participants/{seeker_id}/candidates",
        response_model=Candidates,
        summary="Whom to propose to a participant, best first",
    )
    async def candidates(
        tenant: TenantPath, programme_id: UUID, seeker_id: UUID, ask: Annotated[CandidatesAsk, Query()]
    ) -> Response:
        """Contacts who are willing to be asked, work in a field that the participant aspires to, and have a place left
        this month; without those who were proposed to the participant before. Where the participant names no field,
        those of the programme count.
        """
        reader = await desk.reader(ask)
        programme = await _require_programme(reader, tenant, programme_id)
        found = await reader.get(PARTICIPANTS.name, tenant, f"{programme_id}/{seeker_id}")
        if found.body is None:
            raise unknown("participant", seeker_id, "seeker_id")
        wanted = tuple(ask.field or ()) or (await require_seeker(reader, tenant, seeker_id)).fields or programme.fields
        fit, complete = await find_candidates(reader, tenant, PARTICIPANTS.decode(found.body), wanted, clock.now())
        answer = Candidates(wanted, fit[: ask.limit], len(fit), complete, found.position)
        return json_response(Candidates, answer)


def _add_board(router: APIRouter, desk: Desk) -> None:
    @router.get("/programmes/{programme_id}/board", response_model=ProgrammeBoard, summary="A programme's board")
    async def board(tenant: TenantPath, programme_id: UUID, ask: Annotated[Look, Query()]) -> Response:
        """The funnel from asked to leads acted on, and the times between, over all participants since they first
        enrolled."""
        reader = await desk.reader(ask)
        programme = await _require_programme(reader, tenant, programme_id)
        page = await reader.page(PARTICIPANTS.name, tenant, owner=programme_id, limit=MOST_PARTICIPANTS)
        people = [row async for row in in_turns(map(PARTICIPANTS.decode, page.bodies))]
        owners = [row.seeker_id for row in people]
        interviews = await reader.rows_of_owners(PIPELINE.name, tenant, owners, limit=MOST_ROWS)
        leads = await reader.rows_of_owners(LEADS.name, tenant, owners, limit=MOST_ROWS)
        complete = page.next is None and max(len(interviews), len(leads)) < MOST_ROWS
        rows = map(PIPELINE.decode, interviews), map(LEADS.decode, leads)
        answer = await board_of(people, *rows, complete=complete)
        return json_response(ProgrammeBoard, ProgrammeBoard(programme, answer, page.position))
