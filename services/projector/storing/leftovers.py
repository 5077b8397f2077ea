"""What a killed rebuild or verification has left beside what is live.

The next rebuild goes on with it, or removes it. It may hold rows that tell of a contact who is forgotten meanwhile, and
nobody may ever fold it on to there: so a projector marks it then, and drops what is marked once nobody is at work.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

import asyncpg

from shared.database.queries import load_queries

if TYPE_CHECKING:
    Connection = asyncpg.Connection[asyncpg.Record]

QUERIES = load_queries("services.projector.storing", "leftovers.sql")


async def mark_unfinished(connection: Connection) -> None:
    """Whatever is unfinished holds rows that should not be. One by one: whoever is at work on several locks them at
    once, in an order of its own. Raises what asyncpg raises while PostgreSQL is away."""
    for row in await connection.fetch(QUERIES["unfinished"]):
        await connection.execute(QUERIES["mark_unfinished"], row["id"])


async def drop_marked(connection: Connection) -> bool:
    """Drop the unfinished generations that are marked; False: some are left, for somebody is at work or reads.

    Raises what asyncpg raises while PostgreSQL is away.
    """
    if not await connection.fetchval(QUERIES["take_turn"]):
        return False
    try:
        return not await drop(connection, [row["id"] for row in await connection.fetch(QUERIES["marked"])])
    finally:
        await connection.execute(QUERIES["end_turn"])


async def drop(connection: Connection, ids: Sequence[int]) -> list[int]:
    """Remove generations that are not live; answers those that are still there, for somebody held them up.

    Dropping a partition holds up all readers for a moment; so it must not wait long for one of them itself, and all are
    dropped in one such moment.
    """
    left = list(ids)
    if not left:
        return left
    with suppress(asyncpg.LockNotAvailableError):
        async with connection.transaction():
            await connection.execute(QUERIES["claim_rows"])
            left = [id for id in ids if not await _dropped(connection, id)]
    return left


async def _dropped(connection: Connection, id: int) -> bool:
    with suppress(asyncpg.LockNotAvailableError):
        async with connection.transaction():
            await connection.execute(QUERIES["drop_generation"], id)
        return True
    return False
