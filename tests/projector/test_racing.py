"""Several projectors at once, and others who write meanwhile."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any
from uuid import UUID

import asyncpg
import pytest

from services.projector.live import session as session_module
from services.projector.live.session import OTHERS_LOOKS
from services.projector.storing.store import Store
from shared.domain import contact
from shared.log import Log
from tests.projector.conftest import (
    assert_equals_a_cold_fold,
    folder,
    owning,
    projector,
    state,
    until_blocked,
    write,
)
from tests.projector.histories import appends, on
from tests.projector.observed import HISTORY, Unstorable

if TYPE_CHECKING:
    Connection = asyncpg.Connection[asyncpg.Record]


async def test_two_projectors_race(log: Log, database_url: str, connection: Connection) -> None:
    """Given two that fold the same page at the same moment, then one writes, the other goes on from there."""
    events = await write(log, HISTORY)
    one, two = projector(database_url, log, page=5), projector(database_url, log, page=8)
    async with one.session() as first, two.session() as second, asyncio.TaskGroup() as group:
        async with connection.transaction():
            await connection.execute("SELECT 1 FROM read.checkpoint FOR UPDATE")
            tasks = [group.create_task(each.run_once()) for each in (first, second)]
            async with owning(database_url) as observer:
                await until_blocked(observer, 2)
        await asyncio.gather(*tasks)
        for session in (first, second):
            session.next_look = 0.0
            await session.run_once()
        assert first.checkpoint == second.checkpoint
    await assert_equals_a_cold_fold(connection, events, folder())


async def test_one_that_stands_by_leaves_the_folding_to_the_other(
    log: Log, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given that another projector is seen to move, then one without messages only looks on, also while the other takes
    longer than from one look to the next; once that has stopped, it takes over.

    Two of them that took turns as soon as one was slow made each other forget what they had in memory, and stayed slow.
    """
    now = 100.0
    monkeypatch.setattr(session_module, "monotonic", lambda: now)
    await write(log, HISTORY[:20])
    one, other = (projector(database_url, log, poll_interval=1.0) for _ in range(2))
    async with one.session() as active, other.session() as standing_by:
        await active.run_once()
        await write(log, [on("contact", UUID(int=78), contact.Added(name="Cleo", source="event"))], after=20)
        assert await standing_by.run_once() == 20  # adopted, not folded
        for _ in range(OTHERS_LOOKS - 1):
            now += 1.0
            assert await standing_by.run_once() == 0
        now += 1.0
        assert await standing_by.run_once() == 1


async def test_an_open_transaction_among_fast_ones_hides_nothing(
    log: Log, database_url: str, connection: Connection
) -> None:
    """Given a slow append that is open while others wait behind it, then no position is ever skipped."""
    events = await write(log, HISTORY[:10])
    slow_one = on("contact", UUID(int=79), contact.Added(name="Slow", source="event"))
    fast_one = on("contact", UUID(int=80), contact.Added(name="Fast", source="event"))
    [slow], [fast] = appends([slow_one], after=100), appends([fast_one], after=101)
    async with projector(database_url, log).session() as session, asyncio.TaskGroup() as group:
        async with connection.transaction():
            await Log.append_within(connection, [slow])
            waiting = group.create_task(log.append(fast))
            async with owning(database_url) as observer:
                await until_blocked(observer)
            assert await session.run_once() == 10
        await waiting
        session.next_look = 0.0
        assert await session.run_once() == 2
    await assert_equals_a_cold_fold(connection, events := await log.read(0, 100), folder())
    assert [event.position for event in events] == list(range(1, 13))


async def test_another_may_be_quicker_while_events_are_tried_one_by_one(
    log: Log, database_url: str, connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given a projector that looks for the event which can't be written, when another has folded the page meanwhile,
    then the first goes on behind it, and the stream is parked once."""
    odd = on("contact", UUID(int=81), contact.Added(name="Odd", source="event"))
    events = await write(log, [*HISTORY[:10], odd, *HISTORY[10:]])
    apply = Store.apply
    others: list[int] = []

    async def overtaken(self: Store, start: Any, position: int, changes: Any) -> None:
        if position == 5 and not others:
            others.append(position)
            async with projector(database_url, log, folder=folder(Unstorable())).session() as other:
                await other.run_once()
        await apply(self, start, position, changes)

    monkeypatch.setattr(Store, "apply", overtaken)
    async with projector(database_url, log, folder=folder(Unstorable()), page=15).session() as session:
        assert await session.run_once() == len(events)
    assert others
    found = await state(connection)
    assert [(id, position) for _, id, position, _, _ in found["parked"]] == [(UUID(int=81), 11)]


async def test_two_that_start_at_once_make_one_set_of_tables(log: Log, database_url: str) -> None:
    async def begin() -> Any:
        async with Store.open(database_url, folder().models) as store:
            return await store.begin()

    first, second = await asyncio.gather(begin(), begin())
    assert first == second
