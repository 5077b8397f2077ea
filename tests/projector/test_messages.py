"""Whatever comes from the broker, the read models equal a fold of the log."""

from __future__ import annotations

import asyncio
import random
from dataclasses import replace
from typing import TYPE_CHECKING, Any
from uuid import UUID

import asyncpg
import pytest

from services.projector.live import mailbox as mailbox_module
from services.projector.live import session as session_module
from services.projector.live import sorting as sorting_module
from services.projector.live.doorbell import PREFETCH
from services.projector.live.mailbox import Mailbox, Place
from services.projector.storing.store import CheckpointMoved
from shared.broker import cloudevents
from shared.database.pool import UNAVAILABLE
from shared.domain import contact
from shared.log import Log
from tests.projector.conftest import (
    CountedLog,
    Letter,
    assert_equals_a_cold_fold,
    folder,
    letter,
    projector,
    state,
    write,
)
from tests.projector.histories import on
from tests.projector.observed import HISTORY, Heard

if TYPE_CHECKING:
    Connection = asyncpg.Connection[asyncpg.Record]


async def test_of_messages_beyond_what_fits_the_log_tells(
    log: Log, database_url: str, connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given more bytes in the mailbox than it may hold, then of those behind only that they came is kept, also when
    they are put back; the log is read, all are acknowledged, and what comes next is taken at its word again."""
    monkeypatch.setattr(mailbox_module, "MOST_BYTES", 10_000)
    mailbox, heard, counted = Mailbox(), Heard(), CountedLog(log)
    async with projector(database_url, counted, mailbox, observer=heard, poll_interval=3600.0).session() as session:
        await session.run_once()
        events = await write(log, HISTORY)
        letters = [letter(event) for event in events]
        for each in letters[:-1]:
            mailbox.put(each)
        held = [each.body for each in letters if each.body is not None]
        assert sum(map(len, held[:-2])) < 10_000 <= sum(map(len, held[:-1]))
        mailbox.put_back(mailbox.take(5))
        await session.run_once()
        assert heard.kinds == ["in_order"] * (len(held) - 1) + ["gap"] * (len(letters) - len(held))
        assert counted.reads > 0
        reads = counted.reads
        late = [on("contact", UUID(int=82), contact.Added(name="Late", source="event"))]
        events = await write(log, late, after=len(events))
        mailbox.put(more := letter(events[-1]))
        await session.run_once()
    assert (more.acknowledged, more.body is None, counted.reads) == (True, False, reads)
    assert letters[-2].acknowledged
    await assert_equals_a_cold_fold(connection, events, folder())


async def test_messages_in_order_are_taken_at_their_word(log: Log, database_url: str, connection: Connection) -> None:
    """Given messages that follow each other, then the log is not read, and each is acknowledged after the commit."""
    mailbox, counted = Mailbox(), CountedLog(log)
    async with projector(database_url, counted, mailbox, poll_interval=3600.0).session() as session:
        await session.run_once()
        events = await write(log, HISTORY)
        letters = [letter(event) for event in events]
        for start in range(0, len(letters), 5):
            for each in letters[start : start + 5]:
                mailbox.put(each)
            await session.run_once()
    assert counted.reads == 0
    assert all(each.acknowledged for each in letters[4::5])
    await assert_equals_a_cold_fold(connection, events, folder())


async def test_whatever_the_broker_does_to_messages(log: Log, database_url: str, connection: Connection) -> None:
    """Given messages that are lost, doubled, reordered, cut short, or of another world, in any mixture, then the read
    models equal a fold of the log, and nothing is left in the mailbox."""
    rng, heard, mailbox = random.Random(5), Heard(), Mailbox()
    events = await write(log, HISTORY)
    stream = [letter(event) for event in events if rng.random() < 0.8]
    stream += [letter(event) for event in rng.sample(events, 20)]
    stream += [Letter(b'{"specversion":"1.0"', {}), Letter(b"", {"position": 3})]
    for _ in range(30):
        a, b = rng.randrange(len(stream)), rng.randrange(len(stream))
        stream[a], stream[b] = stream[b], stream[a]
    async with projector(database_url, log, mailbox, page=9, observer=heard).session() as session:
        while stream:
            taken, stream = stream[:11], stream[11:]
            for each in taken:
                mailbox.put(each)
            await session.run_once()
        while mailbox.take(1):
            await session.run_once()
        session.next_look = 0.0
        await session.run_once()
    assert {"duplicate", "gap", "undecodable"} <= set(heard.kinds)
    await assert_equals_a_cold_fold(connection, events, folder())


async def test_a_gap_is_healed_from_the_log(log: Log, database_url: str, connection: Connection) -> None:
    """Given that the queue dropped its oldest messages, then those are read from the log before the next is folded."""
    heard, mailbox, counted = Heard(), Mailbox(), CountedLog(log)
    async with projector(database_url, counted, mailbox, observer=heard).session() as session:
        await session.run_once()
        events = await write(log, HISTORY)
        mailbox.put(last := letter(events[-1]))
        await session.run_once()
    assert heard.kinds == ["gap"]
    assert counted.reads == 1
    assert last.acknowledged
    await assert_equals_a_cold_fold(connection, events, folder())


async def test_a_duplicate_is_acknowledged_and_changes_nothing(
    log: Log, database_url: str, connection: Connection
) -> None:
    mailbox = Mailbox()
    events = await write(log, HISTORY)
    async with projector(database_url, log, mailbox).session() as session:
        await session.run_once()
        before = await state(connection)
        mailbox.put(again := letter(events[0]))
        assert await session.run_once() == 0
    assert again.acknowledged
    assert await state(connection) == before


@pytest.mark.parametrize("first", [0, 41], ids=["old", "new"])
async def test_messages_make_room_before_the_log_is_read(
    log: Log, database_url: str, monkeypatch: pytest.MonkeyPatch, first: int
) -> None:
    """Given messages for which the log is read, then they are acknowledged before: others come meanwhile, which are not
    as old by the time that is done, and the broker does not wait for long."""
    monkeypatch.setattr(sorting_module, "NEAR", 20)
    mailbox, counted, acknowledged = Mailbox(), CountedLog(log), list[bool]()
    await write(log, HISTORY[:40])
    async with projector(database_url, counted, mailbox).session() as session:
        await session.run_once()
        added = [on("contact", UUID(int=70 + n), contact.Added(name="Cleo Gray", source="event")) for n in range(10)]
        events = await write(log, added, after=40)
        mailbox.put(told := letter(events[first]))
        read = counted.read

        async def reading(*given: Any) -> Any:
            acknowledged.append(told.acknowledged)
            return await read(*given)

        monkeypatch.setattr(counted, "read", reading)
        assert await session.run_once() == 10
    assert acknowledged == [True]


async def test_who_was_overtaken_after_that_looks_again(
    log: Log, database_url: str, connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given messages that are acknowledged, and another projector that is faster at the page they led to and then ends,
    then the rest is folded at once, as long as there were messages: nothing would bring them once more."""
    mailbox = Mailbox()
    async with projector(database_url, log, mailbox, poll_interval=3600.0).session() as session:
        await session.run_once()
        events = await write(log, HISTORY[:40])
        mailbox.put(letter(events[20]))
        depart = session._depart

        def overtaken(*given: Any) -> None:
            monkeypatch.undo()
            depart(*given)
            assert session._flight is not None
            session._flight.task.cancel()
            session._flight = replace(session._flight, task=asyncio.create_task(lose()))

        async def lose() -> None:
            raise CheckpointMoved

        monkeypatch.setattr(session, "_depart", overtaken)
        assert await session.run_once() == len(events)
    await assert_equals_a_cold_fold(connection, events, folder())


async def test_a_handful_of_messages_is_dealt_with_at_a_time(
    log: Log, database_url: str, connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given more messages than that, then the others wait: they can come while these are folded."""
    monkeypatch.setattr(session_module, "HANDFUL", 5)
    mailbox = Mailbox()
    async with projector(database_url, log, mailbox, poll_interval=3600.0).session() as session:
        await session.run_once()
        events = await write(log, HISTORY[:12])
        for event in events:
            mailbox.put(letter(event))
        assert [await session.run_once() for _ in range(4)] == [5, 5, 2, 0]
    await assert_equals_a_cold_fold(connection, events, folder())


def test_half_of_what_may_be_on_its_way_is_a_handful() -> None:
    assert PREFETCH == 2 * session_module.HANDFUL


async def test_a_message_that_is_not_what_the_log_holds_stops_nothing(
    log: Log, database_url: str, connection: Connection
) -> None:
    """Given a message in order whose type or payload makes no sense, then the log is asked, which knows better."""
    mailbox = Mailbox()
    async with projector(database_url, log, mailbox).session() as session:
        await session.run_once()
        events = await write(log, HISTORY)
        mailbox.put(letter(replace(events[0], type="seeker.dreamt")))
        assert await session.run_once() == len(events)
    await assert_equals_a_cold_fold(connection, events, folder())


async def test_messages_survive_a_failure_in_the_mailbox(log: Log, database_url: str) -> None:
    """Given that PostgreSQL goes away under a page, then its messages are the first to come again."""
    mailbox = Mailbox()
    async with projector(database_url, log, mailbox).session() as session:
        await session.run_once()
        events = await write(log, HISTORY)
        letters = [letter(event) for event in events[:3]]
        for each in letters:
            mailbox.put(each)
        admin = await asyncpg.connect(database_url)
        await admin.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
        await admin.close()
        with pytest.raises(UNAVAILABLE):
            await session.run_once()
    assert mailbox.take(10) == letters
    assert not any(each.acknowledged for each in letters)


async def test_what_came_on_a_channel_that_is_gone_is_let_go(log: Log, database_url: str) -> None:
    """Given messages in the mailbox, and others taken from it, when their channel is lost, then none of them waits any
    more, for they come again; those of another channel stay."""
    mailbox, lost = Mailbox(), Place()
    events = await write(log, HISTORY)
    for event in events[:4]:
        mailbox.put(Letter(*cloudevents.encode(event), lost))
    taken = mailbox.take(2)
    mailbox.put(kept := letter(events[4]))
    mailbox.lose(lost)
    mailbox.put_back(taken)
    assert mailbox.take(10) == [kept]
