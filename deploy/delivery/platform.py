"""Kithlog as this service sees it: names and notes to ask for, results to report."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from types import TracebackType
from typing import Any
from uuid import UUID, uuid5

import httpx

from shared.client import Unavailable

_AWAY = {401, 403, 429}
"""Statuses that say nothing of what was asked for: as with 5xx, the service can't be used now."""
_ELSEWHERE = {"unknown_path", "unknown_command", "method_not_allowed"}
"""Codes of problems that say nothing of it either: what was reached is another service, or another release of it."""
_REPORTS = UUID("7f2c4b0a-7a6e-5d0e-8f57-3f3f0d8a4e11")


class NotAnswered(Exception):
    """A query was refused: it is that query which is wrong, and others may be answered."""


class Platform:
    """Use it as an async context manager. Everything raises `Unavailable` while a service is away, and all queries
    `NotAnswered`.
    """

    def __init__(
        self, command_url: str, projector_url: str, *, transport: httpx.AsyncBaseTransport | None = None
    ) -> None:
        self._commands = httpx.AsyncClient(base_url=command_url, timeout=30, transport=transport)
        self._queries = httpx.AsyncClient(base_url=projector_url, timeout=30, transport=transport)

    async def __aenter__(self) -> Platform:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._commands.aclose()
        await self._queries.aclose()

    async def seeker(self, tenant: str, seeker: UUID, position: int) -> dict[str, Any]:
        """As of a position of the log, or later; empty when there is none."""
        return await self._ask(tenant, "seeker", seeker, min_position=position)

    async def contact_names(self, tenant: str, contacts: Sequence[UUID]) -> list[str]:
        """Of those who were not forgotten."""
        found = [await self._ask(tenant, "contact", contact) for contact in contacts]
        return [each["name"] for each in found if each.get("name")]

    async def interview(self, tenant: str, interview: UUID) -> dict[str, Any]:
        return await self._ask(tenant, "interview", interview)

    async def lead(self, tenant: str, lead: UUID) -> dict[str, Any]:
        return await self._ask(tenant, "lead", lead)

    async def noted(self, tenant: str, seeker: UUID, interview: UUID) -> list[dict[str, Any]]:
        """What the seeker noted in that conversation, among the last things they noted, latest first."""
        path = f"/v1/tenants/{tenant}/seekers/{seeker}/notebook"
        page = await self._get(path, "items", "unknown_seeker", kind="notes", limit=100)
        return [each for each in page.get("items", ()) if each["interview_id"] == str(interview)]

    async def address_of_coach(self, tenant: str, coach: UUID) -> str:
        """As the latest of their programmes tells it that does; empty where none does."""
        address, query = "", dict[str, Any](limit=200)
        while True:
            page = await self._get(f"/v1/tenants/{tenant}/programmes", "items", "unknown_programme", **query)
            for each in (each for programme in page.get("items", ()) for each in programme["coaches"]):
                if each["coach_id"] == str(coach):
                    address = each["email"] or address
            if not page.get("next"):
                return address
            query["after"] = page["next"]

    async def report(self, tenant: str, notification: UUID, verb: str, body: dict[str, Any]) -> bool:
        """Whether the command was accepted; refused, the notification has had another end. May be repeated."""
        try:
            answer = await self._commands.post(
                f"/v1/tenants/{tenant}/notifications/{notification}/{verb}",
                headers={"Idempotency-Key": str(uuid5(_REPORTS, f"{tenant} {notification} {verb}"))},
                json=body,
            )
        except httpx.HTTPError as error:
            raise Unavailable(f"the command service is away: {error!r}") from error
        _document(answer, "position")
        return answer.is_success

    async def _ask(self, tenant: str, kind: str, id: UUID, **query: Any) -> dict[str, Any]:
        answer = await self._get(f"/v1/tenants/{tenant}/{kind}s/{id}", "item", f"unknown_{kind}", **query)
        item: dict[str, Any] = answer.get("item", {})
        return item

    async def _get(self, path: str, member: str, absent: str, **query: Any) -> dict[str, Any]:
        """The answer, with that member; empty when the service says, by the code `absent`, that there is nothing."""
        try:
            answer = await self._queries.get(path, params=query)
        except httpx.HTTPError as error:
            raise Unavailable(f"the query service is away: {error!r}") from error
        document = _document(answer, member)
        if answer.is_success:
            return document
        if document["code"] == absent:
            return {}
        raise NotAnswered(_told(answer))


def _document(answer: httpx.Response, member: str) -> dict[str, Any]:
    """What the service says: a document with that member, or a problem with its `code`.

    Raises `Unavailable` for everything else. What stands before a service, or in its place, may answer with any status,
    and knows nothing of what was asked for.
    """
    type, sign = ("application/json", member) if answer.is_success else ("application/problem+json", "code")
    if _content_type(answer) == type and answer.status_code < 500 and answer.status_code not in _AWAY:
        with suppress(ValueError):
            document = answer.json()
            if isinstance(document, dict) and sign in document and document.get("code") not in _ELSEWHERE:
                return document
    raise Unavailable(_told(answer))


def _content_type(answer: httpx.Response) -> str:
    return str(answer.headers.get("content-type", "")).partition(";")[0].strip()


def _told(answer: httpx.Response) -> str:
    return f"{answer.url} answers {answer.status_code}: {answer.text:.200}"
