"""A query API over real rows: what happened is folded as the projector folds it, into a database of the test's own."""

from __future__ import annotations

import dataclasses
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import datetime
from functools import cache
from typing import Any, TypeVar

import asyncpg
import httpx
import pytest
from fastapi import FastAPI

from services.projector.folding.changes import Changes, Checkpoint
from services.projector.folding.folder import Folder
from services.projector.folding.timing_fold import TimingFold
from services.projector.models import MODELS
from services.projector.queries import create_router
from services.projector.queries.reader import Reader
from services.projector.storing.loading import Loader
from services.projector.storing.store import Store
from shared.database.pool import open_pool
from shared.envelope import Recorded
from shared.operations.health import Health
from shared.operations.metrics import Metrics
from shared.operations.web import create_web_app
from shared.timing.policies import default_policies
from tests.domain.scenario import NOW, SEEKER
from tests.models.history import History

Answer = TypeVar("Answer")
TENANT = "/v1/tenants/tenant"
MINE = f"{TENANT}/seekers/{SEEKER}"


class FixedClock:
    def __init__(self, at: datetime) -> None:
        self.at = at

    def now(self) -> datetime:
        return self.at


class Library:
    """The read models of one database, and the API that answers from them."""

    def __init__(self, store: Store, reader: Reader, client: httpx.AsyncClient) -> None:
        self.reader, self.client = reader, client
        self._store, self._folder = store, Folder(MODELS, TimingFold(default_policies()))
        self._checkpoint = Checkpoint(0, 1)

    async def fold(self, history: History) -> int:
        """Fold what is new in the history; answers the position reached."""
        self._checkpoint = await self._store.begin()
        new = history.stored()[self._checkpoint.position :]
        plan = self._folder.plan(new, set())
        rows = await Loader(self._store, self._folder).gather(plan, Changes())
        changes = self._folder.fold(plan, rows)
        assert not changes.parked
        await self._store.apply(self._checkpoint, plan.position, changes)
        return plan.position

    async def record(self, history: History) -> None:
        """Put the history into the log, for queries that fold it afresh."""
        rows = [tuple(getattr(event, field.name) for field in dataclasses.fields(event)) for event in history.stored()]
        columns = [field.name for field in dataclasses.fields(Recorded)]
        async with self.reader.pool.acquire() as connection, connection.transaction():
            await connection.copy_records_to_table("event", schema_name="log", columns=columns, records=rows)
            await connection.execute("UPDATE log.head SET position = $1", len(rows))

    async def get(self, path: str, status: int = 200, **query: Any) -> Any:
        """The answer's JSON, after checking its status."""
        response = await self.client.get(path, params=query)
        assert response.status_code == status, response.text
        return response.json()

    async def text(self, path: str) -> httpx.Response:
        response = await self.client.get(path)
        assert response.status_code == 200, response.text
        return response


@asynccontextmanager
async def _nothing(app: FastAPI) -> AsyncIterator[None]:
    yield


class Served:
    """The web app around the queries, as the projector has it."""

    def __init__(self, patience: float) -> None:
        self.reader: Callable[[], Reader]
        self.app = create_web_app(
            title="Queries", description="", version="0", health=Health(), metrics=Metrics(), lifespan=_nothing
        )
        router = create_router(
            lambda: self.reader(), clock=FixedClock(NOW), policies=default_policies(), patience=patience
        )
        self.app.include_router(router)


@cache
def served(patience: float) -> Served:
    """Kept, since building it takes longer than a test."""
    return Served(patience)


@asynccontextmanager
async def serving(reader: Callable[[], Reader], *, patience: float = 0.01) -> AsyncIterator[httpx.AsyncClient]:
    """A client of queries that are answered from `reader()`."""
    site = served(patience)
    site.reader = reader
    async with httpx.AsyncClient(transport=httpx.ASGITransport(site.app), base_url="http://test") as client:
        yield client


@cache
def folder() -> Folder:
    return Folder(MODELS, TimingFold(default_policies()))


@asynccontextmanager
async def library_of(database_url: str) -> AsyncIterator[Library]:
    # What is folded here is made up, and is in no log: nothing is folded beyond the log's end.
    owner = await asyncpg.connect(database_url)
    await owner.execute("UPDATE log.head SET position = 1000000")
    await owner.close()
    pool = await open_pool(database_url)
    reader = Reader(pool)
    try:
        async with (
            Store.open(database_url, folder().models) as store,
            serving(lambda: reader) as client,
        ):
            yield Library(store, reader, client)
    finally:
        await pool.close()


@pytest.fixture
async def library(database_url: str) -> AsyncIterator[Library]:
    async with library_of(database_url) as opened:
        yield opened
