"""What the access log tells, and what it must not."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
from fastapi import FastAPI
from structlog.testing import capture_logs

from shared.operations.health import Health
from shared.operations.metrics import Metrics
from shared.operations.web import create_web_app


@asynccontextmanager
async def _nothing(app: FastAPI) -> AsyncIterator[None]:
    yield


async def test_a_secret_in_a_path_stays_out_of_the_log() -> None:
    """Given a route whose path holds a secret, when it is asked for, then the line shows the path without it."""
    app = create_web_app(
        title="t", description="d", version="1", health=Health([]), metrics=Metrics(), lifespan=_nothing
    )

    async def calendar(secret: str) -> str:
        return "ok"

    app.add_api_route("/calendars/{secret}.ics", calendar)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as client:
        with capture_logs() as lines:
            answer = await client.get("/calendars/s3cr3t-of-the-feed.ics")
    assert answer.status_code == 200
    assert [line["path"] for line in lines if line["event"] == "answered"] == ["/calendars/….ics"]
    assert "s3cr3t" not in str(lines)
