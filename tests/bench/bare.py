"""The least that a durable write over HTTP can be with the same tools: one route, one insert, one answer."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import UUID

import asyncpg
from fastapi import FastAPI, Request

from tests.bench.pgbench import TABLE


def create_app() -> FastAPI:
    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with asyncpg.create_pool(os.environ["KITHLOG_DATABASE_URL"], min_size=10, max_size=10) as pool:
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
