"""The command service in this process, on real PostgreSQL, called over its real ASGI interface."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import asyncpg
import httpx
import pytest
from fastapi import FastAPI

from services.command.app import create_app
from services.command.settings import CommandSettings
from tests.command.client import Client

NOW = datetime(2026, 11, 17, 9, 0, tzinfo=UTC)


class FixedClock:
    def now(self) -> datetime:
        return NOW


def settings(database_url: str, **others: Any) -> CommandSettings:
    """A service without a broker, unless told otherwise."""
    return CommandSettings(**{"database_url": database_url, "relay": False, "intake": False, **others})


@asynccontextmanager
async def serving(app: FastAPI) -> AsyncIterator[Client]:
    """The started app, whether it is ready yet or not."""
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://command") as http,
    ):
        yield Client(http)


@pytest.fixture
async def client(database_url: str) -> AsyncIterator[Client]:
    """A client of a service that accepts commands."""
    app = create_app(settings(database_url), clock=FixedClock())
    async with serving(app) as client:
        await app.state.gate.opened()
        yield client


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[asyncpg.Connection[asyncpg.Record]]:
    connection = await asyncpg.connect(database_url)
    yield connection
    await connection.close()
