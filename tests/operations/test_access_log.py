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
from shared.operations.web import create_web_app


@asynccontextmanager
async def _nothing(app: FastAPI) -> AsyncIterator[None]:
    yield


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
    app = create_web_app(
        title="t", description="d", version="1", health=Health([]), metrics=Metrics(), lifespan=_nothing
    )

    async def calendar(secret: str) -> str:
        return "ok"

    app.add_api_route("/calendars/{secret}.ics", calendar)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as client:
        with capture_logs() as lines:
            answer = await client.get(path, headers=headers)
    assert answer.status_code == status
    assert [line["path"] for line in lines if line["event"] == "answered"] == [shown]
    assert "s3cr3t" not in str(lines)
