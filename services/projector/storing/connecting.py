"""Connections to write with: what was folded, and what fires."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from shared.database.pool import PATIENCE, connect, persist

if TYPE_CHECKING:
    import asyncpg

    Connection = asyncpg.Connection[asyncpg.Record]

BY_KEYS = {
    # Every statement here finds its rows by keys; planning it again for each page, over all partitions, costs more than
    # it gains, and a plan made while tables were small must not go on going through all rows: be it in a scan, or in
    # a join that begins with them.
    "plan_cache_mode": "force_generic_plan",
    "enable_seqscan": "off",
    "enable_hashjoin": "off",
    "enable_mergejoin": "off",
    "jit": "off",
}


@asynccontextmanager
async def two_connections(database_url: str, settings: Mapping[str, str]) -> AsyncIterator[list[Connection]]:
    """So that one can be read over while the other writes. Keeps trying while PostgreSQL is away."""
    connections: list[Connection] = []
    try:
        for _ in range(2):
            connections.append(
                await persist(
                    "postgresql", lambda: connect(database_url, server_settings=settings, command_timeout=PATIENCE)
                )
            )
        yield connections
    finally:
        for connection in connections:
            connection.terminate()
