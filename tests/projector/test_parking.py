"""What can't be written or reckoned parks its stream alone."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any
from uuid import UUID

import asyncpg
import pytest

from services.projector.folding.folder import Folder
from services.projector.folding.timing_fold import TimingFold
from services.projector.live.mailbox import Mailbox
from services.projector.models import MODELS
from services.projector.storing.store import Store
from shared.domain import contact, seeker
from shared.log import Log
from shared.timing.policies import default_policies
from tests.projector.conftest import (
    assert_equals_a_cold_fold,
    folder,
    letter,
    projector,
    state,
    write,
)
from tests.projector.histories import on
from tests.projector.observed import HISTORY, Unstorable

if TYPE_CHECKING:
    Connection = asyncpg.Connection[asyncpg.Record]


async def test_what_can_not_be_written_parks_its_stream_alone(
    log: Log, database_url: str, connection: Connection
) -> None:
    """Given one event in a page that leads to a row which PostgreSQL refuses, then its stream is parked, and all
    others of the page are folded."""
    odd = on("contact", UUID(int=81), contact.Added(name="Odd", source="event"))
    events = await write(log, [*HISTORY[:10], odd, *HISTORY[10:]])
    async with projector(database_url, log, folder=folder(Unstorable()), page=15).session() as session:
        assert await session.run_once() == len(events)
    found = await state(connection)
    assert [(id, position, model) for _, id, position, model, _ in found["parked"]] == [(UUID(int=81), 11, "store")]
    without = [event for event in events if event.position != 11]
    await connection.execute("DELETE FROM read.parked")
    await assert_equals_a_cold_fold(connection, without, folder(Unstorable()))


@pytest.mark.parametrize("by_messages", [False, True])
async def test_what_was_discarded_is_passed_over(
    log: Log, database_url: str, connection: Connection, by_messages: bool
) -> None:
    """Given two events that can't be written, one of which was discarded before it was ever met, then the other alone
    parks its stream, though the reason is found event by event."""
    odds = [on("contact", UUID(int=id), contact.Added(name="Odd", source="event")) for id in (81, 82)]
    mailbox = Mailbox()
    fold = folder(Unstorable())
    async with projector(database_url, log, mailbox, folder=fold, page=15, poll_interval=0.0).session() as session:
        await session.run_once()
        events = await write(log, [*HISTORY[:10], *odds, *HISTORY[10:]])
        await connection.execute(
            "INSERT INTO read.discarded VALUES ('acme', $1, $2, 11)", events[10].event_id, UUID(int=81)
        )
        await connection.execute("UPDATE read.checkpoint SET turn = turn + 1")
        if by_messages:
            for event in events:
                mailbox.put(letter(event))
        for _ in range(2 + len(events) // 15):
            await session.run_once()
    found = await state(connection)
    assert [(id, position) for _, id, position, *_ in found["parked"]] == [(UUID(int=82), 12)]
    await connection.execute("DELETE FROM read.parked")
    without = [event for event in events if event.position not in (11, 12)]
    await assert_equals_a_cold_fold(connection, without, fold)


async def test_what_can_not_be_reckoned_parks_its_stream_alone(
    log: Log, database_url: str, connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given one event whose timers can't be reckoned, found out while the page before is still being written, then its
    stream is parked, and every other event is folded once."""
    odd, failed = UUID(int=82), asyncio.Event()
    apply, look = Store.apply, Store.look
    under_way: list[int] = []
    looked_at: list[list[int]] = []

    class Unreckonable(TimingFold):
        def timers(self, before: Any, rows: Any) -> Any:
            if any(id[2] == str(odd) for id in before):
                failed.set()
                raise OverflowError("date value out of range")
            return super().timers(before, rows)

    async def held_back(self: Store, start: Any, position: int, changes: Any) -> None:
        under_way.append(position)
        if position == 20:
            await failed.wait()
        await apply(self, start, position, changes)
        under_way.remove(position)

    async def looking(self: Store) -> Any:
        looked_at.append(list(under_way))
        return await look(self)

    monkeypatch.setattr(Store, "apply", held_back)
    monkeypatch.setattr(Store, "look", looking)
    planted = on("seeker", odd, seeker.Registered(name="Odd", time_zone="Europe/Berlin"))
    events = await write(log, [*HISTORY[:25], planted, *HISTORY[25:]])
    timing = Folder(MODELS, Unreckonable(default_policies()))
    async with projector(database_url, log, folder=timing, page=10).session() as session:
        assert await session.run_once() == len(events)
    assert failed.is_set()
    assert not any(looked_at), "where to begin again was looked up while a page was on its way"
    found = await state(connection)
    assert [(id, position, model) for _, id, position, model, _ in found["parked"]] == [(odd, 26, "timing")]
    await connection.execute("DELETE FROM read.parked")
    await assert_equals_a_cold_fold(connection, [event for event in events if event.position != 26], folder())
