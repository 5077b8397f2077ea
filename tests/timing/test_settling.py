"""What a timer ends as when its time has come."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest

from shared.domain import interview, programme, relationship, seeker
from shared.domain.notification import Due
from shared.timing.endings import withdrawal
from shared.timing.policies import Policies
from shared.timing.settling import Defer, End, Fire, in_turn, settle, start_of_day
from shared.timing.timers import Timer
from tests.timing.story import COACH, CONTACT, INTERVIEW, PROGRAMME, RELATIONSHIP, SEEKER, Story, at, fired, named, utc


def _due(story: Story, timer: Timer, late: timedelta = timedelta(0)) -> Due:
    result = story.settle(timer, timer.due_at + late)
    assert isinstance(result, Fire)
    return result.event


def test_the_shape_of_a_notification_event() -> None:
    """Given thanks that are due, when fired 90 seconds late, then the event says all that a delivery service needs,
    in ids."""
    story = Story("Europe/Berlin", "DE")
    story.enrols("2026-04-01T10:00+02:00")
    held = story.holds("2026-05-05T15:00+02:00")
    timer = story.timer("thank_you")
    event = _due(story, timer, timedelta(seconds=90))
    assert event.model_dump(mode="json", exclude_none=True) == {
        "kind": "thank_you",
        "stage": "due",
        "rule": {"policy": "thank_you", "version": "3"},
        "subject": "interview",
        "subject_id": str(INTERVIEW),
        "occurrence": str(held.event_id),
        "recipient": {"id": str(SEEKER), "role": "seeker", "time_zone": "Europe/Berlin"},
        "seeker_id": str(SEEKER),
        "contact_ids": [str(CONTACT)],
        "interview_id": str(INTERVIEW),
        "cancellation_key": f"thank_you:{INTERVIEW}:{held.event_id}",
        "dedupe_key": str(timer.id),
        "group_key": f"{SEEKER}:2026-05-05T17",
        "due_at": "2026-05-05T15:00:00Z",
        "local_due": "2026-05-05T17:00:00",
        "not_before": "2026-05-05T15:00:00Z",
        "expires_at": "2026-05-06T13:00:00Z",
        "late_seconds": 90,
        "urgency": "high",
        "topic": "gratitude",
        "armed_by": {"event_id": str(held.event_id), "type": "interview.held", "position": held.position},
        "moved_by": [],
        "actions": [
            {"command": "interview.thank", "category": "interview", "id": str(INTERVIEW)},
            {"command": "notification.acknowledge", "category": "notification", "id": str(timer.id)},
            {"command": "notification.snooze", "category": "notification", "id": str(timer.id)},
        ],
        "escalates_to": str(COACH),
    }


def test_actions_name_the_stream_that_they_go_to() -> None:
    story = Story()
    story.thanks("2026-05-01T10:00+02:00")
    event = _due(story, story.timer("keep_in_touch"))
    assert {a.id for a in event.actions if a.category == "relationship"} == {RELATIONSHIP}


def test_not_before_its_time() -> None:
    story = Story()
    story.holds("2026-05-05T15:00+02:00")
    timer = story.timer("thank_you")
    early = timer.due_at - timedelta(seconds=1)
    assert story.settle(timer, early) == Defer(timer.due_at, "not_yet")


def test_late_but_not_too_late() -> None:
    """Given an outage until the next morning, then thanks fire late; from the moment that the next stage is due, they
    have expired."""
    story = Story()
    story.holds("2026-05-05T15:00+02:00")
    timer = story.timer("thank_you")
    recipient = story.recipients[SEEKER]
    late = settle(timer, at("2026-05-06T14:59:59+02:00"), recipient, 0, story.policies)
    assert isinstance(late, Fire)
    assert late.event.late_seconds == 22 * 3600 - 1
    gone = settle(timer, at("2026-05-06T15:00+02:00"), recipient, 0, story.policies)
    assert isinstance(gone, End)
    assert (gone.event.reason, gone.event.because) == ("expired", "moment_passed")
    assert (gone.event.due_at, gone.event.cancellation_key) == (timer.due_at, timer.cancellation_key)


def test_late_ones_keep_out_of_quiet_hours() -> None:
    """Given an outage that ends at 23:00, then what is late waits for the morning."""
    story = Story()
    story.holds("2026-05-05T15:00+02:00")
    assert story.settle(story.timer("thank_you"), at("2026-05-05T23:00+02:00")) == Defer(
        at("2026-05-06T08:00+02:00"), "quiet_hours"
    )


@pytest.mark.parametrize("kind", ["quiet_hours", "waking_hours"])
def test_hours_said_with_an_offset_are_those_of_ones_own_clock(kind: str) -> None:
    """Given two seekers who said the hours with offsets, which begin and end at the same instants, then each has the
    hours that their clock shows, as without an offset.
    """
    said = [("19:00", "10:00", "+00:00"), ("20:00", "11:00", "+01:00")]
    stretches = []
    for start, end, offset in said:
        plain, story = Story(), Story()
        plain.prefers("2026-01-01T10:00+00:00", **{kind: {"start": start, "end": end}})
        story.prefers("2026-01-01T10:00+00:00", **{kind: {"start": start + offset, "end": end + offset}})
        stretches.append(story.recipients[SEEKER].waking(story.policies))
        assert stretches[-1] == plain.recipients[SEEKER].waking(plain.policies)

    assert stretches[0] != stretches[1]


def test_what_is_counted_in_working_days_waits_for_one() -> None:
    story = Story("Europe/Berlin", "DE")
    story.leads("2026-03-30T10:00+02:00")
    timer = story.timer("act_on_lead")
    assert timer.due_at == at("2026-04-02T10:00+02:00")
    good_friday = at("2026-04-03T10:00+02:00")
    assert story.settle(timer, good_friday) == Defer(at("2026-04-07T08:00+02:00"), "quiet_hours")


@pytest.mark.parametrize("muted", ["act_on_lead", "act_on_job_opening"])
def test_a_muted_kind_is_recorded_as_suppressed(muted: str) -> None:
    """Given a policy muted by its own name or its kind, when due, then it ends as suppressed, even when late."""
    story = Story()
    story.prefers("2026-05-01T10:00+02:00", muted=[muted])
    story.leads("2026-05-04T10:00+02:00", "job_opening")
    timer = story.timer("act_on_job_opening")
    for now in (timer.due_at, timer.expires_at + timedelta(days=1)):
        result = settle(timer, now, story.recipients[SEEKER], 0, story.policies)
        assert isinstance(result, End)
        assert (result.event.reason, result.event.because) == ("suppressed", "muted")


def test_who_mutes_a_kind_mutes_nothing_for_the_coach() -> None:
    """Given a seeker who has muted thanks, and gives none, then the coach is told all the same."""
    story = Story()
    story.enrols("2026-05-01T10:00+02:00")
    story.prefers("2026-05-01T11:00+02:00", muted=["thank_you"])
    story.holds("2026-05-05T10:00+02:00")
    told = story.run_until("2026-05-12T10:00+02:00")
    assert [stage for policy, stage in told if policy == "thank_you"] == ["coach"]


def test_a_seeker_can_not_mute_what_the_coach_is_told_of_the_programme() -> None:
    story = Story()
    story.prefers("2026-05-01T10:00+02:00", muted=["participant_stalled"])
    story.enrols("2026-05-04T10:00+02:00")
    assert _due(story, story.timer("participant_stalled", "coach")).recipient.role == "coach"


def test_no_coach_to_tell() -> None:
    story = Story()
    story.holds("2026-05-05T15:00+02:00")
    timer = story.timer("thank_you", "coach")
    result = story.settle(timer, timer.due_at)
    assert isinstance(result, End)
    assert (result.event.reason, result.event.because) == ("suppressed", "no_coach")
    assert result.event.recipient.id is None


def test_the_coach_of_the_programme_is_told() -> None:
    """Given two programmes, then a stalled participant's coach is that programme's; else the latest one's."""
    story = Story()
    story.enrols("2026-05-04T10:00+02:00")
    other, second = named("other programme"), named("second coach")
    story.tell(other, programme.ParticipantEnrolled(seeker_id=SEEKER, coach_id=second), "2026-05-05T10:00+02:00")
    coaches = {t.programme_id: t.recipient.id for t in story.timers.values() if t.policy == "participant_stalled"}
    assert coaches == {PROGRAMME: COACH, other: second}
    story.schedules("2026-05-05T15:00+02:00", "2026-05-12T15:00+02:00")
    assert story.timer("how_did_it_go", "coach").recipient.id == second


def test_the_coach_of_the_interviews_own_programme_is_told() -> None:
    """Given a seeker in two programmes, when an interview was planned in the first, then that one's coach is told about
    it, before and after it was held, and of what does not reach the seeker."""
    story = Story()
    story.enrols("2026-05-04T10:00+02:00")
    second = programme.ParticipantEnrolled(seeker_id=SEEKER, coach_id=named("second coach"))
    story.tell(named("other programme"), second, "2026-05-05T10:00+02:00")
    story.plans("2026-05-05T11:00+02:00", programme_id=PROGRAMME)
    story.schedules("2026-05-05T15:00+02:00", "2026-05-12T15:00+02:00")
    assert story.timer("how_did_it_go", "coach").recipient.id == COACH
    story.holds("2026-05-12T15:30+02:00")
    assert story.timer("thank_you", "coach").recipient.id == COACH
    assert story.timer("thank_you", "coach").programme_id == PROGRAMME
    assert story.timer("thank_you").escalates_to == COACH


def test_an_unknown_zone_does_not_ring_at_night() -> None:
    """Given a seeker in a zone that this machine does not know, when due, then nobody is told, and it is said why."""
    story = Story("Mars/Olympus")
    story.holds("2026-05-05T15:00+00:00")
    timer = story.timer("thank_you")
    result = story.settle(timer, timer.due_at)
    assert isinstance(result, End)
    assert (result.event.reason, result.event.because) == ("suppressed", "unknown_time_zone")


def test_a_seeker_who_left_meanwhile() -> None:
    story = Story()
    story.holds("2026-05-05T15:00+02:00")
    timer = story.timer("thank_you")
    story.tell(SEEKER, seeker.Left(), "2026-05-05T16:00+02:00")
    result = settle(timer, timer.due_at, story.recipients[SEEKER], 0, story.policies)
    assert isinstance(result, End)
    assert (result.event.reason, result.event.because) == ("withdrawn", "seeker.left")


def test_the_cap_of_the_day() -> None:
    """Given the day's cap is reached, then what is not urgent waits for the next morning; urgent things and coaches
    do not."""
    story = Story()
    story.enrols("2026-05-01T10:00+02:00")
    story.leads("2026-05-04T10:00+02:00")
    story.holds("2026-05-05T15:00+02:00")
    lead_timer, thanks = story.timer("act_on_lead"), story.timer("thank_you")
    coach = story.timer("thank_you", "coach")
    cap = story.policies.limits.cap_per_day
    recipient = story.recipients[SEEKER]
    below = settle(lead_timer, lead_timer.due_at, recipient, cap - 1, story.policies)
    assert isinstance(below, Fire)
    reached = settle(lead_timer, lead_timer.due_at, recipient, cap, story.policies)
    assert reached == Defer(at("2026-05-08T08:00+02:00"), "cap_per_day")
    for timer in (thanks, coach):
        assert isinstance(settle(timer, timer.due_at, recipient, cap, story.policies), Fire)


def test_what_is_low_leaves_half_of_the_day_to_what_is_not() -> None:
    """Given so many ties that there is a reminder of some on any day, then they take half of the day's places."""
    story = Story()
    story.thanks("2026-05-04T10:00+02:00")
    timer, recipient = story.timer("keep_in_touch"), story.recipients[SEEKER]
    half = story.policies.limits.cap_per_day // 2
    assert isinstance(settle(timer, timer.due_at, recipient, half - 1, story.policies), Fire)
    assert isinstance(settle(timer, timer.due_at, recipient, half, story.policies), Defer)


def test_what_the_cap_puts_off_comes_with_the_next_digest() -> None:
    """Given the day's cap is reached by a digest, then the rest comes with the next one."""
    story = Story()
    story.prefers("2026-05-01T10:00+02:00", digest=True)
    story.leads("2026-05-04T10:00+02:00")
    timer, recipient = story.timer("act_on_lead"), story.recipients[SEEKER]
    result = settle(timer, timer.due_at, recipient, story.policies.limits.cap_per_day, story.policies)
    assert result == Defer(at("2026-05-11T09:00+02:00"), "cap_per_day")


def test_of_what_is_put_off_to_one_moment_the_oldest_comes_first() -> None:
    """Given reminders that were due at different times, up to a year ago, when all are put off to one moment, some for
    the second time, then within a second of it they are looked at in the order in which they were due."""
    until = at("2026-06-08T08:00+09:00")
    ages = [timedelta(days=365), timedelta(days=2), timedelta(hours=30), timedelta(minutes=2), timedelta(minutes=1)]
    turns = [in_turn(until, until - age) for age in ages]
    assert turns == sorted(set(turns))
    assert until <= turns[0] < turns[-1] < until + timedelta(seconds=1)
    assert in_turn(until, until - timedelta(days=9000)) == in_turn(until, until) == until


def test_the_day_of_the_cap_is_the_recipients() -> None:
    assert start_of_day("Asia/Kolkata", utc("2026-05-05 19:00")) == at("2026-05-06T00:00+05:30")
    assert start_of_day("Europe/Berlin", at("2026-03-29T12:00+02:00")) == at("2026-03-29T00:00+01:00")
    assert start_of_day("Mars/Olympus", utc("2026-05-05 19:00")) == utc("2026-05-05 00:00")


def test_what_fires_at_once_is_grouped() -> None:
    """Given several rules fired in one hour, then they share a group; an hour later is another."""
    story = Story()
    story.leads("2026-05-04T10:00+02:00")
    story.thanks("2026-04-07T10:05+02:00")
    lead_timer, touch = story.timer("act_on_lead"), story.timer("keep_in_touch")
    assert (lead_timer.due_at, touch.due_at) == (at("2026-05-07T10:00+02:00"), at("2026-05-07T10:05+02:00"))
    assert _due(story, lead_timer).group_key == _due(story, touch).group_key
    recipient = story.recipients[SEEKER]
    later = settle(touch, at("2026-05-07T11:05+02:00"), recipient, 0, story.policies)
    assert isinstance(later, Fire)
    assert later.event.group_key == f"{SEEKER}:2026-05-07T11"


def test_a_digest() -> None:
    """Given a digest at nine, then what is not urgent comes with the next one, in one group; urgent things and
    deadlines keep their time."""
    story = Story()
    story.prefers("2026-05-01T10:00+02:00", digest=True)
    story.leads("2026-05-04T10:00+02:00")
    story.thanks("2026-04-07T15:05+02:00")
    story.holds("2026-05-05T15:00+02:00")
    story.schedules("2026-05-04T10:00+02:00", "2026-05-20T14:00+02:00")
    lead_timer, touch = story.timer("act_on_lead"), story.timer("keep_in_touch")
    assert lead_timer.due_at == at("2026-05-08T09:00+02:00")
    assert lead_timer.moved_by == ("digest",)
    assert story.timer("thank_you").due_at == at("2026-05-05T17:00+02:00")
    assert story.timer("preparation").due_at == at("2026-05-17T14:00+02:00")
    # The conversation of 5 May restarted the cadence: 90 days later, and the digest after that.
    assert touch.due_at == at("2026-08-04T09:00+02:00")
    assert _due(story, lead_timer).group_key == f"{SEEKER}:2026-05-08"


def test_a_digest_does_not_outlive_the_lead() -> None:
    """Given an opening that closes today, then its reminder does not wait for tomorrow's digest."""
    story = Story()
    story.prefers("2026-05-01T10:00+02:00", digest=True)
    story.leads("2026-05-04T10:00+02:00", until="2026-05-07")
    assert story.timer("act_on_lead").due_at == at("2026-05-07T10:00+02:00")


@pytest.mark.parametrize(
    ("recorded", "digest"),
    [
        ("2026-06-09T15:00+02:00", "2026-06-15T09:00+02:00"),  # due on Friday afternoon: Monday's
        ("2026-05-19T15:00+02:00", "2026-05-26T09:00+02:00"),  # Monday is Whit Monday
        ("2026-06-09T08:30+02:00", "2026-06-12T09:00+02:00"),  # Friday's own
    ],
)
def test_a_digest_falls_on_a_working_day(recorded: str, digest: str) -> None:
    """Given a reminder counted in working days, when the day's digest is past, then it comes with that of the next
    working day, and nothing puts it off any more."""
    story = Story(country="DE")
    story.prefers("2026-05-01T10:00+02:00", digest=True)
    story.leads(recorded)
    timer = story.timer("act_on_lead")
    assert (timer.due_at, timer.moved_by) == (at(digest), ("digest",))
    assert isinstance(story.settle(timer, timer.due_at), Fire)


@pytest.mark.parametrize(
    ("recorded", "digest_at", "due"),
    [
        ("2026-05-04T23:00+02:00", "09:00", "2026-05-08T10:00+02:00"),  # due on Thursday night: Friday's digest
        ("2026-05-05T10:15+02:00", "09:00", "2026-05-11T10:00+02:00"),  # due after Friday's, which was at ten
        ("2026-05-04T15:00+02:00", "22:30", "2026-05-08T10:00+02:00"),  # Thursday's comes on Friday morning
        ("2026-05-05T23:00+02:00", "22:30", "2026-05-11T10:00+02:00"),  # due on Friday night: so does that, on Monday
    ],
)
def test_a_digest_of_somebody_who_sleeps_at_its_hour(recorded: str, digest_at: str, due: str) -> None:
    """Given somebody who is up from ten in the morning to ten at night, then a digest of any other hour comes when they
    wake, with all that is due by then."""
    story = Story()
    hours, limits = {"start": "10:00", "end": "22:00"}, {"limits": {"digest_at": digest_at}}
    story.prefers("2026-05-01T10:00+02:00", digest=True, waking_hours=hours, overrides=limits)
    story.leads(recorded)
    assert story.timer("act_on_lead").due_at == at(due)


def test_a_policy_switched_off() -> None:
    """Given overrides by tenant and seeker, then the seeker's win; when a policy is switched off, what is pending ends
    and stays ended; the next round counts again."""
    general = Story().policies
    tenants = {"tenant": {"act_on_lead": {"stages": {"due": {"then": {"working_days": 2}}}}}}
    story = Story(policies=Policies(general.limits, general.by_name, tenants))
    story.leads("2026-05-04T10:00+02:00")
    assert story.due("act_on_lead")["due"] == at("2026-05-06T10:00+02:00")
    version = story.timer("act_on_lead").policy_version
    story.prefers(
        "2026-05-04T11:00+02:00", overrides={"act_on_lead": {"stages": {"due": {"then": {"days": 1}, "at": "18:00"}}}}
    )
    assert story.due("act_on_lead")["due"] == at("2026-05-05T18:00+02:00")
    assert len({version, story.timer("act_on_lead").policy_version, "1"}) == 3
    pending = story.timer("act_on_lead")
    story.prefers("2026-05-04T12:00+02:00", overrides={"act_on_lead": {"enabled": False}})
    assert story.due("act_on_lead") == {}
    assert story.ended("act_on_lead")["due"] == ("withdrawn", "switched_off")
    story.prefers("2026-05-04T13:00+02:00", overrides={"act_on_lead": {"stages": {"due": {"enabled": False}}}})
    assert story.due("act_on_lead") == {}
    story.leads("2026-05-05T10:00+02:00")
    assert set(story.due("act_on_lead")) == {"week_1", "week_2", "week_3"}
    assert isinstance(settle(pending, pending.due_at, None, 0, story.policies), End)


def test_a_stage_switched_off() -> None:
    """Given the first reminder of a round was told, when its last is switched off, then that one ends in a way that
    makes nothing needless which was told; the rest stays pending, and ends as withdrawn with the policy."""
    story = Story()
    story.leads("2026-05-04T10:00+02:00")
    fired(story, "act_on_lead")
    off = {"stages": {"week_3": {"enabled": False}}}
    story.prefers("2026-05-08T10:00+02:00", overrides={"act_on_lead": off})
    assert story.ended("act_on_lead") == {"week_3": ("suppressed", "switched_off")}
    assert set(story.due("act_on_lead")) == {"week_1", "week_2"}
    story.prefers("2026-05-08T11:00+02:00", overrides={"act_on_lead": {"enabled": False, **off}})
    assert story.ended("act_on_lead")["week_2"] == ("withdrawn", "switched_off")


@pytest.mark.parametrize(
    ("lacking", "reason"), [("stages.week_3", "suppressed"), ("policies.act_on_lead", "withdrawn")]
)
def test_what_the_policies_do_not_know(lacking: str, reason: str) -> None:
    """Given a pending reminder, when it is judged by policies that lack its stage, then it alone is not told; by such
    as lack all of its policy, nothing of its round is wanted any more."""
    story = Story()
    story.leads("2026-05-04T10:00+02:00")
    timer, general = story.timer("act_on_lead", "week_3"), story.policies
    policies = dict(general.by_name)
    whole = policies.pop("act_on_lead")
    if lacking.startswith("stages"):
        policies["act_on_lead"] = whole.model_copy(update={"stages": whole.stages[:3]})
    recipient = story.recipients[SEEKER]
    result = settle(timer, timer.due_at, recipient, 0, Policies(general.limits, policies))
    assert isinstance(result, End)
    assert (result.event.reason, result.event.because) == (reason, "switched_off")


def test_stages_keep_their_order_out_of_quiet_hours() -> None:
    """Given a last call an hour after overdue, both at night, when one moves later and one earlier, then the second is
    not due before the first, which has expired by then: one reminder, not two."""
    story = Story()
    story.prefers(
        "2026-05-01T10:00+02:00", overrides={"thank_you": {"stages": {"last_call": {"after": {"hours": 25}}}}}
    )
    story.holds("2026-05-05T22:00+02:00")
    overdue, last = story.timer("thank_you", "overdue"), story.timer("thank_you", "last_call")
    assert overdue.due_at == last.due_at == at("2026-05-07T08:00+02:00")
    assert last.moved_by == ("quiet_hours", "after_previous")
    assert isinstance(story.settle(overdue, overdue.due_at), End)
    assert isinstance(story.settle(last, last.due_at), Fire)


def test_overridden_cadence_and_limits() -> None:
    story = Story("Asia/Tokyo")
    overrides = {"keep_in_touch": {"cadence_days": 60, "first_days": 14}, "limits": {"cap_per_day": 1}}
    story.prefers("2026-04-01T10:00+09:00", overrides=overrides)
    story.thanks("2026-05-01T10:00+09:00")
    timer = story.timer("keep_in_touch")
    assert timer.due_at == at("2026-05-15T10:00+09:00")
    result = settle(timer, timer.due_at, story.recipients[SEEKER], 1, story.policies)
    assert isinstance(result, Defer)
    story.touches("2026-05-10T10:00+09:00")
    assert story.due("keep_in_touch")["due"] == at("2026-07-09T10:00+09:00")


def test_after_an_outage_in_order_and_without_a_storm() -> None:
    """Given forty ties whose touches fell due during an outage, when it ends, then no more than the cap a day."""
    story = Story("Asia/Tokyo")
    people = [named(f"contact {number}") for number in range(40)]
    for person in people:
        story.between(relationship.KeepInTouchStarted, "2026-05-01T10:00+09:00", person)
    now, per_day = at("2026-06-08T08:00+09:00"), dict[str, int]()
    while pending := [t for t in story.timers.values() if t.stage == "due" and t.expires_at > now]:
        deferred = []
        for timer in sorted(pending, key=lambda t: t.due_at):
            result = story.settle(timer, max(now, timer.due_at), per_day.get(str(now.date()), 0))
            if isinstance(result, Fire):
                per_day[str(now.date())] = per_day.get(str(now.date()), 0) + 1
            elif isinstance(result, Defer):
                deferred.append(result.until)
        now = min(deferred, default=now)
        if not deferred:
            break
    assert max(per_day.values()) <= story.policies.limits.cap_per_day
    assert len(per_day) > 1


def _names_a_goal(story: Story) -> None:
    goals = seeker.GoalsChanged.model_validate({"fields": ("Design",), "goal_date": "1900-01-01"})
    story.tell(SEEKER, goals, NOW)


NOW, EARLIEST = "2026-05-04T10:00+02:00", "1900-01-01T00:00+00:00"
LONG_AGO: dict[tuple[str, str], Callable[[Story], object]] = {
    ("seeker.registered", "goal_date"): lambda story: story.registers(NOW, "1900-01-01"),
    ("seeker.goals_changed", "goal_date"): _names_a_goal,
    ("interview.scheduled", "starts_at"): lambda story: story.schedules(NOW, EARLIEST),
    ("interview.rescheduled", "starts_at"): lambda story: story.schedules(NOW, EARLIEST, again=True),
    ("interview.scheduled", "ends_at"): lambda story: story.schedules(NOW, EARLIEST),
    ("interview.rescheduled", "ends_at"): lambda story: story.schedules(NOW, EARLIEST, again=True),
    ("relationship.paused", "until"): lambda story: story.between(relationship.Paused, NOW, until="1900-01-01"),
    ("relationship.snoozed", "until"): lambda story: story.between(relationship.Snoozed, NOW, until=at(EARLIEST)),
    ("interview.agreed_loosely", "not_before"): lambda story: story.happens(
        interview.AgreedLoosely, NOW, what="Coffee", not_before="1900-01-01"
    ),
    ("interview.held", "occurred"): lambda story: story.holds(EARLIEST, NOW, introduced_by=(named("introducer"),)),
    ("interview.thanked", "occurred"): lambda story: story.thanks(EARLIEST, written=NOW),
    ("lead.recorded", "occurred"): lambda story: story.leads(EARLIEST, "job_opening", until="1900-01-01"),
}
"""The earliest that may be said of when something is, was or will be, by event and anchor."""


@pytest.mark.parametrize("zone", ["Europe/Berlin", "America/New_York", "Asia/Kolkata"])
@pytest.mark.parametrize("event", LONG_AGO, ids=".".join)
def test_what_is_counted_from_the_earliest_day_that_may_be_said_comes_to_an_end(
    event: tuple[str, str], zone: str
) -> None:
    """Given the earliest day or time that an event may name, then whatever is counted from it, and was due before even
    that, ends, and is read again as it was written."""
    story = Story(zone, "DE")
    LONG_AGO[event](story)
    pending = list(story.timers.values())
    assert pending
    for timer in pending:
        result = story.settle(timer, max(timer.due_at, at(NOW)))
        assert isinstance(result, Fire | End)
        assert type(result.event).model_validate_json(result.event.model_dump_json()) == result.event
    assert not {timer.id for timer in pending} & story.timers.keys()


def test_every_anchor_is_tried_with_the_earliest_that_may_be_said() -> None:
    arms = {(arm.on, arm.anchor) for policy in Story().policies.by_name.values() for arm in policy.armed_by}
    assert {arm for arm in arms if arm[1] != "occurred"} == {arm for arm in LONG_AGO if arm[1] != "occurred"}


def test_what_is_put_off_to_the_last_day_that_may_be_said_can_be_ended() -> None:
    """Given a snooze until that day, when other policies end what is due on it and after it, then that is written
    without the moment, which an event can't tell."""
    story = Story("America/New_York", "US")
    story.between(relationship.Snoozed, NOW, until=at("2200-01-01T00:00+00:00"))
    after = [timer for timer in story.timers.values() if timer.due_at > at("2200-01-01T00:00+00:00")]
    assert after
    assert {withdrawal(timer, "withdrawn", "switched_off").due_at for timer in after} == {None}
