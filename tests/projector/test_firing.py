"""Firing on a real database: what is due becomes an event once, whatever races or dies, and nothing needless fires."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from dataclasses import replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any
from uuid import UUID

import asyncpg
import pytest

from services.projector import firing as firing_module
from services.projector import guarding
from services.projector.alarm import Alarm
from services.projector.firing import Firing, FiringSession
from shared.codec import decode
from shared.database.pool import UNAVAILABLE
from shared.domain import interview, notification, programme, relationship, seeker
from shared.domain.identity import relationship_id
from shared.envelope import Recorded
from shared.log import Append, Log
from shared.timing.policies import default_policies
from tests.projector.conftest import (
    PATIENCE,
    assert_equals_a_cold_fold,
    folder,
    projector,
    running,
    until,
    until_blocked,
    write,
)
from tests.projector.histories import START, Happening, appends, on

if TYPE_CHECKING:
    Connection = asyncpg.Connection[asyncpg.Record]

SEEKER, ANA, MEETING = UUID(int=1), UUID(int=2), UUID(int=3)
WHOSE: dict[str, Any] = {"seeker_id": SEEKER, "contact_ids": (ANA,)}
REGISTERED = on("seeker", SEEKER, seeker.Registered(name="Mona Quist", time_zone="Europe/Berlin"))
HELD = on("interview", MEETING, interview.Held(**WHOSE, format="coffee"))
THANKED = on("interview", MEETING, interview.Thanked(**WHOSE, how="email", thanked_ids=(ANA,)))
EVENING = START + timedelta(hours=9)
"""19:00 in Berlin on the day of the conversation: only the first reminder to say thanks is due."""
MUCH_LATER = START + timedelta(days=400)

At = Callable[[datetime], Coroutine[Any, Any, None]]


@pytest.fixture
async def at(database_url: str) -> AsyncIterator[At]:
    """`await at(moment)` sets the database's clock; it stands still there."""
    owner = await asyncpg.connect(database_url)

    async def set_clock(moment: datetime) -> None:
        await owner.execute(
            f"CREATE OR REPLACE FUNCTION log.now() RETURNS timestamptz LANGUAGE sql"
            f" VOLATILE PARALLEL SAFE RETURN '{moment.isoformat()}'::timestamptz"
        )

    await set_clock(START)
    yield set_clock
    await owner.close()


def firing(database_url: str, **options: Any) -> Firing:
    return Firing(database_url, default_policies(), **options)


async def fold(database_url: str, log: Log) -> int:
    async with projector(database_url, log).session() as session:
        return await session.run_once()


async def fire(database_url: str, **options: Any) -> Any:
    async with firing(database_url, **options).session() as session:
        return await session.run_once()


async def told(log: Log) -> list[Recorded[Any]]:
    """The notifications that the log tells of."""
    return [decode(event) for event in await log.read(0, 10_000) if event.category == "notification"]


async def thanks_of(log: Log) -> list[tuple[str, str, str]]:
    found = [event.data for event in await told(log) if event.data.rule.policy == "thank_you"]
    return [(each.type, each.stage, getattr(each, "reason", "")) for each in found]


async def test_what_is_due_fires_once(log: Log, database_url: str, connection: Connection, at: At) -> None:
    """Given an interview that was held, when its reminder is due, then the log holds one `notification.due` with who,
    why and by which event; firing again, folding again and folding anew fire nothing more."""
    events = await write(log, [REGISTERED, HELD])
    await fold(database_url, log)
    assert (await fire(database_url)).due == 0
    await at(EVENING)
    assert (await fire(database_url)).due == 1
    [event] = await told(log)
    assert isinstance(event.data, notification.Due)
    assert (event.version, event.stream_id) == (1, UUID(event.data.dedupe_key))
    assert (event.causation_id, event.correlation_id) == (events[1].event_id, events[1].correlation_id)
    assert event.actor == "policy:thank_you"
    assert event.recorded_at == event.occurred_at == EVENING
    assert event.data.armed_by.position == 2
    assert event.data.late_seconds == (EVENING - event.data.due_at).total_seconds()
    assert (await fire(database_url)).due == 0
    await fold(database_url, log)
    assert (await fire(database_url)).due == 0
    await assert_equals_a_cold_fold(connection, await log.read(0, 100), folder())


async def test_a_timer_that_comes_back_finds_its_event_in_the_log(
    log: Log, database_url: str, connection: Connection, at: At
) -> None:
    """Given that read models and timers are lost and folded anew from the beginning, when they are fired while the
    fold has not come to what was fired, then nothing fires a second time."""
    await write(log, [REGISTERED, HELD])
    await fold(database_url, log)
    await at(EVENING)
    rows = await connection.fetch("SELECT * FROM read.timer WHERE due_at <= $1", EVENING)
    assert (await fire(database_url)).due == len(rows) == 1
    await connection.executemany(
        "INSERT INTO read.timer VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)", [tuple(row) for row in rows]
    )
    again = await fire(database_url)
    assert (again.due, again.settled_before, again.positions) == (0, 1, [])
    assert len(await told(log)) == 1
    assert not await connection.fetchval("SELECT count(*) FROM read.timer WHERE due_at <= $1", EVENING)


async def test_a_timer_whose_cause_is_gone_holds_up_no_other(
    log: Log, database_url: str, connection: Connection, at: At
) -> None:
    """Given a timer armed by an event that is not in the log, then it is put off, and the others fire."""
    await write(log, [REGISTERED, HELD])
    await fold(database_url, log)
    await at(EVENING)
    await connection.execute(
        "INSERT INTO read.timer SELECT tenant, $1, $1, seeker_id, guards, due_at, outcome, ending,"
        " replace(body::text, '\"position\":2', '\"position\":99')::json FROM read.timer WHERE due_at <= $2",
        UUID(int=77),
        EVENING,
    )
    fired = await fire(database_url)
    assert (fired.due, fired.deferred) == (1, 1)


async def test_each_batch_is_judged_at_its_own_time(
    log: Log, database_url: str, connection: Connection, at: At
) -> None:
    """Given a clock that goes on between the batches of a pass, then each event bears the time of its own batch."""
    lives = [on("interview", UUID(int=300 + n), interview.AgreedLoosely(**WHOSE, what="Coffee")) for n in range(2)]
    await write(log, [REGISTERED, *lives])
    await fold(database_url, log)
    day = START.replace(hour=11) + timedelta(days=2)
    owner = await asyncpg.connect(database_url)
    await owner.execute("CREATE SEQUENCE log.tick; GRANT USAGE ON log.tick TO PUBLIC")
    await owner.execute(
        "CREATE OR REPLACE FUNCTION log.now() RETURNS timestamptz LANGUAGE sql VOLATILE PARALLEL SAFE"
        f" RETURN '{day.isoformat()}'::timestamptz + nextval('log.tick') * interval '1 second'"
    )
    await owner.close()
    assert (await fire(database_url, batch=1)).due == 2
    first, second = await told(log)
    assert first.occurred_at < second.occurred_at
    assert all(each.occurred_at < each.recorded_at for each in (first, second))


async def test_two_that_fire_at_once(log: Log, database_url: str, connection: Connection, at: At) -> None:
    """Given many due timers and two processes that fire in small batches at the same moment, then each ends once."""
    people = [UUID(int=100 + n) for n in range(12)]
    lives: list[Happening] = []
    for n, person in enumerate(people):
        whose: dict[str, Any] = {"seeker_id": person, "contact_ids": (ANA,)}
        lives.append(on("seeker", person, seeker.Registered(name="Mona", time_zone="Asia/Kolkata")))
        lives.append(on("interview", UUID(int=200 + n), interview.Held(**whose, format="coffee")))
    await write(log, lives)
    await fold(database_url, log)
    pending = await connection.fetchval("SELECT count(*) FROM read.timer")
    await at(MUCH_LATER)
    one, two = await asyncio.gather(fire(database_url, batch=3), fire(database_url, batch=4))
    for _ in range(2):
        await fold(database_url, log)
        await fire(database_url)
    events = await told(log)
    assert len({event.stream_id for event in events}) == len(events) == pending
    assert one.due + one.ended + two.due + two.ended >= 12 * 3
    assert not await connection.fetchval("SELECT count(*) FROM read.timer WHERE due_at <= $1", MUCH_LATER)


async def test_an_event_that_is_not_folded_yet_silences(log: Log, database_url: str, at: At) -> None:
    """Given a thank-you that was acknowledged a moment ago and is not folded yet, when its reminder is due, then it
    waits; once folded, it is withdrawn and names the event that made it needless."""
    await write(log, [REGISTERED, HELD])
    await fold(database_url, log)
    await at(EVENING)
    await log.append(_second(THANKED, 3, version=1))
    held = await fire(database_url)
    assert (held.due, held.held) == (0, 1)
    assert await told(log) == []
    await fold(database_url, log)
    await fire(database_url)
    thanks = await thanks_of(log)
    assert thanks
    assert {(type, reason) for type, _, reason in thanks} == {("notification.withdrawn", "withdrawn")}
    assert {event.data.cause.position for event in await told(log) if event.data.kind == "thank_you"} == {3}


async def test_an_answer_to_what_fired_silences_the_next_though_neither_is_folded(
    log: Log, database_url: str, connection: Connection, at: At, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given a projector that is far behind, so that only guards tell whether anything moved, when the first reminder
    to follow up fired and was acknowledged, then the second waits until that is folded."""
    monkeypatch.setattr(guarding, "NEAR", 0)
    sent = on("interview", MEETING, interview.RequestSent(**WHOSE, channel="email", minutes=20, intent="To learn."))
    await write(log, [REGISTERED, sent])
    await fold(database_url, log)
    pending = await connection.fetch("SELECT due_at FROM read.timer WHERE subject_id = $1 ORDER BY 1", MEETING)
    await at(pending[0]["due_at"])
    assert (await fire(database_url)).due == 1
    [first] = await told(log)
    same = {name: getattr(first.data, name) for name in notification.NotificationEvent.model_fields}
    answer = on("notification", first.stream_id, notification.Acknowledged.model_validate({**same, "how": "acted_on"}))
    await log.append(_second(answer, 4, version=1))
    await at(pending[1]["due_at"])
    fired = await fire(database_url)
    assert (fired.due, fired.held) == (0, 1)
    await fold(database_url, log)
    await fire(database_url)
    assert [event.type for event in await told(log) if event.type.endswith(".due")] == ["notification.due"]


def _second(happening: Happening, number: int, *, version: int) -> Append:
    [append] = appends([happening], after=number - 1)
    return Append(
        append.tenant,
        append.command_id,
        append.events,
        {happening.stream: version},
        append.occurred_at,
        append.correlation_id,
        append.causation_id,
    )


@pytest.mark.parametrize(("far", "near"), [(10_000, 0), (0, 200), (0, 0)])
async def test_an_event_of_another_stream_that_is_not_folded_yet_silences(
    log: Log, database_url: str, at: At, monkeypatch: pytest.MonkeyPatch, far: int, near: int
) -> None:
    """Given a participant without a conversation and a contact to keep in touch with, when another conversation is
    planned and held and not folded yet, then neither the coach nor the seeker is told, whether the projector is near
    enough to read what it is about, before the log is held or then, or far behind; once folded, both have ended because
    of it."""
    monkeypatch.setattr(guarding, "FAR", far)
    monkeypatch.setattr(guarding, "NEAR", near)
    programme_id, coach, another = UUID(int=7), UUID(int=8), UUID(int=9)
    enrolled = on("programme", programme_id, programme.ParticipantEnrolled(seeker_id=SEEKER, coach_id=coach))
    kept = on(
        "relationship",
        relationship_id(SEEKER, ANA),
        relationship.KeepInTouchStarted(seeker_id=SEEKER, contact_id=ANA, cadence_days=90, first_after_days=14),
    )
    await write(log, [REGISTERED, enrolled, kept])
    await fold(database_url, log)
    await at(START + timedelta(days=24))
    planned = on("interview", another, interview.Planned(**WHOSE, purpose="field", about="Art"))
    await write(log, [planned, on("interview", another, interview.Held(**WHOSE, format="coffee"))], after=3)

    held = await fire(database_url)
    assert held.held >= 2
    assert not {"participant_stalled", "keep_in_touch"} & {event.data.kind for event in await told(log)}
    await fold(database_url, log)
    await fire(database_url)
    ended = {event.data.kind: event.data for event in await told(log) if isinstance(event.data, notification.Withdrawn)}
    assert ended["participant_stalled"].because == ended["keep_in_touch"].because == "interview.held"
    assert not [event for event in await told(log) if event.data.kind in ended and event.type == "notification.due"]


def keeping_in_touch(contact_id: UUID) -> Happening:
    started = relationship.KeepInTouchStarted(
        seeker_id=SEEKER, contact_id=contact_id, cadence_days=90, first_after_days=14
    )
    return on("relationship", relationship_id(SEEKER, contact_id), started)


def _touched(contact_id: UUID) -> relationship.TouchpointRecorded:
    return relationship.TouchpointRecorded(
        seeker_id=SEEKER, contact_id=contact_id, kind="good_wishes", channel="email", by="seeker"
    )


async def test_who_is_behind_holds_up_only_what_that_concerns(
    log: Log, database_url: str, at: At, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given more events that are not folded than may be read while the log is held, one of them about one of two
    relationships, then the seeker is reminded of the other, however many batches it takes, and each of those events is
    read once, before the log is held."""
    monkeypatch.setattr(guarding, "NEAR", 0)
    decoded: list[int] = []

    def noting(recorded: Recorded[bytes]) -> Recorded[Any]:
        decoded.append(recorded.position)
        return decode(recorded)

    monkeypatch.setattr(guarding, "decode", noting)
    bo, cy = UUID(int=21), UUID(int=22)
    await write(log, [REGISTERED, *map(keeping_in_touch, (ANA, bo, cy))])
    await fold(database_url, log)
    others = [on("seeker", UUID(int=n), seeker.Registered(name="x", time_zone="Asia/Tokyo")) for n in range(100, 120)]
    moved = _second(on("relationship", relationship_id(SEEKER, bo), _touched(bo)), 5, version=1)
    await log.append(moved)
    await write(log, others, after=5)
    await at(START + timedelta(days=24))
    fired = await fire(database_url, batch=1)
    assert fired.due == 2
    assert fired.held > 0
    assert {e.data.subject_id for e in await told(log)} == {relationship_id(SEEKER, ANA), relationship_id(SEEKER, cy)}
    assert decoded == list(range(5, 26))


async def test_what_is_far_from_the_fold_is_read_and_kept_no_more(
    log: Log, database_url: str, at: At, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given a fold that stands still, when the log grows little by little beyond what is read of it, then no more is
    read, though each step is small."""
    monkeypatch.setattr(guarding, "FAR", 5)
    monkeypatch.setattr(guarding, "NEAR", 0)
    decoded: list[int] = []

    def noting(recorded: Recorded[bytes]) -> Recorded[Any]:
        decoded.append(recorded.position)
        return decode(recorded)

    monkeypatch.setattr(guarding, "decode", noting)
    await write(log, [REGISTERED, keeping_in_touch(ANA)])
    await fold(database_url, log)
    await at(START + timedelta(days=24))
    async with firing(database_url).session() as session:
        await log.append(_second(on("relationship", relationship_id(SEEKER, ANA), _touched(ANA)), 3, version=1))
        for number in range(4, 13):
            other = on("seeker", UUID(int=100 + number), seeker.Registered(name="x", time_zone="Asia/Tokyo"))
            await write(log, [other], after=number)
            assert (await session.run_once()).due == 0
    assert decoded == list(range(3, 8))


async def test_an_event_that_is_just_being_appended_silences(
    log: Log, database_url: str, connection: Connection, at: At
) -> None:
    """Given a thank-you whose append is under way, then firing waits for it rather than being quicker."""
    await write(log, [REGISTERED, HELD])
    await fold(database_url, log)
    await at(EVENING)
    async with asyncio.TaskGroup() as group:
        async with connection.transaction():
            await Log.append_within(connection, [_second(THANKED, 3, version=1)])
            task = group.create_task(fire(database_url))
            observer = await asyncpg.connect(database_url)
            await until_blocked(observer)
            await observer.close()
        fired = await task
    assert (fired.due, fired.held) == (0, 1)


async def test_other_streams_do_not_hold_it_up(log: Log, database_url: str, at: At) -> None:
    """Given a log that is far ahead on other streams, then what is due on its own still fires."""
    await write(log, [REGISTERED, HELD])
    await fold(database_url, log)
    await write(log, [on("seeker", UUID(int=9), seeker.Registered(name="x", time_zone="Asia/Tokyo"))], after=50)
    await at(EVENING)
    assert (await fire(database_url)).due == 1


async def test_after_an_outage_the_late_ones_fire_or_expire(log: Log, database_url: str, at: At) -> None:
    """Given that nothing fired for a day and a half, then of each round what still makes sense fires, how late is
    said, and what a later stage has overtaken is recorded as expired."""
    await write(log, [REGISTERED, HELD])
    await fold(database_url, log)
    await at(START + timedelta(hours=28))
    await fire(database_url)
    thanks = await thanks_of(log)
    assert ("notification.due", "overdue", "") in thanks
    assert ("notification.withdrawn", "due", "expired") in thanks


async def test_a_parked_stream_keeps_its_timers_waiting(
    log: Log, database_url: str, connection: Connection, at: At
) -> None:
    """Given that events of the interview wait because folding one failed, then nobody is told on half the facts."""
    await write(log, [REGISTERED, HELD])
    await fold(database_url, log)
    await connection.execute(
        "INSERT INTO read.parked (tenant, stream_id, category, position, model, error)"
        " VALUES ('acme', $1, 'interview', 3, 'pipeline', 'broken')",
        MEETING,
    )
    await at(EVENING)
    assert (await fire(database_url)).due == 0
    await connection.execute("DELETE FROM read.parked")
    assert (await fire(database_url)).due == 1


async def with_a_parked_conversation(log: Log, database_url: str, connection: Connection, at: At) -> UUID:
    """A conversation that waits because folding it failed, and that would have ended reminders about the seeker and the
    relationship, when those are due; so are the ones about somebody else, whose id is answered, and in another tenant.
    """
    programme_id, another, else_ = UUID(int=7), UUID(int=9), UUID(int=10)
    enrolled = on("programme", programme_id, programme.ParticipantEnrolled(seeker_id=SEEKER, coach_id=UUID(int=8)))
    kept = [
        on(
            "relationship",
            relationship_id(seeker_id, ANA),
            relationship.KeepInTouchStarted(seeker_id=seeker_id, contact_id=ANA, cadence_days=90, first_after_days=14),
        )
        for seeker_id in (SEEKER, else_)
    ]
    other = on("seeker", else_, seeker.Registered(name="Ole Vik", time_zone="Europe/Berlin"))
    twins = [replace(each, tenant="umbrella") for each in (other, kept[1])]
    lives = [REGISTERED, other, enrolled, *kept, *twins]
    held = on("interview", another, interview.Held(**WHOSE, format="coffee"))
    await write(log, [*lives, held])
    await connection.execute(
        "INSERT INTO read.parked (tenant, stream_id, category, position, model, error)"
        " VALUES ('acme', $1, 'interview', $2, 'pipeline', 'broken')",
        another,
        len(lives) + 1,
    )
    await fold(database_url, log)
    await at(START + timedelta(days=24))
    return else_


async def due_reminders(log: Log) -> set[tuple[str, str, UUID]]:
    """Of the reminders that fired: tenant, kind and seeker."""
    return {(e.tenant, e.data.kind, e.data.seeker_id) for e in await told(log) if e.type == "notification.due"}


async def test_a_stream_that_is_parked_while_its_timer_is_claimed_keeps_it_waiting(
    log: Log, database_url: str, connection: Connection, at: At
) -> None:
    """Given a due timer that has been locked, when its stream is parked before all that judging it takes is read, then
    it waits: what is not folded of that stream is behind the checkpoint by then."""
    await write(log, [REGISTERED, HELD])
    await fold(database_url, log)
    await at(EVENING)

    class Between:
        """A connection on which something happens once the timers are locked."""

        def __init__(self, own: Any) -> None:
            self._own = own

        def __getattr__(self, name: str) -> Any:
            return getattr(self._own, name)

        async def fetch(self, query: str, *arguments: Any) -> Any:
            rows = await self._own.fetch(query, *arguments)
            if query == firing_module.QUERIES["lock"]:
                await connection.execute(
                    "INSERT INTO read.parked (tenant, stream_id, category, position, model, error)"
                    " VALUES ('acme', $1, 'interview', 3, 'x', 'y') ON CONFLICT DO NOTHING",
                    MEETING,
                )
            return rows

    async with firing(database_url).session() as session:
        session._connections = [Between(each) for each in session._connections]  # type: ignore[misc]
        assert (await session.run_once()).due == 0
    assert await told(log) == []


async def test_what_waits_of_a_parked_stream_silences_others(
    log: Log, database_url: str, connection: Connection, at: At
) -> None:
    """Given a conversation that waits and would have ended reminders about others, then those are not fired; one that
    nothing parked concerns is."""
    else_ = await with_a_parked_conversation(log, database_url, connection, at)
    assert (await fire(database_url)).held >= 2
    due = await due_reminders(log)
    assert {("acme", "keep_in_touch", else_), ("umbrella", "keep_in_touch", else_)} <= due
    assert not {("acme", "keep_in_touch", SEEKER), ("acme", "participant_stalled", SEEKER)} & due


async def test_what_waits_of_a_conversation_silences_no_other_of_the_same_seeker(
    log: Log, database_url: str, connection: Connection, at: At
) -> None:
    """Given a conversation that waits because folding it failed, then the seeker is reminded of another one: nothing
    that waits concerns it, though it concerns the seeker."""
    await with_a_parked_conversation(log, database_url, connection, at)
    other = on("interview", UUID(int=12), interview.AgreedLoosely(**WHOSE, what="Tea"), START + timedelta(days=22))
    await write(log, [other], after=20)
    await fold(database_url, log)
    await fire(database_url)
    assert ("acme", "firm_it_up", SEEKER) in await due_reminders(log)


@pytest.mark.parametrize("said", ["whom", "nobody"])
async def test_what_waits_and_can_not_be_read_silences_whom_it_names(
    log: Log, database_url: str, connection: Connection, at: At, said: str
) -> None:
    """Given a parked conversation that this release can't read, then nobody is reminded whom it names; and nobody in
    its tenant of what it may be about, where it does not say whom it names."""
    else_ = await with_a_parked_conversation(log, database_url, connection, at)
    unread = "replace(convert_from(data, 'utf8'), 'coffee', 'telepathy')"
    if said == "nobody":
        unread = f"replace({unread}, 'seeker_id', 'whose')"
    owner = await asyncpg.connect(database_url, server_settings={"session_replication_role": "replica"})
    await owner.execute(f"UPDATE log.event SET data = convert_to({unread}, 'utf8') WHERE type = 'interview.held'")
    await owner.close()
    await fire(database_url)
    due = await due_reminders(log)
    assert ("umbrella", "keep_in_touch", else_) in due
    assert (("acme", "keep_in_touch", else_) in due) == (said == "whom")
    assert not {("acme", "keep_in_touch", SEEKER), ("acme", "participant_stalled", SEEKER)} & due


async def test_where_too_much_waits_its_tenant_is_not_told_on_half_the_facts(
    log: Log, database_url: str, connection: Connection, at: At, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given that more waits of a tenant's parked streams than is read, then its reminders about people and
    relationships wait, whosever they are; those of other tenants, and those about conversations, fire."""
    monkeypatch.setattr(guarding, "WAITING", 1)
    agreed = interview.AgreedLoosely(**WHOSE, what="Coffee some time")
    promised = on("interview", UUID(int=11), agreed, START + timedelta(days=22))
    else_ = await with_a_parked_conversation(log, database_url, connection, at)
    await write(log, [promised], after=20)
    await fold(database_url, log)
    await fire(database_url)
    due = await due_reminders(log)
    assert ("umbrella", "keep_in_touch", else_) in due
    assert not {kind for tenant, kind, _ in due if tenant == "acme"} & {"keep_in_touch", "participant_stalled"}
    assert {kind for tenant, kind, _ in due if tenant == "acme"}


async def test_what_leads_nowhere_else_does_not_crowd_a_tenant_out(
    log: Log, database_url: str, connection: Connection, at: At, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given a parked conversation of which much waits that concerns nothing else, then it holds up what it would have
    ended, and no other reminder of its tenant."""
    monkeypatch.setattr(guarding, "WAITING", 2)
    else_ = await with_a_parked_conversation(log, database_url, connection, at)
    prepared = on("interview", UUID(int=9), interview.Prepared(**WHOSE))
    for version in (1, 2, 3):
        await log.append(_second(prepared, 20 + version, version=version))
    await fold(database_url, log)
    await fire(database_url)
    due = await due_reminders(log)
    assert ("acme", "keep_in_touch", else_) in due
    assert not {("acme", "keep_in_touch", SEEKER), ("acme", "participant_stalled", SEEKER)} & due


async def test_what_waits_is_read_before_the_log_is_held(
    log: Log, database_url: str, connection: Connection, at: At, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given a parked stream, when firing comes to where nobody may append, then it has read what waits of it."""
    await with_a_parked_conversation(log, database_url, connection, at)
    read: list[str] = []

    def noting(recorded: Recorded[bytes]) -> Recorded[Any]:
        read.append(recorded.type)
        return decode(recorded)

    monkeypatch.setattr(guarding, "decode", noting)
    async with asyncio.TaskGroup() as group:
        async with connection.transaction():
            await connection.execute("SELECT FROM log.head FOR UPDATE")
            task = group.create_task(fire(database_url))
            observer = await asyncpg.connect(database_url)
            await until_blocked(observer)
            await observer.close()
            assert read == ["interview.held"]
        await task
    assert read == ["interview.held"]


async def test_a_coach_of_people_in_two_time_zones(log: Log, database_url: str, at: At) -> None:
    """Given reminders for one coach about people on different clocks, due in one batch, then all fire."""
    programme_id, coach, zones = UUID(int=7), UUID(int=8), ("Europe/Berlin", "Europe/Lisbon", "Asia/Tokyo")
    lives: list[Happening] = []
    for number, zone in enumerate(zones, start=20):
        seeker_id = UUID(int=number)
        lives.append(on("seeker", seeker_id, seeker.Registered(name="Mona", time_zone=zone)))
        enrolled = programme.ParticipantEnrolled(seeker_id=seeker_id, coach_id=coach)
        lives.append(on("programme", programme_id, enrolled))
    first, *others = [life for life in lives if life.stream.category == "programme"]
    await write(log, [first, *(life for life in lives if life.stream.category == "seeker")])
    for version, life in enumerate(others, start=1):
        await log.append(_second(life, 10 + version, version=version))
    await fold(database_url, log)
    await at((START + timedelta(days=24)).replace(hour=10))
    await fire(database_url)
    due = [event.data for event in await told(log) if event.type == "notification.due"]
    assert len([each for each in due if each.recipient.id == coach]) == len(zones)


async def test_what_firing_itself_appends_holds_nothing_back(
    log: Log, database_url: str, at: At, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given more reminders about relationships than are read of what is not folded yet, when they fire batch by batch
    without any folding between, then all fire in one pass."""
    monkeypatch.setattr(guarding, "NEAR", 4)
    people = [UUID(int=400 + n) for n in range(15)]
    lives: list[Happening] = []
    for person in people:
        kept = relationship.KeepInTouchStarted(seeker_id=person, contact_id=ANA, cadence_days=90, first_after_days=14)
        lives.append(on("seeker", person, seeker.Registered(name="Mona", time_zone="Europe/Berlin")))
        lives.append(on("relationship", relationship_id(person, ANA), kept))
    await write(log, lives)
    await fold(database_url, log)
    await at((START + timedelta(days=24)).replace(hour=11))
    fired = await fire(database_url, batch=2)
    assert (fired.due, fired.held) == (len(people), 0)


async def test_a_log_that_was_restored_fires_nothing(log: Log, database_url: str, at: At) -> None:
    """Given a log of another timeline than the timers', then all of them wait."""
    await write(log, [REGISTERED, HELD])
    await fold(database_url, log)
    await at(EVENING)
    owner = await asyncpg.connect(database_url)
    await owner.execute("UPDATE log.head SET epoch = 2")
    await owner.close()
    fired = await fire(database_url)
    assert (fired.due, fired.held) == (0, 1)


async def test_a_person_is_not_flooded(log: Log, database_url: str, connection: Connection, at: At) -> None:
    """Given more than a day's measure of reminders due for one person at once, in several batches and passes, then
    that day's fire, the others are put off to the next, and nothing is lost."""
    cap = default_policies().limits.cap_per_day
    meetings = [UUID(int=300 + n) for n in range(cap + 5)]
    lives = [on("interview", each, interview.AgreedLoosely(**WHOSE, what="Coffee some time")) for each in meetings]
    await write(log, [REGISTERED, *lives])
    await fold(database_url, log)
    day = START.replace(hour=11) + timedelta(days=2)
    await at(day)
    first = await fire(database_url, batch=3)
    assert (first.due, first.deferred) == (cap, 5)
    again = await fire(database_url)
    assert (again.due, again.deferred) == (0, 0)
    await fold(database_url, log)
    await at(day + timedelta(days=1))
    assert (await fire(database_url)).due >= 5
    due = [event.data for event in await told(log) if event.type == "notification.due"]
    assert {each.subject_id for each in due if each.stage == "due"} == set(meetings)


async def test_a_day_that_began_later_elsewhere_counts_as_today(
    log: Log, database_url: str, connection: Connection, at: At
) -> None:
    """Given somebody who was told a day's measure on a day that began to the east of where they live now, and later
    than their day here, then no more is told to them today."""
    cap = default_policies().limits.cap_per_day
    await write(log, [REGISTERED, on("interview", MEETING, interview.AgreedLoosely(**WHOSE, what="Coffee"))])
    await fold(database_url, log)
    day = START.replace(hour=11) + timedelta(days=2)
    await at(day)
    there = day - timedelta(hours=1)
    await connection.execute("INSERT INTO read.told VALUES ('acme', $1, $2, $3)", SEEKER, there, cap)
    assert (await fire(database_url)).deferred == 1
    assert await told(log) == []
    await at(day + timedelta(days=1))
    assert (await fire(database_url)).due == 1


@pytest.mark.parametrize("near", [200, 0])
async def test_a_coach_whom_an_event_names_that_is_not_folded_yet_is_told(
    log: Log, database_url: str, connection: Connection, at: At, monkeypatch: pytest.MonkeyPatch, near: int
) -> None:
    """Given a thank-you that a coach is to be told of, and nobody who coaches, when the seeker is enrolled with a coach
    and that is not folded yet, then it waits, near or far behind; once folded, that coach is told."""
    monkeypatch.setattr(guarding, "NEAR", near)
    await write(log, [REGISTERED, HELD])
    await fold(database_url, log)
    of_coach = "policy' = 'thank_you' AND body -> 'recipient' ->> 'role' = 'coach'"
    due_at = await connection.fetchval(f"SELECT due_at FROM read.timer WHERE body ->> '{of_coach}")
    await at(due_at)
    coach = UUID(int=8)
    enrolled = programme.ParticipantEnrolled(seeker_id=SEEKER, coach_id=coach)
    await write(log, [on("programme", UUID(int=7), enrolled)], after=2)
    await fire(database_url)
    assert "coach" not in [stage for _, stage, _ in await thanks_of(log)]
    await fold(database_url, log)
    await fire(database_url)
    [event] = [each.data for each in await told(log) if each.data.stage == "coach"]
    assert (event.type, event.recipient.id) == ("notification.due", coach)


async def test_what_is_held_back_is_no_part_of_a_days_measure(log: Log, database_url: str, at: At) -> None:
    """Given one more reminder than a day's measure, one of which waits for the fold, then all others fire that day."""
    cap = default_policies().limits.cap_per_day
    meetings = [UUID(int=300 + n) for n in range(cap + 1)]
    lives = [on("interview", each, interview.AgreedLoosely(**WHOSE, what="Coffee some time")) for each in meetings]
    await write(log, [REGISTERED, *lives])
    await fold(database_url, log)
    await at(START.replace(hour=11) + timedelta(days=2))
    lapsed = on("interview", meetings[0], interview.Lapsed(**WHOSE))
    await log.append(_second(lapsed, len(lives) + 2, version=1))
    fired = await fire(database_url)
    assert (fired.due, fired.held, fired.deferred) == (cap, 1, 0)


async def test_one_that_can_not_be_judged_keeps_no_other_waiting(
    log: Log, database_url: str, connection: Connection, at: At
) -> None:
    """Given a timer whose row is broken, then it is put off and said so, and the others fire."""
    await write(log, [REGISTERED, HELD])
    await fold(database_url, log)
    await connection.execute(
        "INSERT INTO read.timer (tenant, id, subject_id, seeker_id, guards, due_at, body)"
        " VALUES ('acme', $1, $1, $1, '{}', $2, '{\"armed_by\": {\"position\": 1}}')",
        UUID(int=666),
        START,
    )
    await at(EVENING)
    fired = await fire(database_url)
    assert (fired.due, fired.deferred) == (1, 1)
    assert await connection.fetchval("SELECT due_at FROM read.timer WHERE id = $1", UUID(int=666)) > EVENING


async def test_it_dies_before_its_commit(log: Log, database_url: str, connection: Connection, at: At) -> None:
    """Given that firing is killed while it waits for the log's head, then nothing has happened; the next one fires."""
    await write(log, [REGISTERED, HELD])
    await fold(database_url, log)
    await at(EVENING)
    async with connection.transaction():
        await connection.execute("SELECT 1 FROM log.head FOR UPDATE")
        task = asyncio.create_task(fire(database_url))
        observer = await asyncpg.connect(database_url)
        await until_blocked(observer)
        await observer.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
            " AND datname = current_database()"
        )
        await observer.close()
        with pytest.raises(UNAVAILABLE):
            await task
    assert await told(log) == []
    assert (await fire(database_url)).due == 1


async def test_the_loop_wakes_for_what_the_fold_writes(log: Log, database_url: str, at: At) -> None:
    """Given a firing loop that would look again only in an hour, when the fold writes something that is due, then it
    fires at once."""
    alarm = Alarm()
    await at(EVENING)
    async with (
        running(firing(database_url, alarm=alarm, poll_interval=3600).run),
        projector(database_url, log, alarm=alarm).session() as session,
    ):
        await write(log, [REGISTERED, HELD])
        await session.run_once()
        await until(lambda: told(log))
    assert [event.type for event in await told(log)] == ["notification.due"]


async def test_the_loop_wakes_for_what_had_to_wait_for_the_fold(log: Log, database_url: str, at: At) -> None:
    """Given a firing loop that would look again only in an hour, and a due timer that waits because something of its
    stream is not folded, when the fold comes along and leaves the timer as it is, then it fires at once."""

    class Heard(Alarm):
        """Tells when the loop has found something that is held back."""

        def __init__(self) -> None:
            super().__init__()
            self.held = asyncio.Event()

        def want_moves(self) -> None:
            super().want_moves()
            self.held.set()

    alarm = Heard()
    noted = interview.NotesTaken(**WHOSE, text="Ask again")
    await write(log, [REGISTERED, HELD])
    await fold(database_url, log)
    await at(EVENING)
    await log.append(_second(on("interview", MEETING, noted), 9, version=1))
    async with (
        running(firing(database_url, alarm=alarm, poll_interval=3600).run),
        projector(database_url, log, alarm=alarm).session() as session,
    ):
        await asyncio.wait_for(alarm.held.wait(), PATIENCE)
        assert await told(log) == []
        await session.run_once()
        await until(lambda: told(log))
    assert [event.type for event in await told(log)] == ["notification.due"]


async def test_the_loop_wakes_when_something_falls_due(log: Log, database_url: str, connection: Connection) -> None:
    """Given a timer that falls due in a moment by the database's running clock, then it fires then, unasked."""
    await write(log, [REGISTERED, HELD, THANKED])
    await fold(database_url, log)
    await connection.execute("UPDATE read.timer SET due_at = log.now() + interval '200 milliseconds'")
    async with running(firing(database_url, poll_interval=3600).run):
        await until(lambda: told(log))


async def test_it_stops_between_two_batches(log: Log, database_url: str, at: At) -> None:
    await write(log, [REGISTERED, HELD])
    await fold(database_url, log)
    await at(MUCH_LATER)
    async with firing(database_url, batch=1).session() as session:
        Stopping(session)
        assert len((await session.run_once()).positions) == 1
    assert len(await told(log)) == 1


class Stopping:
    """Tells a session to stop during its first batch."""

    def __init__(self, session: FiringSession) -> None:
        self._session = session
        session._observer = self

    def settled(self, policy: str, outcome: str, late: float | None) -> None:
        self._session.stopping = True
