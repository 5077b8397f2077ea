"""The projector service as a whole: started in any order, asked over HTTP."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID

import httpx
import pytest

from deploy.launcher.infrastructure import Infrastructure
from services.projector.app import create_app
from services.projector.settings import ProjectorSettings
from shared.domain import contact, interview, seeker
from shared.log import Append, Log, Pending
from tests.projector.conftest import PATIENCE, until, write
from tests.projector.histories import START, on

NOWHERE = "127.0.0.1:1"
SEEKER, ANA, MEETING = UUID(int=1), UUID(int=2), UUID(int=3)
WHOSE: dict[str, Any] = {"seeker_id": SEEKER, "contact_ids": (ANA,)}
STORY = [
    on("seeker", SEEKER, seeker.Registered(name="Mona Quist", time_zone="Europe/Berlin")),
    on("contact", ANA, contact.Added(name="Ana Reis", source="referral", seeker_id=SEEKER)),
    on("interview", MEETING, interview.Planned(**WHOSE, purpose="field", about="Art")),
    on("interview", MEETING, interview.RequestSent(**WHOSE, channel="email", minutes=20, intent="To learn.")),
]


@asynccontextmanager
async def served(**settings: Any) -> AsyncIterator[httpx.AsyncClient]:
    app = create_app(ProjectorSettings(**{"poll_interval": 0.02, "wait_limit": PATIENCE} | settings))
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as client,
    ):
        yield client


async def is_ready(client: httpx.AsyncClient) -> bool:
    return (await client.get("/readyz")).status_code == 200


@pytest.fixture
async def client(database_url: str, amqp_url: str) -> AsyncIterator[httpx.AsyncClient]:
    async with served(database_url=database_url, amqp_url=amqp_url) as client:
        await until(lambda: is_ready(client))
        yield client


async def test_it_serves_while_it_waits_for_everything() -> None:
    """Given neither PostgreSQL nor RabbitMQ, then it is alive, not ready, and a query is told to come again."""
    away = {"database_url": f"postgresql://x@{NOWHERE}/x", "amqp_url": f"amqp://x@{NOWHERE}/"}
    async with served(**away) as client:
        assert (await client.get("/healthz")).status_code == 200
        assert (await client.get("/readyz")).status_code == 503
        answer = await client.get(f"/v1/tenants/acme/seekers/{SEEKER}/pipeline")
        assert (answer.status_code, answer.json()["code"]) == (503, "starting")
        assert "kithlog_projector_lag_events" in (await client.get("/metrics")).text


async def test_what_was_appended_is_read(client: httpx.AsyncClient, log: Log) -> None:
    """Given events in the log, when a query names the position that it must have seen, then it sees it."""
    events = await write(log, STORY)
    answer = await client.get(
        f"/v1/tenants/acme/seekers/{SEEKER}/pipeline", params={"min_position": events[-1].position}
    )
    assert answer.status_code == 200
    assert answer.json()["position"] >= len(events)
    [item] = answer.json()["items"]
    assert (item["status"], item["interview_id"]) == ("requested", str(MEETING))
    metrics = (await client.get("/metrics")).text
    assert 'kithlog_folded_events_total{source="page"}' in metrics


async def test_it_answers_and_folds_without_a_broker(log: Log, database_url: str) -> None:
    """Given no RabbitMQ, then events are seen all the same, by looking, and readiness says what is missing."""
    await write(log, STORY)
    async with served(database_url=database_url, amqp_url=f"amqp://x@{NOWHERE}/") as client:
        await until(lambda: is_ready(client))
        answer = await client.get(f"/v1/tenants/acme/seekers/{SEEKER}/pipeline", params={"min_position": 4})
        assert len(answer.json()["items"]) == 1
        checks = (await client.get("/readyz")).json()["checks"]
        assert checks["broker"]["state"] == "degraded"


async def test_postgresql_comes_later(infra: Infrastructure, database_url: str, amqp_url: str) -> None:
    """Given a PostgreSQL that is started only after the service, then the service becomes ready by itself."""
    await asyncio.to_thread(infra.postgres.stop)
    try:
        async with served(database_url=database_url, amqp_url=amqp_url) as client:
            assert not await is_ready(client)
            await asyncio.to_thread(infra.postgres.start)
            await until(lambda: is_ready(client))
    finally:
        await asyncio.to_thread(infra.postgres.start)


async def test_a_fold_that_has_halted_makes_it_unready(client: httpx.AsyncClient, log: Log) -> None:
    """Given an event of an unknown type, then readiness fails and names position and remedy, a metric says so, and
    queries still answer."""
    await write(log, STORY)
    stream = on("contact", UUID(int=9), contact.Added(name="x", source="event")).stream
    id = UUID(int=9)
    strange = Pending(stream, "contact.dreamt", 1, b"{}")
    appended = await log.append(Append("acme", id, [strange], {stream: 0}, START, id, id))
    position = appended.position  # some of the story's reminders may have fired before it

    async def halted() -> bool:
        return not await is_ready(client)

    await until(halted)
    finding = (await client.get("/readyz")).json()["checks"]["folding"]
    assert finding["state"] == "failing"
    assert f"position {position} holds contact.dreamt" in finding["detail"]
    assert 'kithlog_projector_stopped{reason="unknown_event_type"} 1.0' in (await client.get("/metrics")).text
    answer = await client.get(f"/v1/tenants/acme/seekers/{SEEKER}/pipeline")
    assert answer.json()["position"] == position - 1


async def test_a_position_that_is_not_there_yet(database_url: str, amqp_url: str) -> None:
    """Given a position that the log has not come to, then the query waits up to the limit and is told to come again."""
    async with served(database_url=database_url, amqp_url=amqp_url, wait_limit=0.05) as client:
        await until(lambda: is_ready(client))
        answer = await client.get(f"/v1/tenants/acme/seekers/{SEEKER}/pipeline", params={"min_position": 99})
        assert (answer.status_code, answer.json()["code"]) == (503, "not_yet_visible")
        assert answer.headers["Retry-After"]
