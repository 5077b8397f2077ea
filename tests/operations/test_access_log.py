"""What the access log tells, and what it must not."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import pytest
from fastapi import FastAPI
from structlog.testing import capture_logs

from shared.operations.health import Health
from shared.operations.metrics import Metrics
from shared.operations.problems import Problem, ProblemError
from shared.operations.web import create_web_app


@asynccontextmanager
async def _nothing(app: FastAPI) -> AsyncIterator[None]:
    yield


def _app() -> FastAPI:
    return create_web_app(
        title="t", description="d", version="1", health=Health([]), metrics=Metrics(), lifespan=_nothing
    )


@pytest.mark.parametrize(
    ("path", "headers", "status", "shown"),
    [
        ("/calendars/s3cr3t-of-the-feed.ics", {}, 200, "/calendars/….ics"),
        ("/calendars/s3cr3t-of-the-feed.ics/", {}, 307, "/calendars/….ics/"),
        ("/calendars/s3cr3t-of-the-feed", {}, 404, "/calendars/…"),
        ("/calendars/s3cr3t-of-the-feed.ics", {"X-Correlation-Id": "none"}, 400, "/calendars/….ics"),
    ],
)
async def test_a_secret_in_a_path_stays_out_of_the_log(
    path: str, headers: dict[str, str], status: int, shown: str
) -> None:
    """Given a route whose path holds a secret, when it is asked for, be it by a path that is slightly off, or in a way
    that no route comes to see, then the line shows the path without it."""
    app = _app()

    async def calendar(secret: str) -> str:
        return "ok"

    app.add_api_route("/calendars/{secret}.ics", calendar)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as client:
        with capture_logs() as lines:
            answer = await client.get(path, headers=headers)
    assert answer.status_code == status
    assert [line["path"] for line in lines if line["event"] == "answered"] == [shown]
    assert "s3cr3t" not in str(lines)


async def test_a_line_says_whose_it_was_and_why_it_was_refused() -> None:
    """Given a tenant's route, then the line names the tenant, and the problem's code where there is one, not what was
    wrong in detail: that may quote somebody."""
    app = _app()

    async def of_tenant(tenant: str, well: bool) -> str:
        if not well:
            raise ProblemError(Problem(409, "already_exists", "Mona Quist is there already", "choose another"))
        return "ok"

    app.add_api_route("/tenants/{tenant}", of_tenant)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as client:
        with capture_logs() as lines:
            for query in ("?well=true", "?well=false", ""):
                await client.get(f"/tenants/acme{query}")
            await client.get("/nowhere")
    told = [(line["status"], line.get("tenant"), line.get("code")) for line in lines]
    assert told == [
        (200, "acme", None),
        (409, "acme", "already_exists"),
        (422, "acme", "invalid_input"),
        (404, None, "unknown_path"),
    ]
    assert "Mona" not in str(lines)
