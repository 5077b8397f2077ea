"""The calendar feed's endpoint: a secret address instead of a login, since calendar programs know no other."""

from __future__ import annotations

import re
from asyncio import to_thread
from hashlib import sha256
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Header, Path, Query, Response

from services.projector.models import AGENDA, SEEKERS
from services.projector.queries.answering import Desk, People
from services.projector.queries.asking import Nothing, TenantPath
from services.projector.queries.calendar_feed import SECRET, calendar, opens
from shared.operations.problems import Problem, ProblemError

MOST_APPOINTMENTS = 1000
_OPAQUE_TAG = re.compile('"[^"]*"')


def add_calendar_queries(router: APIRouter, desk: Desk) -> None:
    @router.get(
        "/seekers/{seeker_id}/calendars/{secret}.ics",
        summary="The agenda for a calendar program to subscribe to",
        response_class=Response,
        responses={200: {"content": {"text/calendar": {"schema": {"type": "string"}}}}},
    )
    async def feed(
        tenant: TenantPath,
        seeker_id: UUID,
        secret: Annotated[str, Path(pattern=SECRET, description="Whose SHA-256 `seeker.open_calendar_feed` named.")],
        ask: Annotated[Nothing, Query()],
        if_none_match: Annotated[str | None, Header()] = None,
    ) -> Response:
        """The latest appointments by start. A wrong or revoked secret and an unknown seeker look the same: 404."""
        # Waits for no position, which no calendar program names: whoever does not know the secret learns nothing.
        reader = await desk.reader()
        found = await reader.get(SEEKERS.name, tenant, str(seeker_id))
        seeker = None if found.body is None else SEEKERS.decode(found.body)
        if seeker is None or not opens(secret, seeker.feed_sha256):
            raise _no_feed()
        page = await reader.page(AGENDA.name, tenant, owner=seeker_id, limit=MOST_APPOINTMENTS, descending=True)
        rows = [AGENDA.decode(body) for body in reversed(page.bodies)]
        people = await People.of(reader, tenant, (each for row in rows for each in row.contact_ids))
        # icalendar writes a calendar in one go, which may take half a second: in a thread, others have their turns.
        body = await to_thread(calendar, seeker.name, seeker.time_zone, rows, people)
        headers = {"ETag": f'"{sha256(body).hexdigest()[:32]}"', "Cache-Control": "private, no-cache"}
        if if_none_match is not None and _has(headers["ETag"], if_none_match):
            return Response(status_code=304, headers=headers)
        return Response(body, headers=headers, media_type="text/calendar; charset=utf-8")


def _has(tag: str, if_none_match: str) -> bool:
    """Whether a caller has what bears the tag: If-None-Match is `*` or a list of tags, in which weak ones (`W/"…"`) are
    as good (RFC 9110, 13.1.2)."""
    return if_none_match.strip() == "*" or tag in _OPAQUE_TAG.findall(if_none_match)


def _no_feed() -> ProblemError:
    return ProblemError(
        Problem(
            404,
            "unknown_feed",
            "there is no calendar feed at this address",
            "open one with seeker.open_calendar_feed, and use the secret whose SHA-256 you gave",
        )
    )
