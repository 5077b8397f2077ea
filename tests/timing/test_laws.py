"""Laws that hold for any history of timing and any habits of a recipient."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, time, timedelta
from uuid import UUID
from zoneinfo import ZoneInfo

from hypothesis import example, given, settings
from hypothesis import strategies as st

from shared.domain import contact, interview, lead, relationship
from shared.domain.identity import notification_id
from shared.domain.notification import Due, Snoozed, Withdrawn
from shared.timing.calendar import Moment, wall, work_week
from shared.timing.offsets import Span, shifted
from shared.timing.settling import Defer, End, Fire, settle
from shared.timing.timers import timers
from shared.timing.waking import earlier, later, waking
from tests.timing.story import CONTACT, RELATIONSHIP, SEEKER, Story, answers, named

ZONES = ("Europe/Berlin", "America/New_York", "Asia/Kolkata", "Australia/Adelaide", "Asia/Tokyo", "Australia/Lord_Howe")
START = datetime(2026, 1, 1, tzinfo=UTC)
LAWS = settings(max_examples=60)

instants = st.integers(0, 2 * 366 * 24 * 60).map(lambda minutes: START + timedelta(minutes=minutes))
clocks = st.times().map(lambda t: t.replace(second=0, microsecond=0))
hours = st.tuples(clocks, clocks)
zones = st.sampled_from(ZONES)


@given(instants, zones, hours, st.none() | hours, st.booleans())
@settings(LAWS, max_examples=200)
@example(datetime(2026, 3, 29, 3, tzinfo=UTC), "Europe/Berlin", (time(0), time(0)), (time(3), time(8)), False)
@example(datetime(2026, 10, 25, 1, 10, tzinfo=UTC), "Europe/Berlin", (time(0), time(0)), (time(22), time(2, 30)), True)
def test_never_in_quiet_hours(
    moment: datetime, zone: str, waking_hours: tuple[time, time], quiet: tuple[time, time] | None, working: bool
) -> None:
    """Given any moment and habits, when moved, then it is open, in the wanted direction, and stays where it is then."""
    tz, habits = ZoneInfo(zone), waking(waking_hours, quiet)
    week = work_week((), "DE") if working else None
    start = Moment.of(moment, tz)
    for move, sign in ((later, 1), (earlier, -1)):
        found = move(start, tz, habits, week)
        assert habits.allows(wall(found.instant, tz))
        assert week is None or week.works(found.local.date())
        assert sign * (found.instant - moment) >= timedelta(0)
        assert found.local == wall(found.instant, tz)
        assert move(found, tz, habits, week) == found
        if quiet and quiet[0] != quiet[1]:
            shown = wall(found.instant, tz).time()
            inside = quiet[0] <= shown < quiet[1] if quiet[0] < quiet[1] else shown >= quiet[0] or shown < quiet[1]
            assert not inside


@given(instants, zones, clocks, st.integers(0, 24 * 40), st.sampled_from((1, -1)))
@settings(LAWS, max_examples=200)
def test_a_time_of_day_is_never_on_the_wrong_side_of_a_span_of_hours(
    moment: datetime, zone: str, at: time, count: int, sign: int
) -> None:
    """Given so many hours after or before a moment, when they lead to a time of day, then it is the next, or the last,
    that the clock shows: never sooner than they say, nor later by more than a day."""
    tz = ZoneInfo(zone)
    plain = moment + sign * timedelta(hours=count)
    found = shifted(Moment.of(moment, tz), Span(hours=count), sign, tz, work_week((), None), at)
    assert timedelta(0) <= sign * (found.instant - plain) <= timedelta(hours=25)
    assert found == Moment.local_at(datetime.combine(found.local.date(), at), tz)


@given(instants, zones, hours, st.none() | hours)
@settings(LAWS)
@example(datetime(2027, 3, 15, 20, tzinfo=UTC), "America/New_York", (time(10), time(22)), None)
@example(datetime(2027, 4, 20, 12, tzinfo=UTC), "Europe/Berlin", (time(8), time(21)), (time(16), time(10)))
def test_a_time_of_day_is_one_of_its_own_day(
    starts: datetime, zone: str, waking_hours: tuple[time, time], quiet: tuple[time, time] | None
) -> None:
    """Given any hours, then what is to come at some time of a day comes on that day, wherever there is a minute on it
    at which the seeker may be disturbed: in time for what it is counted back from, else not before its time."""
    story, long_ago = Story(zone, "DE"), (starts - timedelta(days=200)).isoformat()
    wishes = {"waking_hours": waking_hours, "quiet_hours": quiet}
    said = {name: {"start": wish[0], "end": wish[1]} for name, wish in wishes.items() if wish}
    story.prefers("2025-12-02T10:00+00:00", **said)
    story.registers(long_ago, starts.date().isoformat())
    story.holds(starts.isoformat())
    story.schedules(long_ago, starts.isoformat())
    tz, recipient = ZoneInfo(zone), story.recipients[SEEKER]
    habits, talk = recipient.waking(story.policies), Moment.of(starts, tz)
    goal = Moment.local_at(datetime.combine(starts.date(), time()), tz)
    for policy, anchor in {"connect": talk, "confirmation": talk, "goal_date_ahead": goal}.items():
        for stage in story.policies.by_name[policy].stages:
            plain = shifted(anchor, stage.span, -1 if stage.before else 1, tz, recipient.week(), stage.at)
            midnight = datetime.combine(plain.local.date(), time())
            day = (midnight + timedelta(minutes=n) for n in range(24 * 60))
            awake = (Moment.local_at(minute, tz).instant for minute in day if habits.allows(minute))
            if any(at < anchor.instant if stage.before else at >= plain.instant for at in awake):
                assert story.timer(policy, stage.name).local_due.date() == midnight.date()


STEPS = (
    *("ask", "follow up", "schedule", "reschedule", "prepare", "hold", "thank", "touch", "start", "pause"),
    *("resume", "snooze", "end", "move", "lead", "goal", "enrol", "mute", "digest", "switch off", "switch on"),
    *("fire", "fire", "fire", "put off", "take back", "close", "open", "connect", "report back", "change cadence"),
    "introduce",
)

steps = st.lists(
    st.tuples(
        st.sampled_from(STEPS),
        st.integers(1, 30 * 24),
    ),
    min_size=1,
    max_size=25,
)


PUT_OFF = (("thank", 10), ("touch", 24), ("fire", 91 * 24), ("put off", 1))
"""A tie left alone, whose first reminder is put off."""


class Told:
    """What was fired and not answered yet, and what was snoozed then; the last of them is answered first."""

    def __init__(self) -> None:
        self.open: list[Due] = []
        self.snoozed: list[Due] = []

    def put_off(self, story: Story, now: datetime) -> None:
        if self.open:
            self.snoozed.append(due := self.open.pop())
            stages = {stage.name: stage for stage in story.policies.by_name[due.rule.policy].stages}
            left = {id for id, t in story.timers.items() if t.cancellation_key == due.cancellation_key}
            follow = {id for id in left if stages[story.timers[id].stage].then}
            answers(story, due, Snoozed, now.isoformat(), until=now + timedelta(hours=40))
            assert follow <= story.timers.keys()

    def take_back(self, story: Story, now: datetime) -> None:
        if of := self.snoozed or self.open:
            due = of.pop()
            answers(story, due, Withdrawn, now.isoformat(), reason="withdrawn", because="asked")
            again = [t for t in story.timers.values() if t.cancellation_key == due.cancellation_key]
            assert due.stage not in {t.stage for t in again}


def _lives(story: Story, told: Told, step: str, now: datetime) -> None:
    when = now.isoformat()
    soon = (now + timedelta(days=5)).isoformat()
    match step:
        case "ask":
            story.asks(when)
        case "follow up":
            story.follows_up(when)
        case "schedule" | "reschedule":
            story.schedules(when, soon, again=step == "reschedule")
        case "prepare":
            story.happens(interview.Prepared, when)
        case "hold":
            story.holds((now - timedelta(days=2)).isoformat(), written=when, introduced_by=(named("introducer"),))
        case "thank":
            story.thanks(when)
        case "touch":
            story.touches(when)
        case "connect":
            story.between(relationship.Connected, when)
        case "introduce":
            story.between(relationship.IntroductionMade, when, named("new contact"), connector_id=CONTACT)
        case "report back":
            story.pursues(lead.ReportedBack, when)
        case "start":
            story.between(relationship.KeepInTouchStarted, when)
        case "change cadence":
            tie = story.subjects.get(RELATIONSHIP)
            shorter = tie is None or tie.cadence_days != 60
            story.between(relationship.CadenceChanged, when, cadence_days=60 if shorter else 365)
        case "pause":
            story.between(relationship.Paused, when)
        case "resume":
            story.between(relationship.Resumed, when)
        case "snooze":
            story.between(relationship.Snoozed, when, until=now + timedelta(days=9))
        case "end":
            story.between(relationship.Ended, when)
        case "move":
            story.moves(when, ZONES[story.position % len(ZONES)])
        case "lead":
            story.leads(when)
        case "goal":
            story.registers(when, (now + timedelta(days=100)).date().isoformat())
        case "enrol":
            story.enrols(when)
        case "mute":
            story.prefers(when, muted=["connect"], quiet_hours={"start": "19:30", "end": "10:15"})
        case "digest":
            story.prefers(when, digest=True)
        case "switch off" | "switch on":
            story.prefers(when, overrides={"thank_you": {"enabled": step == "switch on"}})
        case "fire":
            told.open += _fired(story, now)
        case "close":
            story.tell(CONTACT, contact.AskedNotToBeContacted(), when)
        case "open":
            story.tell(CONTACT, contact.HoursOffered(capacity=3), when)
        case "put off":
            told.put_off(story, now)
        case "take back":
            told.take_back(story, now)


def _fired(story: Story, now: datetime) -> Iterator[Due]:
    for timer in sorted(story.timers.values(), key=lambda t: (t.due_at, t.id)):
        if timer.id in story.timers and timer.due_at <= now:
            result = story.settle(timer, now)
            if isinstance(result, Fire):
                yield result.event


@given(steps)
@settings(LAWS)
@example([*PUT_OFF, ("fire", 48), ("change cadence", 1)])
@example([*PUT_OFF, ("change cadence", 1)])
def test_any_history(history: list[tuple[str, int]]) -> None:
    """Given any history, then: computing again changes nothing; nothing that settled comes back; nothing is due in
    quiet hours, nor on a day off where working days count; nothing reminds before what armed it happened, unless it is
    counted back from a date, and nothing after the date that ends it; nothing would reach a contact who is to be left
    alone; of a round the later waits for the earlier; what is to follow a snooze is not lost by that; what is taken
    back does not come again; a timer has one id; everything that vanished has an ending or an event of its own."""
    story, told, now = Story("Europe/Berlin"), Told(), START
    seen: dict[UUID, str] = {}
    over: set[UUID] = set()
    for step, gap in history:
        now += timedelta(hours=gap)
        pending = set(story.timers)
        _lives(story, told, step, now)
        recipient = story.recipients[SEEKER]
        habits = recipient.waking(recipient.policies(story.policies))
        for subject in story.subjects.values():
            own = {k: t for k, t in story.timers.items() if t.subject_id == subject.id}
            assert timers(subject, recipient, story.policies) == own
        for timer in story.timers.values():
            assert timer.id not in over
            assert seen.setdefault(timer.id, timer.cancellation_key) == timer.cancellation_key
            assert habits.allows(timer.local_due)
            assert timer.not_before <= timer.due_at
            policy = story.policies.by_name[timer.policy]
            stage = next(one for one in policy.stages if one.name == timer.stage)
            subject = story.subjects[timer.subject_id]
            arming = next(a for a in subject.armings if timer.occurrence in a.occurrences and a.policy == timer.policy)
            assert not policy.reaches_contact or set(timer.contact_ids) - story.closed
            assert not stage.on_working_days or recipient.week().works(timer.local_due.date())
            assert not (policy.expires_at_anchor and arming.at) or timer.expires_at <= arming.at
            sooner = [t for t in story.timers.values() if t.due_at < timer.due_at]
            assert {t.id for t in sooner if t.cancellation_key == timer.cancellation_key} <= set(timer.guards)
            if stage.before is None:
                assert timer.due_at >= (arming.at or arming.occurred_at)
        gone = pending - set(story.timers)
        assert gone <= story.over | over | set(_settled_now(story, gone))
        over |= gone


def _settled_now(story: Story, gone: set[UUID]) -> list[UUID]:
    """Those whose own `due` is folded: no longer pending, and not ended by another event."""
    fired = []
    for subject in story.subjects.values():
        for arming in subject.armings:
            fired += [notification_id(arming.policy, subject.id, *told) for told in arming.before]
            fired += [notification_id(arming.policy, subject.id, arming.occurrence, stage) for stage in arming.settled]
            again = [snooze for snooze in arming.snoozes if snooze.fired]
            fired += [notification_id(arming.policy, subject.id, one.event_id, one.stage) for one in again]
    return [id for id in gone if id in fired]


@given(instants, st.integers(0, 20 * 24 * 60), st.integers(0, 12), zones, st.booleans())
@settings(LAWS)
def test_settling_always_comes_to_an_end(held: datetime, late: int, fired_today: int, zone: str, digest: bool) -> None:
    """Given any timer and any moment, when settled and looked at again whenever it says, then it fires in waking
    hours, or ends, after a few looks; what fires is neither early nor expired."""
    story = Story(zone, "DE")
    story.prefers("2025-12-02T10:00+00:00", digest=digest)
    story.enrols("2025-12-03T10:00+00:00")
    story.holds(held.isoformat())
    recipient = story.recipients[SEEKER]
    habits = recipient.waking(story.policies)
    for timer in story.timers.values():
        now, looks = held + timedelta(minutes=late), fired_today
        for _ in range(12):
            result = settle(timer, now, recipient, looks, story.policies)
            if not isinstance(result, Defer):
                break
            assert result.until > now
            now, looks = result.until, 0
        assert isinstance(result, Fire | End)
        if isinstance(result, Fire):
            assert timer.due_at <= now < timer.expires_at
            assert habits.allows(wall(now, ZoneInfo(zone)))
        else:
            assert result.event.reason == "expired"
