"""A server whose synchronous stand-by is away: what it commits meanwhile, nobody may be told."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg

WRITE = "SELECT pg_logical_emit_message(true, 'test', '')"


@asynccontextmanager
async def stand_by_away(database_url: str) -> AsyncIterator[asyncpg.Connection[asyncpg.Record]]:
    """Meanwhile commits wait, in all databases of the server; yields an owner's connection whose own don't, so that
    others see what it commits, as after a crash they would see what waited. Afterwards none waits any more."""
    owner = await asyncpg.connect(database_url, server_settings={"synchronous_commit": "local"})
    try:
        await owner.execute("ALTER SYSTEM SET synchronous_standby_names = 'away'")
        await _until_commits_wait(database_url, owner)
        yield owner
    finally:
        await owner.execute("ALTER SYSTEM RESET synchronous_standby_names")
        await owner.execute("SELECT pg_reload_conf()")
        # That, too, is heeded some time later: a commit that would wait returns then.
        await owner.execute("SET synchronous_commit = on")
        await owner.execute(WRITE)
        await owner.close()


async def _until_commits_wait(database_url: str, owner: asyncpg.Connection[asyncpg.Record]) -> None:
    """The setting is heeded some time after it was asked for, by a process of the server's own."""
    await owner.execute("SELECT pg_reload_conf()")
    writer = await asyncpg.connect(database_url)
    writing = asyncio.create_task(_write_for_ever(writer))
    while not await owner.fetchval("SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'SyncRep'"):  # noqa: ASYNC110
        await asyncio.sleep(0.01)
    writing.cancel()
    await asyncio.gather(writing, return_exceptions=True)
    writer.terminate()


async def _write_for_ever(writer: asyncpg.Connection[asyncpg.Record]) -> None:
    while True:
        await writer.execute(WRITE)
