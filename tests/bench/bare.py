"""The least that a durable write over HTTP can be with the same tools: one route, one insert, one answer."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import UUID

import asyncpg
from fastapi import FastAPI, Request

from shared.database.pool import nothing_to_reset
from shared.operations.garbage import spare_collections
from tests.bench.pgbench import TABLE


def create_app() -> FastAPI:
    spare_collections()

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        url = os.environ["KITHLOG_DATABASE_URL"]
        async with asyncpg.create_pool(url, min_size=10, max_size=10, reset=nothing_to_reset) as pool:
            await pool.execute(TABLE)
            app.state.pool = pool
            yield

    app = FastAPI(lifespan=lifespan)

    @app.get("/readyz")
    async def ready() -> None: ...

    @app.post("/things/{id}")
    async def insert(id: UUID, request: Request) -> dict[str, int]:
        sql = "INSERT INTO bench_insert (body) VALUES ($1) RETURNING id"
        return {"position": await request.app.state.pool.fetchval(sql, await request.body())}

    return app
