"""Old messages in front of what is new: they are dropped, and the log tells what they told."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from uuid import UUID

import asyncpg
import pytest

from services.projector.live import mailbox as mailbox_module
from services.projector.live import sorting as sorting_module
from services.projector.live.mailbox import Mailbox, Place
from shared.domain import contact
from shared.log import Log
from tests.projector.conftest import (
    CountedLog,
    Letter,
    assert_equals_a_cold_fold,
    folder,
    letter,
    projector,
    write,
)
from tests.projector.histories import on
from tests.projector.observed import HISTORY

if TYPE_CHECKING:
    Connection = asyncpg.Connection[asyncpg.Record]


async def test_a_backlog_of_old_messages_does_not_hide_what_is_new(
    log: Log, database_url: str, connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given that the queue is full of what was read from the log already, then what was appended since is folded at
    once, long before its message has its turn."""
    monkeypatch.setattr(sorting_module, "NEAR", 20)
    mailbox = Mailbox()
    events = await write(log, HISTORY[:40])
    async with projector(database_url, log, mailbox, page=10).session() as session:
        await session.run_once()
        added = [on("contact", UUID(int=77), contact.Added(name="Cleo Gray", source="event"))]
        events = await write(log, added, after=40)
        for event in events:
            mailbox.put(letter(event))
        assert await session.run_once() == 1
    await assert_equals_a_cold_fold(connection, events, folder())


async def test_right_behind_old_messages_what_is_new_is_awaited(log: Log, database_url: str) -> None:
    """Given messages of what a look at the log has just folded, then it is not looked at again for them: that would be
    ahead of the next ones, too, and all would be read instead of heard."""
    mailbox, counted = Mailbox(), CountedLog(log)
    events = await write(log, HISTORY[:40])
    async with projector(database_url, counted, mailbox, poll_interval=3600).session() as session:
        await session.run_once()
        added = [on("contact", UUID(int=77), contact.Added(name="Cleo Gray", source="event"))]
        newer = (await write(log, added, after=40))[40:]
        reads = counted.reads
        for event in events[-2:]:
            mailbox.put(letter(event))
        assert await session.run_once() == 0
        mailbox.put(letter(newer[0]))
        assert await session.run_once() == 1
        assert counted.reads == reads


async def test_after_a_backlog_was_dropped_the_log_is_looked_at(
    log: Log, database_url: str, connection: Connection
) -> None:
    """Given that something new was dropped with the backlog, then it is folded though nothing comes and the next look
    is an hour away."""
    mailbox = Mailbox()
    await write(log, HISTORY[:40])
    async with projector(database_url, log, mailbox, poll_interval=3600).session() as session:
        await session.run_once()
        added = [on("contact", UUID(int=77), contact.Added(name="Cleo Gray", source="event"))]
        events = await write(log, added, after=40)
        mailbox.drop()
        assert await session.run_once() == 1
    await assert_equals_a_cold_fold(connection, events, folder())


async def test_what_is_dropped_during_a_look_is_looked_for_after_it(
    log: Log, database_url: str, connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given that something new is dropped just after the log was looked at for an earlier drop, then it is looked at
    once more."""
    mailbox = Mailbox()
    await write(log, HISTORY[:40])
    added = [on("contact", UUID(int=77), contact.Added(name="Cleo Gray", source="event"))]
    async with projector(database_url, log, mailbox, poll_interval=3600).session() as session:
        await session.run_once()
        catch_up = session._catch_up

        async def dropping(deliveries: list[Any], *, idle: bool) -> None:
            monkeypatch.undo()
            await catch_up(deliveries, idle=idle)
            await write(log, added, after=40)
            mailbox.drop()

        monkeypatch.setattr(session, "_catch_up", dropping)
        mailbox.drop()
        assert await session.run_once() == 0
        assert await session.run_once() == 1
    await assert_equals_a_cold_fold(connection, await log.read(0, 100), folder())


async def test_of_a_place_that_was_lost_meanwhile_no_backlog_is_told(
    log: Log, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given messages that are far behind, whose place in the queue is lost while the log is read, then nothing is
    dropped: what the broker holds may be for another projector by then."""
    monkeypatch.setattr(mailbox_module, "BACKLOG", 30)
    monkeypatch.setattr(sorting_module, "NEAR", 20)
    mailbox, place = Mailbox(), Place()
    events = await write(log, HISTORY[:40])
    async with projector(database_url, log, mailbox).session() as session:
        await session.run_once()
        old = letter(events[0])
        mailbox.put(Letter(old.body, old.headers, place))
        catch_up = session._catch_up

        async def losing(deliveries: list[Any], *, idle: bool) -> None:
            mailbox.lose(place)
            await catch_up(deliveries, idle=idle)

        monkeypatch.setattr(session, "_catch_up", losing)
        await session.run_once()
    assert not mailbox.is_overtaken


@pytest.mark.parametrize(("last", "dropped"), [(11, False), (10, True)])
async def test_a_backlog_that_was_left_far_behind_may_be_dropped(
    log: Log, database_url: str, monkeypatch: pytest.MonkeyPatch, last: int, dropped: bool
) -> None:
    """Given a log that was read while its messages waited, then those that are old but near leave the queue as it is,
    and those that are far behind tell that the rest of them need not come."""
    monkeypatch.setattr(mailbox_module, "BACKLOG", 30)
    mailbox = Mailbox()
    events = await write(log, HISTORY[:40])
    async with projector(database_url, log, mailbox).session() as session:
        await session.run_once()
        for event in events[:last]:
            mailbox.put(letter(event))
        await session.run_once()
    assert mailbox.is_overtaken == dropped
