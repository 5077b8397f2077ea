"""Dying at any moment, a full disk, PostgreSQL away: the read models equal a fold of the log."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any
from uuid import UUID

import asyncpg
import pytest
from structlog.testing import capture_logs

from services.projector.firing.firing import Firing
from services.projector.live.mailbox import Mailbox
from services.projector.storing.store import Store
from shared.database.pool import UNAVAILABLE, is_away
from shared.domain import contact
from shared.log import Log
from shared.timing.policies import default_policies
from tests.projector.conftest import (
    PATIENCE,
    Letter,
    assert_equals_a_cold_fold,
    end_the_blocked,
    folder,
    letter,
    owning,
    projector,
    running,
    state,
    until,
    write,
)
from tests.projector.histories import on
from tests.projector.observed import HISTORY, folded

if TYPE_CHECKING:
    Connection = asyncpg.Connection[asyncpg.Record]


async def test_killed_between_commit_and_acknowledgement(log: Log, database_url: str, connection: Connection) -> None:
    """Given a projector that dies after its commit and before acknowledging, when another gets the same messages again,
    then nothing is folded twice."""
    mailbox = Mailbox()

    class Grave(Letter):
        async def acknowledge(self) -> None:
            raise asyncio.CancelledError

    async with projector(database_url, log, mailbox).session() as session:
        await session.run_once()
        events = await write(log, HISTORY)
        for event in events:
            mailbox.put(Grave(letter(event).body, letter(event).headers))
        with pytest.raises(asyncio.CancelledError):
            await session.run_once()
    before = await state(connection)
    assert before["position"] == len(events)
    again = Mailbox()
    async with projector(database_url, log, again).session() as session:
        for event in events:
            again.put(letter(event))
        assert await session.run_once() == 0
    assert await state(connection) == before
    await assert_equals_a_cold_fold(connection, events, folder())


async def test_killed_before_the_commit(log: Log, database_url: str, connection: Connection) -> None:
    """Given a projector that dies while its page waits for the checkpoint, then nothing of the page is there, and the
    next folds it once."""
    events = await write(log, HISTORY)
    async with projector(database_url, log).session() as session, connection.transaction():
        await connection.execute("SELECT 1 FROM read.checkpoint FOR UPDATE")
        task = asyncio.create_task(session.run_once())
        await end_the_blocked(database_url)
        with pytest.raises(UNAVAILABLE):
            await task
    assert (await state(connection))["position"] == 0
    async with projector(database_url, log).session() as session:
        assert await session.run_once() == len(events)
    await assert_equals_a_cold_fold(connection, events, folder())


async def test_a_full_disk_parks_nothing(log: Log, database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Given that PostgreSQL has no room for a page, then it is tried again once there is, and no stream is parked."""
    events = await write(log, HISTORY)
    apply = Store.apply

    async def full(*_: Any) -> None:
        raise asyncpg.DiskFullError("could not extend file")

    async with projector(database_url, log).session() as session:
        monkeypatch.setattr(Store, "apply", full)
        with pytest.raises(asyncpg.DiskFullError) as failure:
            await session.run_once()
        assert is_away(failure.value)
    monkeypatch.setattr(Store, "apply", apply)
    async with projector(database_url, log).session() as session:
        assert await session.run_once() == len(events)
        assert not await session_parked(database_url)


async def session_parked(database_url: str) -> int:
    async with owning(database_url) as connection:
        parked: int = await connection.fetchval("SELECT count(*) FROM read.parked")
    return parked


async def test_what_fails_whatever_is_written_ends_the_loop(
    log: Log, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given a database that takes nothing from the projector, not even that a stream is parked, then no event is the
    reason, and that is told instead of being tried for ever."""
    await write(log, HISTORY[:5])

    async def denied(self: Store, *arguments: Any) -> None:
        raise asyncpg.InsufficientPrivilegeError("permission denied for table row")

    monkeypatch.setattr(Store, "apply", denied)
    async with projector(database_url, log).session() as session:
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await session.run_once()


async def test_it_begins_again_when_postgresql_was_away(log: Log, database_url: str, connection: Connection) -> None:
    """Given that all its connections are cut while it runs, then it goes on by itself from the checkpoint."""
    events = await write(log, HISTORY[:30])
    one = projector(database_url, log, page=2000, poll_interval=0.01)
    async with running(one.run):
        await until(lambda: folded(connection, 30))
        async with owning(database_url) as owner:
            cut = await owner.fetchval(
                "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE datname = current_database()"
                " AND pid NOT IN (pg_backend_pid(), $1)",
                connection.get_server_pid(),
            )
        assert cut >= 2
        late = [on("contact", UUID(int=82), contact.Added(name="Late", source="event"))]
        events = await write(log, late, after=30)
        await until(lambda: folded(connection, 31))
    await assert_equals_a_cold_fold(connection, events, folder())
    # What failed may have been too much: the next page is half as long, and none was long enough since to tell.
    assert one._pace.page < 2000


async def test_it_stops_while_postgresql_is_away(log: Log) -> None:
    """Given a database that can't be reached, when folding and firing are told to stop, then they do."""
    nowhere = "postgresql://nobody@127.0.0.1:1/none"
    for loop in (projector(nowhere, log).run, Firing(nowhere, default_policies()).run):
        stop = asyncio.Event()
        with capture_logs() as logs:
            running = asyncio.create_task(loop(stop))
            async with asyncio.timeout(PATIENCE):
                while not any(each["event"] == "waiting for it" for each in logs):  # noqa: ASYNC110
                    await asyncio.sleep(0.01)
                stop.set()
                await running
