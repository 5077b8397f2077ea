"""Queries about a seeker's network, as data and as pictures."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query, Response

from services.projector.models import LEADS, NETWORK
from services.projector.queries.answering import Desk, One, People, json_response, require_seeker
from services.projector.queries.asking import Look, TenantPath
from services.projector.queries.graph import Graph, graph_of
from services.projector.queries.graph_formats import to_dot, to_graphml
from services.projector.queries.graph_picture import to_svg
from services.projector.queries.interviews import SAFE
from shared.operations.turns import in_turns

MOST_CONTACTS = 2000
MOST_PROMISES = 500


@dataclass(frozen=True, slots=True)
class Drawn:
    graph: Graph
    position: int


def add_network_queries(router: APIRouter, desk: Desk) -> None:
    """All refuse an unknown seeker with 404 `unknown_seeker`."""

    async def find(tenant: str, seeker_id: UUID, ask: Look) -> Drawn:
        reader = await desk.reader(ask)
        seeker = await require_seeker(reader, tenant, seeker_id)
        page = await reader.page(NETWORK.name, tenant, owner=seeker_id, limit=MOST_CONTACTS)
        leads = await reader.page(LEADS.name, tenant, owner=seeker_id, states=["promised"], limit=MOST_PROMISES)
        contacts = [row async for row in in_turns(map(NETWORK.decode, page.bodies))]
        promises = map(LEADS.decode, leads.bodies)
        people = await People.of(reader, tenant, (row.contact_id for row in contacts))
        complete = page.next is None and leads.next is None
        graph = await graph_of(seeker_id, seeker.name, contacts, promises, people, complete=complete)
        return Drawn(graph, page.position)

    @router.get("/seekers/{seeker_id}/network", response_model=One[Graph], summary="The network as nodes and edges")
    async def network(tenant: TenantPath, seeker_id: UUID, ask: Annotated[Look, Query()]) -> Response:
        """Who introduced whom, and how the network grew month by month."""
        drawn = await find(tenant, seeker_id, ask)
        return json_response(One[Graph], One(drawn.graph, drawn.position))

    @router.get(
        "/seekers/{seeker_id}/network.graphml",
        summary="The network as GraphML",
        response_class=Response,
        responses={200: {"content": {"application/graphml+xml": {"schema": {"type": "string"}}}}},
    )
    async def graphml(tenant: TenantPath, seeker_id: UUID, ask: Annotated[Look, Query()]) -> Response:
        drawn = await find(tenant, seeker_id, ask)
        return Response(await _whole(to_graphml(drawn.graph)), media_type="application/graphml+xml")

    @router.get(
        "/seekers/{seeker_id}/network.dot",
        summary="The network for Graphviz",
        response_class=Response,
        responses={200: {"content": {"text/vnd.graphviz": {"schema": {"type": "string"}}}}},
    )
    async def dot(tenant: TenantPath, seeker_id: UUID, ask: Annotated[Look, Query()]) -> Response:
        drawn = await find(tenant, seeker_id, ask)
        return Response(await _whole(to_dot(drawn.graph)), media_type="text/vnd.graphviz; charset=utf-8")

    @router.get(
        "/seekers/{seeker_id}/network.svg",
        summary="The network as a picture",
        response_class=Response,
        responses={200: {"content": {"image/svg+xml": {"schema": {"type": "string"}}}}},
    )
    async def picture(tenant: TenantPath, seeker_id: UUID, ask: Annotated[Look, Query()]) -> Response:
        drawn = await find(tenant, seeker_id, ask)
        return Response(await _whole(to_svg(drawn.graph)), media_type="image/svg+xml", headers=SAFE)


async def _whole(pieces: Iterable[str]) -> str:
    return "".join([piece async for piece in in_turns(pieces)])
