"""A caller of the command service, and the few commands that most tests begin with."""

from __future__ import annotations

import json
from typing import Any
from uuid import UUID

import httpx

SEEKER, ANA, INTERVIEW = UUID(int=0x5EE1), UUID(int=0xA1), UUID(int=0x1E1)
REGISTER = {"name": "Mona Quist", "time_zone": "Europe/Lisbon"}
ADD = {"name": "Ana Reis", "source": "alumni_network"}
PLAN = {"seeker_id": str(SEEKER), "contact_ids": [str(ANA)], "purpose": "field", "about": "Marketing"}
REQUEST = {"channel": "email", "minutes": 20, "intent": "I want to learn about your field."}


class Client:
    def __init__(self, http: httpx.AsyncClient) -> None:
        self.http = http

    async def send(
        self,
        what: str,
        id: UUID | str,
        body: Any = None,
        *,
        tenant: str = "acme",
        query: str = "",
        content: bytes | None = None,
        headers: dict[str, str] | None = None,
    ) -> httpx.Response:
        """`send("interviews/send-request", id, {...})`; `content` instead of `body` goes out as it is."""
        category, _, verb = what.partition("/")
        if content is None:
            content = b"" if body is None else json.dumps(body).encode()
        return await self.http.post(
            f"/v1/tenants/{tenant}/{category}/{id}/{verb}{query}",
            content=content,
            headers={"Content-Type": "application/json", **(headers or {})},
        )

    async def given_people(self) -> None:
        """A seeker and a contact, known to the tenant."""
        for response in (
            await self.send("seekers/register", SEEKER, REGISTER),
            await self.send("contacts/add", ANA, ADD),
        ):
            assert response.status_code == 201, response.text

    async def bulk(self, content: bytes) -> list[dict[str, Any]]:
        """The outcomes of an import."""
        response = await self.http.post("/v1/commands/bulk", content=content)
        assert response.status_code == 200, response.text
        return [json.loads(line) for line in response.text.splitlines()]


def problem(response: httpx.Response, status: int, code: str) -> dict[str, Any]:
    """The problem document of an answer, which must be one, with this status and code."""
    assert response.headers["content-type"] == "application/problem+json", response.text
    document: dict[str, Any] = response.json()
    assert (response.status_code, document["status"], document["code"]) == (status, status, code), response.text
    assert document["detail"]
    assert document["remedy"]
    assert document["correlation_id"] == response.headers["x-correlation-id"]
    return document


def message(command: str, id: UUID, data: Any, *, number: int, **others: Any) -> dict[str, Any]:
    """A command message; `number` makes its command id."""
    return {
        "command": command,
        "tenant": "acme",
        "id": str(id),
        "command_id": str(UUID(int=number)),
        "data": data,
        **others,
    }


def ndjson(*messages: Any) -> bytes:
    return b"".join(json.dumps(each).encode() + b"\n" for each in messages)
