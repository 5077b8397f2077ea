"""What stops a projector: another timeline, an unknown type, rows of another version."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING
from uuid import UUID

import asyncpg
import pytest

from services.projector.live.mailbox import Mailbox
from services.projector.storing.halting import Halted
from shared.codec import encode
from shared.domain import contact
from shared.domain.kernel import EVENTS, Event
from shared.envelope import Recorded
from shared.log import Append, Log, Pending
from tests.projector.conftest import (
    Letter,
    assert_equals_a_cold_fold,
    folder,
    letter,
    owning,
    projector,
    running,
    state,
    until,
    write,
)
from tests.projector.histories import START, Happening, on
from tests.projector.observed import HISTORY, Heard, Unstorable, folded

if TYPE_CHECKING:
    Connection = asyncpg.Connection[asyncpg.Record]


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
    async with owning(database_url) as owner:
        await owner.execute("UPDATE log.head SET epoch = 2")
    async with projector(database_url, log, mailbox, observer=heard).session() as session:
        events = await write(log, HISTORY[:10])
        mailbox.put(old := letter(replace(events[0], epoch=1, type="contact.forgotten", data=b"{}")))
        assert await session.run_once() == 10
    assert old.acknowledged
    assert heard.kinds == ["foreign"]


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


class Renamed(Unstorable):
    name = "renamed"
