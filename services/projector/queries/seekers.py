"""Queries about one seeker that are not plain listings: the seeker, the notebook."""

from __future__ import annotations

import json
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
    widen,
)
from services.projector.queries.asking import Look, NotebookAsk, TenantPath
from services.projector.queries.items import NotebookItem, notebook_item
from services.projector.queries.languages import search_language
from shared.domain.seeker import Preferences
from shared.domain.values import Hours, TimeOfDay
from shared.immutable import immutable
from shared.timing.calendar import work_week
from shared.timing.policies import Policies


@immutable(kw_only=True)
class InForce:
    """How a seeker is notified: as they have set it, else as the tenant has it."""

    quiet_hours: Hours | None
    waking_hours: Hours
    working_days: tuple[int, ...]
    """ISO weekdays, Monday being 1; public holidays are none."""
    digest: bool
    digest_at: TimeOfDay
    """When the digest of the day is put together."""
    cap_per_day: int
    """Notifications in one local day."""
    muted: tuple[str, ...]
    left_aside: list[str]
    """What of the overrides does not hold, since it does not go with what the tenant has by now."""


@immutable(kw_only=True)
class SeekerItem(SeekerRow):
    in_force: InForce


def _in_force(wish: Preferences, tenant: str, policies: Policies) -> InForce:
    overrides = wish.overrides or {}
    limits = policies.of(tenant, json.dumps(overrides, sort_keys=True)).limits
    start, end = limits.waking_hours
    return InForce(
        quiet_hours=wish.quiet_hours,
        waking_hours=wish.waking_hours or Hours(start=start, end=end),
        working_days=tuple(sorted(work_week(wish.working_days or (), None).weekdays)),
        digest=bool(wish.digest),
        digest_at=limits.digest_at,
        cap_per_day=limits.cap_per_day,
        muted=wish.muted or (),
        left_aside=policies.of(tenant).problems(overrides),
    )


def add_seeker_queries(router: APIRouter, desk: Desk, policies: Policies) -> None:
    """All refuse an unknown seeker with 404 `unknown_seeker`."""

    @router.get("/seekers/{seeker_id}", response_model=One[SeekerItem], summary="A seeker")
    async def seeker(tenant: TenantPath, seeker_id: UUID, ask: Annotated[Look, Query()]) -> Response:
        """With what they prefer, as they have set it and as it is in force. `muted` and `overrides` are complete: to
        change one thing, send them back with it to `seeker.change_preferences`."""
        reader = await desk.reader(ask)
        position = await reader.position()
        row = await require_seeker(reader, tenant, seeker_id)
        item = widen(SeekerItem, row, in_force=_in_force(row.preferences, tenant, policies))
        return json_response(One[SeekerItem], One(item, position))

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
