"""How long callers wait for a group commit."""

from __future__ import annotations

import asyncio
from typing import Any

import asyncpg
import pytest

from shared.database.pool import connect, open_pool
from shared.log import Appended, Log, LogUnavailable, group_commit
from shared.log.group_commit import GroupCommit
from tests.broker.events import PATIENCE, an_append


async def test_nobody_waits_for_a_server_that_takes_connections_and_says_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Given a server that is frozen, then whoever waits for it is told, also those whose patience ends before it is
    their turn."""
    asked = asyncio.Event()

    async def frozen(url: str, **options: Any) -> None:
        asked.set()
        await asyncio.Event().wait()

    monkeypatch.setattr(group_commit, "connect", frozen)
    monkeypatch.setattr(group_commit, "_LEAST", 0.01)
    group = GroupCommit("", batch=1000, patience=0.1, observer=None)
    async with asyncio.timeout(PATIENCE), group.running():
        first = asyncio.create_task(group.submit([an_append(0)]))
        await asked.wait()
        others = [asyncio.create_task(group.submit([an_append(number)])) for number in range(1, 101)]
        answers = await asyncio.gather(first, *others, return_exceptions=True)
    assert {type(answer) for answer in answers} == {LogUnavailable}


@pytest.mark.parametrize("setting", [{"user": "nobody"}, {"database": "none"}], ids=str)
async def test_a_server_that_does_not_let_it_in_is_an_outage(
    database_url: str, monkeypatch: pytest.MonkeyPatch, setting: dict[str, str]
) -> None:
    """Given a password that was changed, or a fail-over to a server that knows no such user or database, then appends
    are told that the log is away; they are written once it is mended."""
    locked_out = True

    async def attempt(url: str, **options: Any) -> Any:
        return await connect(url, **options, **setting if locked_out else {})

    monkeypatch.setattr(group_commit, "connect", attempt)
    group = GroupCommit(database_url, batch=1000, patience=PATIENCE, observer=None)
    async with group.running():
        with pytest.raises(LogUnavailable):
            await group.submit([an_append(0)])
        locked_out = False
        [outcome] = await group.submit([an_append(0)])
    assert isinstance(outcome, Appended)


async def test_who_gives_up_leaves_no_session_behind(database_url: str) -> None:
    """Given that somebody holds the head of the log, when appends give up waiting, then no session of theirs goes on
    waiting for it, though it is held still: they would use up what connections the server has."""
    owner = await asyncpg.connect(database_url)
    group = GroupCommit(database_url, batch=1000, patience=0.2, observer=None)
    async with asyncio.timeout(PATIENCE), group.running(), owner.transaction():
        await owner.execute("SELECT FROM log.head FOR UPDATE")
        for number in range(3):
            with pytest.raises(LogUnavailable):
                await group.submit([an_append(number)])
        while await owner.fetchval(WAITING):  # noqa: ASYNC110 - no event tells of it
            await asyncio.sleep(0.01)
    patient = GroupCommit(database_url, batch=1000, patience=PATIENCE, observer=None)
    async with patient.running():
        [outcome] = await patient.submit([an_append(3)])
    assert isinstance(outcome, Appended)
    await owner.close()


async def test_nor_does_who_gives_up_a_read(database_url: str) -> None:
    """Given the same, when what is read is not confirmed in time, then no session goes on waiting for the head."""
    owner = await asyncpg.connect(database_url)
    pool = await open_pool(database_url)
    async with asyncio.timeout(PATIENCE), Log.open(pool, database_url, patience=0.2) as log, owner.transaction():
        await owner.execute("SELECT FROM log.head FOR UPDATE")
        for _ in range(3):
            with pytest.raises(LogUnavailable):
                await log.confirm()
        while await owner.fetchval(WAITING):  # noqa: ASYNC110 - no event tells of it
            await asyncio.sleep(0.01)
    await pool.close()
    await owner.close()


WAITING = """
    SELECT count(*) FROM pg_locks JOIN pg_stat_activity USING (pid)
    WHERE NOT granted AND datname = current_database()
"""
