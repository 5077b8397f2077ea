"""The loop on a real database: whatever comes from the broker, the read models equal a fold of the log."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import timedelta
from itertools import accumulate, count
from typing import TYPE_CHECKING, Any
from uuid import UUID

import asyncpg
import pytest
from structlog.testing import capture_logs

from services.projector import mailbox as mailbox_module
from services.projector import pace as pace_module
from services.projector import session as session_module
from services.projector import sorting as sorting_module
from services.projector.doorbell import PREFETCH
from services.projector.firing import Firing
from services.projector.folding import Folder
from services.projector.halting import Halted
from services.projector.mailbox import Mailbox, Place
from services.projector.models import MODELS
from services.projector.observing import Silent
from services.projector.read_model import Filed, ReadModel
from services.projector.session import OTHERS_LOOKS, Session
from services.projector.store import CheckpointMoved, Store
from services.projector.timing_fold import TimingFold
from shared.broker import cloudevents
from shared.codec import encode
from shared.database.pool import UNAVAILABLE, is_away
from shared.domain import contact, seeker
from shared.domain.kernel import EVENTS, Event
from shared.envelope import Recorded
from shared.log import Append, Log, Pending
from shared.timing.policies import default_policies
from tests.projector.conftest import (
    PATIENCE,
    CountedLog,
    Letter,
    assert_equals_a_cold_fold,
    folder,
    letter,
    projector,
    running,
    state,
    until,
    until_blocked,
    write,
)
from tests.projector.histories import START, Happening, appends, history, on

if TYPE_CHECKING:
    Connection = asyncpg.Connection[asyncpg.Record]

HISTORY = history(seed=3, seekers=4)


class Heard(Silent):
    def __init__(self) -> None:
        self.kinds: list[str] = []
        self.sources: list[tuple[str, int]] = []
        self.reasons: list[str | None] = []

    def message(self, kind: str) -> None:
        self.kinds.append(kind)

    def folded(self, source: str, *, events: int, seconds: float) -> None:
        self.sources.append((source, events))

    def halted(self, reason: str | None) -> None:
        self.reasons.append(reason)

    async def halt(self) -> bool:
        return "unknown_event_type" in self.reasons


async def test_a_log_is_folded_from_its_beginning(log: Log, database_url: str, connection: Connection) -> None:
    """Given a log and no message at all, then all of it is folded, in pages."""
    events = await write(log, HISTORY)
    async with projector(database_url, log, page=7).session() as session:
        assert await session.run_once() == len(events)
        assert await session.run_once() == 0
    await assert_equals_a_cold_fold(connection, events, folder())


async def test_a_page_is_bounded_by_bytes_too(
    log: Log, database_url: str, connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given more bytes than a page may have, then each ends with the event that reaches them, and nothing is passed
    over."""
    monkeypatch.setattr(session_module, "PAGE_BYTES", 1000)
    heard, events = Heard(), await write(log, HISTORY)
    async with projector(database_url, log, observer=heard).session() as session:
        assert await session.run_once() == len(events)
    ends = accumulate(size for _, size in heard.sources)
    pages = [events[end - size : end] for end, (_, size) in zip(ends, heard.sources, strict=True)]
    sizes = [[len(event.data) for event in page] for page in pages]
    assert len(pages) > 10
    assert all(sum(size[:-1]) < 1000 <= sum(size) for size in sizes[:-1])
    await assert_equals_a_cold_fold(connection, events, folder())


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


async def test_a_long_log_is_read_in_stretches(
    log: Log, database_url: str, connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given a log that takes longer to read than messages are to wait, then they have their turn, and it is gone on
    with at once, though nothing comes."""
    ticks = count(0.0, 2.0)
    monkeypatch.setattr(session_module, "monotonic", lambda: next(ticks))
    monkeypatch.setattr(session_module, "STRETCH", 5.0)
    events = await write(log, HISTORY[:40])
    moved: list[int] = []
    async with projector(database_url, log, page=7, poll_interval=1000.0).session() as session:
        while sum(moved) < len(events):
            assert session.next_look == 0.0
            moved.append(await session.run_once())
        assert session.next_look > 0.0
    assert len(moved) > 1
    assert all(moved)
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


async def test_a_page_that_took_long_is_followed_by_shorter_ones(
    log: Log, database_url: str, connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given pages that take longer than they are to, then those behind them have fewer events."""
    monkeypatch.setattr(pace_module, "LEAST", 5)
    monkeypatch.setattr(pace_module, "SECONDS", 1e-9)
    heard = Heard()
    events = await write(log, HISTORY[:60])
    async with projector(database_url, log, page=10, observer=heard).session() as session:
        await session.run_once()
    sizes = [size for _, size in heard.sources]
    # Some were read by then: one is while the one before is folded, and the one before that written.
    assert sizes[0] == 10
    assert sizes[-1] == 5
    assert sum(sizes) == len(events)
    await assert_equals_a_cold_fold(connection, events, folder())


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
        observer = await asyncpg.connect(database_url)
        await until_blocked(observer)
        await observer.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
            " AND datname = current_database()"
        )
        await observer.close()
        with pytest.raises(UNAVAILABLE):
            await task
    assert (await state(connection))["position"] == 0
    async with projector(database_url, log).session() as session:
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
    connection = await asyncpg.connect(database_url)
    parked: int = await connection.fetchval("SELECT count(*) FROM read.parked")
    await connection.close()
    return parked


async def test_two_projectors_race(log: Log, database_url: str, connection: Connection) -> None:
    """Given two that fold the same page at the same moment, then one writes, the other goes on from there."""
    events = await write(log, HISTORY)
    one, two = projector(database_url, log, page=5), projector(database_url, log, page=8)
    async with one.session() as first, two.session() as second, asyncio.TaskGroup() as group:
        async with connection.transaction():
            await connection.execute("SELECT 1 FROM read.checkpoint FOR UPDATE")
            tasks = [group.create_task(each.run_once()) for each in (first, second)]
            observer = await asyncpg.connect(database_url)
            await until_blocked(observer, 2)
            await observer.close()
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
            observer = await asyncpg.connect(database_url)
            await until_blocked(observer)
            await observer.close()
            assert await session.run_once() == 10
        await waiting
        session.next_look = 0.0
        assert await session.run_once() == 2
    await assert_equals_a_cold_fold(connection, events := await log.read(0, 100), folder())
    assert [event.position for event in events] == list(range(1, 13))


async def dream(log: Log, number: int) -> None:
    """Append an event of a type that this release does not know."""
    stream = on("contact", UUID(int=number), contact.Added(name="x", source="event")).stream
    pending = Pending(stream, "contact.dreamt", 1, b"{}")
    id = UUID(int=number)
    await log.append(Append("acme", id, [pending], {stream: 0}, START, id, id))


class Dreamt(Event):
    """What a later release may know."""


async def test_an_unknown_event_type_stops_it_loudly(
    log: Log, database_url: str, connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given an event of an unknown type, then all before it is folded, it and nothing after is skipped, and readiness,
    metrics and log say so with the position; once a release that knows it runs, it goes on by itself."""
    await write(log, HISTORY[:10])
    await dream(log, 500)
    heard = Heard()
    one = projector(database_url, log, observer=heard, poll_interval=0.01)
    async with running(one.run):
        await until(heard.halt)
        finding = await one.check.probe()
        assert finding.state == "failing"
        assert "position 11 holds contact.dreamt" in finding.detail
        assert (await state(connection))["position"] == 10
        monkeypatch.setitem(EVENTS, "contact.dreamt", Dreamt)
        await until(lambda: folded(connection, 11))


async def test_what_tells_of_another_timeline_is_kept(log: Log, database_url: str) -> None:
    """Given a message of a position that the log has not come to, when folding has halted for it, then it is not left
    to others, and nothing goes on, however often it is tried."""
    mailbox, heard = Mailbox(), Heard()
    events = await write(log, HISTORY[:10])
    mailbox.put(letter(replace(events[-1], position=99)))
    async with running(projector(database_url, log, mailbox, observer=heard, poll_interval=0.0).run):
        await until(lambda: asyncio.sleep(0, len(heard.reasons) > 5))
    assert (set(heard.reasons), mailbox.is_shut) == ({"forked"}, False)


async def test_a_log_of_another_timeline_stops_it_loudly(log: Log, database_url: str, connection: Connection) -> None:
    """Given that the database was restored to an earlier point, and its epoch raised, then nothing more is folded."""
    await write(log, HISTORY[:10])
    owner = await asyncpg.connect(database_url)
    async with projector(database_url, log).session() as session:
        await session.run_once()
        await owner.execute("UPDATE log.head SET epoch = 2")
        session.next_look = 0.0
        with pytest.raises(Halted, match="kithlog rebuild") as halted:
            await session.run_once()
        assert halted.value.reason == "forked"
        await owner.execute("UPDATE log.head SET epoch = 1, position = 5")
        session.next_look = 0.0
        with pytest.raises(Halted, match="at position 5"):
            await session.run_once()
    await owner.close()


@pytest.mark.parametrize("change", [{"epoch": 2}, {"epoch": 2, "position": 10}, {"position": 4711}])
async def test_a_message_from_beyond_the_log_stops_it_loudly(
    log: Log, database_url: str, change: dict[str, int]
) -> None:
    """Given a message that tells of more than the log holds, then this is not the log it tells of."""
    events, mailbox = await write(log, HISTORY[:10]), Mailbox()
    async with projector(database_url, log, mailbox).session() as session:
        await session.run_once()
        mailbox.put(strange := letter(replace(events[-1], **{"position": 11} | change)))  # type: ignore[arg-type]
        with pytest.raises(Halted) as halted:
            await session.run_once()
    assert halted.value.reason == "forked"
    assert not strange.acknowledged


async def test_messages_of_a_timeline_that_was_given_up_are_not_folded(
    log: Log, database_url: str, connection: Connection
) -> None:
    """Given a log that was restored to an earlier point, and messages of what came after it then, which follow the
    checkpoint without a gap, then none is folded, at the start and later, with a raised epoch and without."""
    events, mailbox = await write(log, HISTORY[:10]), Mailbox()
    added = {"category": "contact", "type": "contact.added", "schema_version": 1, "version": 1}
    data = encode(contact.Added(name="Nobody", source="event"))
    lost = [replace(events[-1], position=n, stream_id=UUID(int=n), data=data, **added) for n in (11, 12)]  # type: ignore[arg-type]
    async with projector(database_url, log, mailbox).session() as session:
        await session.run_once()
        before = await state(connection)
        for event in lost:
            mailbox.put(letter(event))
        with pytest.raises(Halted, match="log ends at 10"):
            await session.run_once()
    assert await state(connection) == before
    owner = await asyncpg.connect(database_url)
    await owner.execute("UPDATE log.head SET epoch = 2")
    with pytest.raises(Halted, match="of epoch 2"):
        async with projector(database_url, log, mailbox).session():
            pass
    assert await state(connection) == before
    await owner.close()


async def test_once_the_log_is_past_what_was_given_up_the_log_is_folded(
    log: Log, database_url: str, connection: Connection
) -> None:
    """Given that folding has stopped at messages of what came after the point that the log was restored to, when the
    log goes on past them, then what it holds itself is folded, and they are dropped; also where a command that was sent
    again has made an event of the same id as then."""

    def added(number: int, name: str) -> Happening:
        return on("contact", UUID(int=number), contact.Added(name=name, source="event"))

    def of_old(event: Recorded[bytes]) -> Letter:
        before = event.recorded_at - timedelta(hours=1)
        return letter(replace(event, recorded_at=before, data=encode(contact.Added(name="Nobody", source="event"))))

    events, mailbox = await write(log, HISTORY[:10]), Mailbox()
    one = projector(database_url, log, mailbox, poll_interval=3600.0)
    lost = [of_old(replace(events[0], position=n, event_id=UUID(int=n), stream_id=UUID(int=n), version=1,
                           category="contact", type="contact.added", schema_version=1)) for n in (11, 12)]  # fmt: skip
    for each in lost:
        mailbox.put(each)
    with pytest.raises(Halted, match="log ends at 10"):
        async with one.session() as session:
            await session.run_once()
    await write(log, [added(81, "Ada"), added(82, "Bo")], after=10)
    async with one.session() as session:
        await session.run_once()
        events = await write(log, [added(83, "Cy")], after=12)
        mailbox.put(again := of_old(events[-1]))
        await session.run_once()
    assert (lost[-1].acknowledged, again.acknowledged) == (True, True)  # each with what came before it
    await assert_equals_a_cold_fold(connection, events, folder())


async def test_a_message_of_the_timeline_before_is_dropped(log: Log, database_url: str) -> None:
    """Given a message from before the epoch was raised, then it is acknowledged, and only the log is believed."""
    mailbox, heard = Mailbox(), Heard()
    owner = await asyncpg.connect(database_url)
    await owner.execute("UPDATE log.head SET epoch = 2")
    await owner.close()
    async with projector(database_url, log, mailbox, observer=heard).session() as session:
        events = await write(log, HISTORY[:10])
        mailbox.put(old := letter(replace(events[0], epoch=1, type="contact.forgotten", data=b"{}")))
        assert await session.run_once() == 10
    assert old.acknowledged
    assert heard.kinds == ["foreign"]


@dataclass(frozen=True, slots=True)
class Odd:
    text: str


class Unstorable(ReadModel[Odd]):
    """Makes a row that PostgreSQL does not take, of one contact."""

    name = "unstorable"
    row = Odd

    def keys(self, e: Recorded[Event]) -> Iterable[str]:
        return (str(e.stream_id),) if e.category == "contact" else ()

    def evolve(self, key: str, row: Odd | None, e: Recorded[Event]) -> Odd | None:
        return Odd("odd" if isinstance(e.data, contact.Added) and e.data.name == "Odd" else "even")

    def file(self, row: Odd) -> Filed:
        return Filed(state="\0" if row.text == "odd" else None)


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


class Newer(Unstorable):
    version = 2


async def test_a_model_of_another_version_has_to_be_rebuilt(log: Log, database_url: str) -> None:
    """Given rows of an earlier version of a model, or of none, then this release folds nothing and says what to do."""
    await write(log, HISTORY[:10])
    async with projector(database_url, log, folder=folder(Unstorable())).session() as session:
        await session.run_once()
    for models, has in ((folder(Newer()), "has rows of version 1"), (folder(Renamed()), "has no rows")):
        with pytest.raises(Halted, match=has) as halted:
            async with projector(database_url, log, folder=models).session():
                pytest.fail("folded with rows of another version")
        assert halted.value.reason == "model_version"
        assert "kithlog rebuild" in halted.value.remedy


async def folded(connection: Connection, position: int) -> bool:
    return (await connection.fetchval("SELECT max(position) FROM read.checkpoint") or 0) >= position


class Renamed(Unstorable):
    name = "renamed"


async def test_it_stops_with_the_page_in_hand(log: Log, database_url: str, connection: Connection) -> None:
    """Given a long way to catch up, when told to stop, then it ends between two pages, at a committed checkpoint."""
    events = await write(log, HISTORY)
    heard = Heard()

    class Slow(CountedLog):
        session: Session

        async def read(self, after: int, limit: int, most_bytes: int) -> list[Recorded[bytes]]:
            self.session.stopping = after >= 20
            return await super().read(after, limit, most_bytes)

    slow = Slow(log)
    async with projector(database_url, slow, page=10, observer=heard).session() as session:
        slow.session = session
        folded = await session.run_once()
    assert 0 < folded < len(events)
    assert (await state(connection))["position"] == folded
    assert sum(count for _, count in heard.sources) == folded


async def test_it_begins_again_when_postgresql_was_away(log: Log, database_url: str, connection: Connection) -> None:
    """Given that all its connections are cut while it runs, then it goes on by itself from the checkpoint."""
    events = await write(log, HISTORY[:30])
    one = projector(database_url, log, page=2000, poll_interval=0.01)
    async with running(one.run):
        await until(lambda: folded(connection, 30))
        owner = await asyncpg.connect(database_url)
        cut = await owner.fetchval(
            "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE datname = current_database()"
            " AND pid NOT IN (pg_backend_pid(), $1)",
            connection.get_server_pid(),
        )
        await owner.close()
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


async def test_two_that_start_at_once_make_one_set_of_tables(log: Log, database_url: str) -> None:
    async def begin() -> Any:
        async with Store.open(database_url, folder().models) as store:
            return await store.begin()

    first, second = await asyncio.gather(begin(), begin())
    assert first == second
