"""Firing on a real database: what is due becomes an event once, whatever races or dies."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any
from uuid import UUID

import asyncpg
import pytest

from services.projector.firing import guarding
from services.projector.firing.firing import FiringSession
from services.projector.firing.guarding import Ahead
from services.projector.folding.folder import Folder
from services.projector.folding.timing_fold import TimingFold
from services.projector.live.alarm import Alarm
from services.projector.models import MODELS
from shared.database.pool import UNAVAILABLE
from shared.domain import contact, interview, lead, notification, programme, seeker
from shared.log import Log
from shared.timing.policies import default_policies
from tests.projector.conftest import (
    PATIENCE,
    At,
    CountedLog,
    assert_equals_a_cold_fold,
    end_the_blocked,
    folder,
    owning,
    projector,
    running,
    until,
    write,
)
from tests.projector.firings import (
    ANA,
    EVENING,
    HELD,
    MEETING,
    MUCH_LATER,
    REGISTERED,
    SEEKER,
    THANKED,
    WHOSE,
    fire,
    firing,
    fold,
    second,
    thanks_of,
    told,
)
from tests.projector.histories import START, Happening, on

if TYPE_CHECKING:
    Connection = asyncpg.Connection[asyncpg.Record]


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


@pytest.mark.parametrize("fails", [False, True])
async def test_the_fold_gives_way_while_the_head_is_held(
    log: Log, database_url: str, at: At, monkeypatch: pytest.MonkeyPatch, fails: bool
) -> None:
    """Given a page to be folded, while firing holds the log's head, then nothing of it is decoded, for all who append
    would wait for that; once firing has let go, be it by failing, it is folded."""
    await write(log, [REGISTERED, HELD])
    await fold(database_url, log)
    await at(EVENING)
    monkeypatch.setattr("services.projector.live.session.FEW", 1)
    monkeypatch.setattr("services.projector.live.alarm.LONGEST_HOLD", PATIENCE)
    append_within, counted, alarm = Log.append_within, CountedLog(log), Alarm()
    stretches: list[str] = []
    folding: list[asyncio.Task[int]] = []

    class Noting(Folder):
        def plan(self, *what: Any) -> Any:
            stretches.append("plan")
            return super().plan(*what)

    noting = Noting(MODELS, TimingFold(default_policies()))
    async with (
        projector(database_url, counted, folder=noting, alarm=alarm).session() as session,
        firing(database_url, alarm=alarm).session() as fires,
    ):

        async def held(connection: Any, wanted: Any) -> Any:
            folding.append(asyncio.create_task(session.run_once()))
            while not counted.reads:
                await connection.fetchval("SELECT 1")
            for _ in range(50):
                await connection.fetchval("SELECT 1")
            assert stretches == []
            if fails:
                raise RuntimeError("as planned")
            return await append_within(connection, wanted)

        late = [on("contact", UUID(int=90 + n), contact.Added(name="Late", source="event")) for n in range(5)]
        await write(log, late, after=2)
        monkeypatch.setattr(Log, "append_within", staticmethod(held))
        if fails:
            with pytest.raises(RuntimeError, match="as planned"):
                await fires.run_once()
        else:
            assert (await fires.run_once()).due == 1
        assert await folding[0] >= 5
        assert stretches


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


async def test_no_batch_is_locked_while_the_one_before_reads_what_is_not_folded_yet(
    log: Log, database_url: str, at: At, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given a batch that has much to read before its turn comes to append, then the next one is claimed after that:
    its transaction would be idle meanwhile, for longer than the server lets it be."""
    lives = [on("interview", UUID(int=300 + n), interview.AgreedLoosely(**WHOSE, what="Coffee")) for n in range(2)]
    await write(log, [REGISTERED, *lives])
    await fold(database_url, log)
    await at(START.replace(hour=11) + timedelta(days=2))
    order: list[str] = []
    approach, claim = Ahead.approach, FiringSession._claim

    async def read(self: Ahead, *what: Any) -> None:
        order.append("begins to read")
        await approach(self, *what)
        order.append("has read")

    async def locked(self: FiringSession, *what: Any) -> Any:
        order.append("claimed")
        return await claim(self, *what)

    monkeypatch.setattr(Ahead, "approach", read)
    monkeypatch.setattr(FiringSession, "_claim", locked)
    assert (await fire(database_url, batch=1)).due == 2
    once = ["claimed", "begins to read", "has read"]
    assert order == [*once, *once, "claimed"]


@pytest.mark.parametrize(("behind", "pauses"), [(1, 0), (2, 1)])
async def test_what_waits_for_a_fold_that_is_far_behind_is_not_gone_through_at_each_move(
    log: Log, database_url: str, at: At, monkeypatch: pytest.MonkeyPatch, behind: int, pauses: int
) -> None:
    """Given a pass that had to leave something, then the next one follows the fold's next move at once where it is near
    the log's end; where it is too far from it, that is left to the fold for a while: as long as the pass took, and no
    longer than to the next look."""
    monkeypatch.setattr(guarding, "FAR", 1)
    await write(log, [REGISTERED, HELD])
    await fold(database_url, log)
    await at(EVENING)
    await log.append(second(THANKED, 3, version=1))
    if behind == 2:
        await write(log, [on("contact", ANA, contact.Added(name="Ana", source="event"))], after=3)
    stop, waits = asyncio.Event(), list[float]()

    async def wait(stopped: Coroutine[Any, Any, Any], *, timeout: float) -> None:
        stopped.close()
        waits.append(timeout)

    def asked(alarm: Alarm) -> None:
        stop.set()

    monkeypatch.setattr("services.projector.firing.firing.first_of", wait)
    monkeypatch.setattr(Alarm, "want_moves", asked)
    await firing(database_url, poll_interval=0.5).run(stop)
    assert len(waits) == pauses
    assert all(0 < each <= 0.5 for each in waits)


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
        await log.append(second(life, 10 + version, version=version))
    await fold(database_url, log)
    await at((START + timedelta(days=24)).replace(hour=10))
    await fire(database_url)
    due = [event.data for event in await told(log) if event.type == "notification.due"]
    assert len([each for each in due if each.recipient.id == coach]) == len(zones)


async def test_a_log_that_was_restored_fires_nothing(log: Log, database_url: str, at: At) -> None:
    """Given a log of another timeline than the timers', then all of them wait."""
    await write(log, [REGISTERED, HELD])
    await fold(database_url, log)
    await at(EVENING)
    async with owning(database_url) as owner:
        await owner.execute("UPDATE log.head SET epoch = 2")
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


def _agreed(number: int, when: datetime) -> Happening:
    """To be firmed up two working days later: the older the lower the number of the meeting, and of any id."""
    return on("interview", UUID(int=300 + number), interview.AgreedLoosely(**WHOSE, what="Coffee"), when)


async def _numbers_told(log: Log, since: int = 0) -> list[int]:
    """Of the meetings that somebody was told of for the first time, in that order."""
    due = [event.data for event in await told(log) if event.type == "notification.due"]
    return [each.subject_id.int - 300 for each in due if each.stage == "due"][since:]


async def test_what_is_put_off_keeps_its_order(log: Log, database_url: str, at: At) -> None:
    """Given twenty reminders that fell due minute by minute for one person, and eight more that fall due in the night
    before the third day, in small batches, then the oldest are told each morning, however often they were put off, and
    those of the night only where there is room beside them."""
    cap = default_policies().limits.cap_per_day
    lives = [_agreed(n, START + timedelta(minutes=n)) for n in range(20)]
    lives += [_agreed(20 + n, START.replace(hour=22) + timedelta(days=1, minutes=n)) for n in range(cap)]
    await write(log, [REGISTERED, *lives])
    await fold(database_url, log)
    day = START.replace(hour=8) + timedelta(days=2)  # in Berlin, nine in the morning
    for number in range(2):
        await at(day + timedelta(days=number, hours=3 * (1 - number)))
        await fire(database_url, batch=3)
        await fold(database_url, log)
        assert await _numbers_told(log) == list(range(cap * (number + 1)))
    await at(day + timedelta(days=2))
    await fire(database_url, batch=3)
    told_then = await _numbers_told(log, 2 * cap)
    assert len(told_then) == cap
    assert [number for number in told_then if number < 20] == list(range(2 * cap, 20))


@pytest.mark.parametrize("because", ["expired", "parked"])
async def test_what_nobody_will_be_told_of_takes_no_ones_place(
    because: str, log: Log, database_url: str, connection: Connection, at: At
) -> None:
    """Given reminders that were put off to a morning, when by then nobody is to be told of them, for they have expired
    or wait for a parked stream, then others that fall due that morning are told instead."""
    cap = default_policies().limits.cap_per_day
    old = [_agreed(n, START + timedelta(minutes=n)) for n in range(2 * cap)]
    evening = START + timedelta(days=-3, hours=12)
    referral = {"seeker_id": SEEKER, "contact_id": ANA, "kind": "referral", "what": "Call Ben"}
    fresh = [on("lead", UUID(int=400 + n), lead.Recorded.model_validate(referral), evening) for n in range(cap)]
    await write(log, [REGISTERED, *old, *fresh])
    await fold(database_url, log)
    day = START + timedelta(days=2, hours=3)
    await at(day)
    fired = await fire(database_url)
    assert (fired.due, fired.deferred) == (cap, cap)
    await fold(database_url, log)
    if because == "parked":
        await connection.execute(_PARK, [each.stream.id for each in old])
    # On the second day the next reminder of each old conversation is due, so that it is too late for the first.
    await at(day + timedelta(days=2 if because == "expired" else 1))
    await fire(database_url)
    told_then = [event.data for event in await told(log) if event.type == "notification.due"][cap:]
    assert [each.kind for each in told_then] == ["act_on_lead"] * cap


_PARK = """
INSERT INTO read.parked (tenant, stream_id, category, position, model, error)
SELECT 'acme', id, 'interview', 1000, 'pipeline', 'broken' FROM unnest($1::uuid[]) AS id
"""


async def test_after_an_outage_that_ends_at_night_the_oldest_come_first(log: Log, database_url: str, at: At) -> None:
    """Given more reminders than a day's measure that fell due while nothing fired, when it fires again at night, then
    all wait for the morning, and the oldest are told then."""
    cap = default_policies().limits.cap_per_day
    await write(log, [REGISTERED, *(_agreed(n, START + timedelta(minutes=n)) for n in range(cap + 4))])
    await fold(database_url, log)
    night = START.replace(hour=22) + timedelta(days=2)
    await at(night)
    assert (await fire(database_url)).deferred == cap + 4
    await at(night + timedelta(hours=10))
    assert (await fire(database_url)).due == cap
    assert await _numbers_told(log) == list(range(cap))


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
    await log.append(second(lapsed, len(lives) + 2, version=1))
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
        await end_the_blocked(database_url)
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
    await log.append(second(on("interview", MEETING, noted), 9, version=1))
    async with (
        running(firing(database_url, alarm=alarm, poll_interval=3600).run),
        projector(database_url, log, alarm=alarm).session() as session,
    ):
        await asyncio.wait_for(alarm.held.wait(), PATIENCE)
        assert await told(log) == []
        await session.run_once()
        await until(lambda: told(log))
    assert [event.type for event in await told(log)] == ["notification.due"]


async def test_the_loop_wakes_when_something_falls_due(
    log: Log, database_url: str, connection: Connection, at: At, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given a firing loop that would look again only in a day, and a timer that falls due before, then it waits until
    then, and fires, unasked."""
    await write(log, [REGISTERED, HELD])
    await fold(database_url, log)
    due_at = await connection.fetchval("SELECT min(due_at) FROM read.timer")
    day = timedelta(days=1).total_seconds()
    seconds_to_next, waits, told_before = FiringSession.seconds_to_next, list[float](), list[Any]()

    async def that_pass(self: FiringSession, *which: Any) -> float:
        """The first time, at once."""
        waits.append(await seconds_to_next(self, *which))
        if len(waits) > 1:
            return waits[-1]
        told_before.extend(await told(log))
        await at(due_at)
        return 0.0

    monkeypatch.setattr(FiringSession, "seconds_to_next", that_pass)
    async with running(firing(database_url, poll_interval=day).run):
        await until(lambda: told(log))
    assert told_before == []
    assert waits[0] == (due_at - START).total_seconds() < day
    [event] = await told(log)
    assert (event.type, event.recorded_at) == ("notification.due", due_at)


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
