"""The operators' way into PostgreSQL: one connection in the services' role, and the record of what was done."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

from services.cli.settings import OperatorSettings
from shared.database.pool import UNAVAILABLE, connect
from shared.database.queries import load_queries

QUERIES = load_queries("services.cli", "log.sql")


@asynccontextmanager
async def database(settings: OperatorSettings) -> AsyncIterator[Any]:
    """Asked once and not waited for: who sits at a terminal wants to know. Raises what asyncpg raises."""
    connection = await connect(settings.database_url, server_settings={"application_name": "kithlog cli"})
    try:
        yield connection
    finally:
        with suppress(*UNAVAILABLE):
            await connection.close(timeout=2)


async def record(
    connection: Any, settings: OperatorSettings, verb: str, subject: str, *, why: str | None = None, **details: Any
) -> None:
    """Write down what is done, in the transaction that does it where there is one."""
    await connection.execute(
        QUERIES["record"], settings.who, verb, subject, why, json.dumps(details, default=str, ensure_ascii=False)
    )
