"""The queries that page through the rows of one owner: a table, and the endpoint that serves each of its lines."""

# Without postponed annotations: the endpoint's parameter has a type that only the table's line knows.

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Query, Response

from services.projector.folding.read_model import ReadModel
from services.projector.models import AGENDA, CONTACTS, LEADS, NOTIFICATIONS, PIPELINE
from services.projector.models.contact import ContactRow
from services.projector.queries import items
from services.projector.queries.answering import Desk, PageOf, People, json_response, page_of, require_seeker
from services.projector.queries.asking import (
    AgendaState,
    ContactState,
    Filtered,
    LeadState,
    NotificationState,
    PipelineState,
    TenantPath,
)
from shared.clock import Clock


def contacts_of(row: Any) -> Iterable[UUID]:
    contact_ids: tuple[UUID, ...] = row.contact_ids
    return contact_ids


@dataclass(frozen=True, slots=True)
class Listing:
    """One endpoint below `/seekers/{seeker_id}`."""

    path: str
    model: ReadModel[Any]
    states: Any
    """The states that it can be filtered by: a Literal."""
    shape: Any
    item: Callable[[Any, People], Any]
    order: str
    about: str
    mentions: Callable[[Any], Iterable[UUID | None]] = contacts_of
    """The contacts whose names a row needs."""
    descending: bool = False
    now: Callable[[Any, datetime], Any] = lambda row, now: row
    """The row as the present changes it, which no event tells of."""


LISTINGS = (
    Listing(
        "pipeline",
        PIPELINE,
        PipelineState,
        items.PipelineItem,
        items.pipeline_item,
        "latest planned first",
        "Where each interview stands, and the next polite move.",
        descending=True,
        now=items.as_of_now,
    ),
    Listing(
        "agenda",
        AGENDA,
        AgendaState,
        items.AgendaItem,
        items.agenda_item,
        "by start",
        "Conversations that have a start time; `since` now shows what is coming.",
    ),
    Listing(
        "leads",
        LEADS,
        LeadState,
        items.LeadItem,
        items.lead_item,
        "oldest first",
        "Who owes whom what: leads to act on, promised introductions, results to report back.",
        lambda row: (row.contact_id, row.new_contact_id),
    ),
    Listing(
        "contacts",
        CONTACTS,
        ContactState,
        ContactRow,
        lambda row, people: row,
        "oldest first",
        "Those whom the seeker brought in.",
        lambda row: (),
    ),
    Listing(
        "notifications",
        NOTIFICATIONS,
        NotificationState,
        items.NotificationItem,
        items.notification_item,
        "latest first",
        "What was to be told about this seeker's affairs and what became of it, or why nobody was told. What is still "
        "ahead is at `/schedule`.",
        descending=True,
    ),
)


def add_listings(router: APIRouter, desk: Desk, clock: Clock) -> None:
    """The endpoints of the table. All refuse an unknown seeker with 404 `unknown_seeker`."""
    for listing in LISTINGS:
        _add(router, desk, clock, listing)


def _add(router: APIRouter, desk: Desk, clock: Clock, listing: Listing) -> None:
    shape = PageOf[listing.shape]  # type: ignore[name-defined]  # known at run time

    @router.get(
        f"/seekers/{{seeker_id}}/{listing.path}",
        response_model=shape,
        name=listing.path,
        summary=f"{listing.path.capitalize()}, {listing.order}",
        description=listing.about,
    )
    async def page(
        tenant: TenantPath,
        seeker_id: UUID,
        ask: Annotated[Filtered[listing.states], Query()],  # type: ignore[name-defined]  # known at run time
    ) -> Response:
        reader = await desk.reader(ask)
        await require_seeker(reader, tenant, seeker_id)
        found = await page_of(
            reader, listing.model, tenant, ask, owner=seeker_id, states=ask.state, descending=listing.descending
        )
        now = clock.now()
        rows = [listing.now(row, now) for row in found.items]
        people = await People.of(reader, tenant, (each for row in rows for each in listing.mentions(row)))
        return json_response(shape, found.shown([listing.item(row, people) for row in rows]))
