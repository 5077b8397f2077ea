"""A log with a few events, the feed of it behind a real server, and its readers."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from functools import cache
from typing import Any
from uuid import UUID, uuid5

import httpx
import pytest
import uvicorn
from fastapi import FastAPI

from services.projector.feed.bell import Bell
from services.projector.feed.endpoint import create_feed_router
from services.projector.feed.feed import Feed
from shared.database.pool import open_pool
from shared.domain.kernel import Stream
from shared.log import Append, Log, Pending
from shared.log.history import History
from shared.operations.health import Health
from shared.operations.metrics import Metrics
from shared.operations.web import create_web_app

IDS = UUID("00000000-0000-4000-8000-0000000c0de0")
NOON = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
PATIENCE = 60.0
"""Seconds after which a test that waits for something gives up: not a measure, a way out."""


def an_id(name: object) -> UUID:
    return uuid5(IDS, str(name))


def an_append(number: int, type: str = "interview.held", tenant: str = "demo", data: bytes = b"{}") -> Append:
    """One event on a stream of its own."""
    stream = Stream(type.partition(".")[0], an_id(f"stream {number}"))
    return Append(
        tenant=tenant,
        command_id=an_id(f"command {number}"),
        events=[Pending(stream, type, 1, data)],
        expected={stream: 0},
        occurred_at=NOON,
        correlation_id=an_id(f"correlation {number}"),
        causation_id=an_id(f"command {number}"),
    )


async def reached(holds: Callable[[], bool]) -> None:
    """Look again until it holds, for what gives no signal."""
    async with asyncio.timeout(PATIENCE):
        while not holds():  # noqa: ASYNC110 - these give no signal
            await asyncio.sleep(0.01)


@pytest.fixture
async def log(database_url: str) -> AsyncIterator[Log]:
    pool = await open_pool(database_url)
    async with Log.open(pool, database_url) as log:
        yield log
    await pool.close()


@pytest.fixture
def append(log: Log) -> Callable[[Sequence[Append]], Awaitable[None]]:
    """Writes them, in their order."""

    async def write(appends: Sequence[Append]) -> None:
        for outcome in await log.append_all(appends):
            assert not isinstance(outcome, Exception), outcome

    return write


class _Server(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Signals are the test runner's."""
        yield


@asynccontextmanager
async def served(app: FastAPI) -> AsyncIterator[str]:
    """The app behind a socket; gives its URL."""
    # Without a logging configuration: uvicorn's own would stay for all tests after this one.
    config = uvicorn.Config(app, host="127.0.0.1", port=0, log_config=None, timeout_graceful_shutdown=1)
    server = _Server(config)
    serving = asyncio.create_task(server.serve())
    await reached(lambda: server.started or serving.done())
    port = server.servers[0].sockets[0].getsockname()[1]
    yield f"http://127.0.0.1:{port}"
    server.should_exit = True
    await serving


class _Light:
    """The feed's endpoint without the rest of its service; built once, since that takes longer than a test."""

    def __init__(self) -> None:
        @asynccontextmanager
        async def nothing(app: FastAPI) -> AsyncIterator[None]:
            yield

        self.feed: Feed
        self.app = create_web_app(
            title="Feed", description="", version="0", health=Health(), metrics=Metrics(), lifespan=nothing
        )
        self.app.include_router(create_feed_router(lambda: self.feed))


light = cache(_Light)


@pytest.fixture
async def feed(database_url: str) -> AsyncIterator[Feed]:
    pool = await open_pool(database_url)
    bell, stop = Bell(database_url), asyncio.Event()
    ringing = asyncio.create_task(bell.run(stop))
    yield Feed(History(pool), bell)
    stop.set()
    await ringing
    await pool.close()


@pytest.fixture
async def feed_url(feed: Feed) -> AsyncIterator[str]:
    light().feed = feed
    async with served(light().app) as url:
        yield url


@pytest.fixture
async def client(feed_url: str) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=feed_url, timeout=PATIENCE, trust_env=False) as client:
        yield client


def failing(error: type[Exception]) -> Callable[..., Any]:
    """What asks PostgreSQL, and is told this."""

    async def fail(*_: Any) -> Any:
        raise error

    return fail


async def get(client: httpx.AsyncClient, **query: Any) -> httpx.Response:
    """A page; it must be one."""
    response = await client.get("/v1/events", params=query)
    assert response.status_code == 200, response.text
    return response
