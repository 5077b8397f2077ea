"""What becomes of a round when what it has fired is snoozed, taken back, acknowledged or not delivered."""

from __future__ import annotations

from datetime import timedelta

import pytest

from shared.domain import interview, notification, relationship, seeker
from shared.timing.settling import End, Fire
from tests.timing.story import (
    COACH,
    SEEKER,
    Story,
    answers,
    at,
    fired,
    id_of,
)


def test_what_fired_does_not_come_again() -> None:
    """Given a fired notification, when anything moves the round, then only the stages to come move."""
    story = Story()
    story.holds("2026-05-05T10:00+02:00")
    due = fired(story, "thank_you")
    assert "due" not in story.due("thank_you")
    story.moves("2026-05-05T13:00+02:00", "America/New_York")
    story.prefers("2026-05-05T13:00+02:00", overrides={"thank_you": {"stages": {"due": {"after": {"hours": 3}}}}})
    assert set(story.due("thank_you")) == {"overdue", "last_call", "coach"}
    assert id_of(due) in story.timer("thank_you", "overdue").guards


def test_snoozing_a_notification() -> None:
    """Given a fired reminder, when it is snoozed, then it comes again then, as another notification, in place of what
    would come before; it may be snoozed again; the coach's stage is not snoozed."""
    story = Story()
    story.enrols("2026-04-01T10:00+02:00")
    story.holds("2026-05-05T10:00+02:00")
    due = fired(story, "thank_you")
    answers(story, due, notification.Snoozed, "2026-05-05T13:00+02:00", until=at("2026-05-07T06:00+02:00"))
    again = story.timer("thank_you")
    assert again.due_at == at("2026-05-07T08:00+02:00")
    assert again.id != id_of(due)
    assert again.moved_by == ("snoozed", "quiet_hours")
    assert story.ended("thank_you") == {"overdue": ("suppressed", "snoozed")}
    assert set(story.due("thank_you")) == {"due", "last_call", "coach"}
    assert again.expires_at == story.due("thank_you")["last_call"]
    second = fired(story, "thank_you")
    assert second.cancellation_key == due.cancellation_key
    assert second.dedupe_key != due.dedupe_key
    answers(story, second, notification.Snoozed, "2026-05-07T09:00+02:00", until=at("2026-05-08T20:00+02:00"))
    assert set(story.due("thank_you")) == {"due", "coach"}
    story.thanks("2026-05-07T10:00+02:00")
    assert story.due("thank_you") == {}


def test_a_snooze_that_ends_at_night_stands_for_what_is_due_in_the_morning() -> None:
    """Given a reminder that was snoozed until the night before the next one, which is due when quiet hours end, then
    there is one of the two in the morning."""
    story = Story("Asia/Kolkata")
    story.asks("2026-01-22T22:30+05:30")
    due = fired(story, "request_follow_up")
    morning = story.due("request_follow_up")["again"]
    answers(story, due, notification.Snoozed, "2026-01-30T09:00+05:30", until=morning - timedelta(hours=9))
    pending = [t for t in story.timers.values() if t.policy == "request_follow_up" and t.due_at == morning]
    assert [timer.moved_by for timer in pending] == [("snoozed", "quiet_hours")]


def test_a_snoozed_reminder_guards_what_is_due_after_it() -> None:
    """Given a reminder that was snoozed until shortly before the next one, then that one waits for it, too: it may have
    been answered. What is due before does not."""
    story = Story()
    story.holds("2026-05-05T10:00+02:00")
    due = fired(story, "thank_you")
    answers(story, due, notification.Snoozed, "2026-05-05T13:00+02:00", until=at("2026-05-07T06:00+02:00"))
    again, last_call = story.timer("thank_you"), story.timer("thank_you", "last_call")
    assert again.due_at < last_call.due_at
    assert again.id in last_call.guards
    assert last_call.id not in again.guards
    assert {again.id, last_call.id} <= set(story.timer("thank_you", "coach").guards)


def test_neither_snoozes_for_the_other() -> None:
    """Given a conversation that was never written up, when the coach puts off what they are told of that, then the
    seeker is reminded in between all the same, and the coach when they wanted."""
    story = Story()
    story.enrols("2026-04-01T10:00+02:00")
    story.schedules("2026-05-01T10:00+02:00", "2026-05-05T10:00+02:00")
    story.run_until("2026-05-06T10:00+02:00")
    to_coach = fired(story, "how_did_it_go", "coach")
    answers(story, to_coach, notification.Snoozed, "2026-05-07T10:00+02:00", until=at("2026-05-14T10:00+02:00"))
    assert story.due("how_did_it_go") == {"again": at("2026-05-11T09:00+02:00"), "coach": at("2026-05-14T10:00+02:00")}
    assert story.ended("how_did_it_go") == {}


def _agreed_loosely() -> tuple[Story, notification.Due]:
    """On Wednesday 10 February; told on Friday that it wants a date."""
    story = Story("Europe/Lisbon")
    story.happens(interview.AgreedLoosely, "2027-02-10T10:00+00:00", what="Coffee after Easter")
    return story, fired(story, "firm_it_up")


FOLLOWING = {"again": at("2027-04-01T10:00+01:00"), "lapse_suggested": at("2027-04-08T10:00+01:00")}
"""What is to follow a reminder of Tuesday 30 March, at ten, to find a date."""


def test_what_follows_a_snoozed_reminder_is_counted_from_when_it_comes() -> None:
    """Given a loose agreement whose first reminder is snoozed for weeks, then the others come after it, each once, as
    the notifications that they were; also when the snooze has come, and when what comes then is snoozed once more."""
    story, due = _agreed_loosely()
    ids = {timer.stage: timer.id for timer in story.timers.values()}
    answers(story, due, notification.Snoozed, "2027-02-12T11:00+00:00", until=at("2027-03-30T10:00+01:00"))
    assert story.due("firm_it_up") == {"due": at("2027-03-30T10:00+01:00")} | FOLLOWING
    assert {stage: story.timer("firm_it_up", stage).id for stage in FOLLOWING} == ids
    assert story.timer("firm_it_up").expires_at == FOLLOWING["again"]
    assert story.endings == {}
    again = fired(story, "firm_it_up")
    assert story.due("firm_it_up") == FOLLOWING
    assert id_of(again) in story.timer("firm_it_up", "again").guards
    answers(story, again, notification.Snoozed, "2027-03-30T11:00+01:00", until=at("2027-04-06T10:00+01:00"))
    assert story.run_until("2027-06-01T10:00+01:00") == [
        ("firm_it_up", stage) for stage in ("due", "again", "lapse_suggested")
    ]
    assert story.endings == {}


def test_what_was_told_before_a_snooze_does_not_come_again() -> None:
    """Given two reminders that were told, when the second is snoozed, then the last alone follows it; when the first
    is, too, then what was put off longest counts."""
    story, due = _agreed_loosely()
    again = fired(story, "firm_it_up", "again")
    answers(story, again, notification.Snoozed, "2027-02-16T11:00+00:00", until=at("2027-03-30T10:00+01:00"))
    assert story.due("firm_it_up") == {
        "again": at("2027-03-30T10:00+01:00"),
        "lapse_suggested": at("2027-04-06T10:00+01:00"),
    }
    answers(story, due, notification.Snoozed, "2027-02-16T12:00+00:00", until=at("2027-03-16T10:00+00:00"))
    assert story.due("firm_it_up")["lapse_suggested"] == at("2027-04-06T10:00+01:00")
    assert story.run_until("2027-06-01T10:00+01:00") == [
        ("firm_it_up", stage) for stage in ("due", "again", "lapse_suggested")
    ]


@pytest.mark.parametrize("told", [False, True])
def test_what_follows_a_snooze_does_so_whatever_becomes_of_that(told: bool) -> None:
    """Given a snoozed reminder that is taken back, or not told in time when it came, then the rest of its round comes
    when it was to come after that."""
    story, due = _agreed_loosely()
    answers(story, due, notification.Snoozed, "2027-02-12T11:00+00:00", until=at("2027-03-30T10:00+01:00"))
    if told:
        late = story.timer("firm_it_up")
        assert isinstance(story.settle(late, late.expires_at), End)
    else:
        answers(story, due, notification.Withdrawn, "2027-02-13T11:00+00:00", reason="withdrawn", because="asked")
    assert story.due("firm_it_up") == FOLLOWING


def test_a_snooze_of_the_seekers_does_not_put_off_the_coach() -> None:
    """Given a conversation that was never written up, when the seeker snoozes what they are asked first, then what they
    are to be told comes after that, and what the coach is to be told comes when it would have come."""
    story = Story()
    story.enrols("2026-04-01T10:00+02:00")
    story.schedules("2026-05-01T10:00+02:00", "2026-05-05T10:00+02:00")
    due, coach = fired(story, "how_did_it_go"), story.timer("how_did_it_go", "coach")
    answers(story, due, notification.Snoozed, "2026-05-05T12:00+02:00", until=at("2026-05-18T18:00+02:00"))
    assert story.due("how_did_it_go") == {
        "coach": coach.due_at,
        "due": at("2026-05-18T18:00+02:00"),
        "next_morning": at("2026-05-19T09:00+02:00"),
        "again": at("2026-05-22T09:00+02:00"),
    }
    assert story.timer("how_did_it_go", "coach").expires_at == coach.expires_at
    assert story.ended("how_did_it_go") == {}


def test_a_shorter_cadence_brings_nothing_before_the_end_of_a_snooze() -> None:
    """Given a tie left alone for ninety days, whose reminder is snoozed, when a shorter cadence would put the rest of
    its round before the end of the snooze, then that follows the snooze all the same, before it has come and after; a
    longer one puts it off."""
    story = Story("Asia/Tokyo")
    story.thanks("2026-01-05T10:00+09:00")
    story.touches("2026-01-10T10:00+09:00")
    due = fired(story, "keep_in_touch")
    answers(story, due, notification.Snoozed, "2026-04-10T11:00+09:00", until=at("2026-04-16T10:00+09:00"))
    before, endings = story.due("keep_in_touch"), dict(story.endings)
    assert before == {
        "due": at("2026-04-16T10:00+09:00"),
        "again": at("2026-04-23T10:00+09:00"),
        "cooling": at("2026-04-30T10:00+09:00"),
    }
    story.between(relationship.CadenceChanged, "2026-04-14T10:00+09:00", cadence_days=60)
    assert story.due("keep_in_touch") == before
    fired(story, "keep_in_touch")
    story.between(relationship.CadenceChanged, "2026-04-17T10:00+09:00", cadence_days=30)
    assert story.due("keep_in_touch").items() == before.items() - {("due", before["due"])}
    assert story.endings == endings
    story.between(relationship.CadenceChanged, "2026-04-18T10:00+09:00", cadence_days=365)
    assert story.due("keep_in_touch")["again"] == at("2027-01-17T10:00+09:00")


def test_a_snooze_that_has_come_stands_for_nothing_more() -> None:
    """Given a reminder that was snoozed and has come again, when the seeker wants the last call before that, then they
    are told of it as of any that is late already."""
    story = Story()
    story.holds("2026-05-05T10:00+02:00")
    due = fired(story, "thank_you")
    answers(story, due, notification.Snoozed, "2026-05-05T13:00+02:00", until=at("2026-05-07T06:00+02:00"))
    fired(story, "thank_you")
    endings = dict(story.endings)
    sooner = {"thank_you": {"stages": {"last_call": {"after": {"hours": 36}}}}}
    story.prefers("2026-05-07T09:00+02:00", overrides=sooner)
    assert story.endings == endings
    assert isinstance(story.settle(story.timer("thank_you", "last_call"), at("2026-05-07T09:00+02:00")), Fire)


def test_what_is_put_before_the_end_of_a_snooze_is_recorded() -> None:
    """Given a reminder that is snoozed, when the seeker wants those that are to follow the talk by so many hours sooner
    than the snooze ends, then that stands for them, and it is recorded so."""
    story = Story()
    story.holds("2026-05-05T10:00+02:00")
    due = fired(story, "thank_you")
    answers(story, due, notification.Snoozed, "2026-05-05T13:00+02:00", until=at("2026-05-06T09:00+02:00"))
    pending = set(story.timers)
    sooner = {"overdue": {"after": {"hours": 20}}, "last_call": {"after": {"hours": 22}}}
    story.prefers("2026-05-05T14:00+02:00", overrides={"thank_you": {"stages": sooner}})
    assert set(story.due("thank_you")) == {"due", "coach"}
    gone = pending - set(story.timers)
    (ending,) = [story.endings[id] for id in gone & story.endings.keys()]
    assert (ending.stages, ending.reason, ending.because) == (("overdue", "last_call"), "suppressed", "snoozed")
    assert gone <= story.over


def test_what_longer_quiet_hours_put_into_a_snooze_is_not_switched_off() -> None:
    """Given a reminder snoozed until shortly before the last call, when the seeker wants quiet until after that, then
    the snooze stands for it; what is switched off by the same wish is recorded as that."""
    quiet = {"start": "21:00", "end": "10:30"}
    story = Story()
    story.holds("2026-05-05T10:00+02:00")
    due = fired(story, "thank_you")
    answers(story, due, notification.Snoozed, "2026-05-05T13:00+02:00", until=at("2026-05-07T08:00+02:00"))
    story.prefers("2026-05-05T14:00+02:00", quiet_hours=quiet)
    assert story.due("thank_you")["due"] == at("2026-05-07T10:30+02:00")
    assert story.ended("thank_you") == {"overdue": ("suppressed", "snoozed"), "last_call": ("suppressed", "snoozed")}

    story = Story()
    story.holds("2026-05-05T10:00+02:00")
    due = fired(story, "thank_you")
    answers(story, due, notification.Snoozed, "2026-05-05T13:00+02:00", until=at("2026-05-06T09:00+02:00"))
    off = {"thank_you": {"stages": {"last_call": {"enabled": False}}}}
    story.prefers("2026-05-05T14:00+02:00", quiet_hours=quiet, overrides=off)
    assert story.ended("thank_you") == {
        "overdue": ("suppressed", "snoozed"),
        "last_call": ("suppressed", "switched_off"),
    }


def test_a_snooze_does_not_outlive_the_moment() -> None:
    """Given a confirmation snoozed until the conversation is over, a lead's reminder until it is too late, and a goal's
    until its date is past, then none of them is told any more."""
    story = Story()
    story.schedules("2026-05-04T10:00+02:00", "2026-05-12T10:00+02:00")
    due = fired(story, "confirmation")
    answers(story, due, notification.Snoozed, "2026-05-11T09:30+02:00", until=at("2026-05-12T15:00+02:00"))
    story.leads("2026-05-11T10:00+02:00", until="2026-05-15")
    due = fired(story, "act_on_lead")
    answers(story, due, notification.Snoozed, "2026-05-14T11:00+02:00", until=at("2026-05-16T09:00+02:00"))
    story.registers("2026-05-14T12:00+02:00", goal_date="2026-06-01")
    due = fired(story, "goal_date_ahead", "two_weeks")
    answers(story, due, notification.Snoozed, "2026-05-18T10:00+02:00", until=at("2026-06-02T09:00+02:00"))
    ends = {
        "confirmation": "2026-05-12T10:00",
        "act_on_lead": "2026-05-16T00:00",
        "goal_date_ahead": "2026-06-02T00:00",
    }
    for policy, end in ends.items():
        (timer,) = [t for t in story.timers.values() if t.policy == policy and "snoozed" in t.moved_by]
        assert timer.expires_at == at(f"{end}+02:00")
        assert isinstance(story.settle(timer, timer.due_at), End)


def test_what_is_taken_back_does_not_come_again() -> None:
    """Given a fired reminder that was snoozed, when it is withdrawn, then the snooze ends by that, and is recorded so;
    the later ones stay. Snoozed once more when it came again and then withdrawn, likewise."""
    story = Story()
    story.holds("2026-05-05T10:00+02:00")
    first = fired(story, "thank_you")
    answers(story, first, notification.Snoozed, "2026-05-05T13:00+02:00", until=at("2026-05-05T18:00+02:00"))
    again = story.timer("thank_you")
    answers(story, first, notification.Withdrawn, "2026-05-05T14:00+02:00", reason="withdrawn", because="asked")
    assert set(story.due("thank_you")) == {"overdue", "last_call", "coach"}
    ending = story.endings[again.id]
    assert (ending.reason, ending.because, ending.stages) == ("withdrawn", "notification.withdrawn", ("due",))

    overdue = fired(story, "thank_you", "overdue")
    answers(story, overdue, notification.Snoozed, "2026-05-06T11:00+02:00", until=at("2026-05-06T12:00+02:00"))
    second = fired(story, "thank_you", "overdue")
    answers(story, second, notification.Snoozed, "2026-05-06T13:00+02:00", until=at("2026-05-06T15:00+02:00"))
    answers(story, second, notification.Withdrawn, "2026-05-06T14:00+02:00", reason="withdrawn", because="asked")
    assert set(story.due("thank_you")) == {"last_call", "coach"}


@pytest.mark.parametrize("how", ["acted_on", "dismissed"])
def test_acknowledging_ends_the_reminders_of_the_round(how: str) -> None:
    story = Story()
    story.holds("2026-05-05T10:00+02:00")
    due = fired(story, "thank_you")
    answers(story, due, notification.Acknowledged, "2026-05-05T13:00+02:00", how=how)
    assert story.due("thank_you") == {}
    assert set(story.ended("thank_you").values()) == {("withdrawn", "acknowledged")}


def test_having_seen_it_changes_nothing() -> None:
    story = Story()
    story.holds("2026-05-05T10:00+02:00")
    due = fired(story, "thank_you")
    answers(story, due, notification.Acknowledged, "2026-05-05T13:00+02:00", how="seen")
    assert set(story.due("thank_you")) == {"overdue", "last_call", "coach"}


def test_acknowledging_keep_in_touch_starts_the_next_interval() -> None:
    """Given keep-in-touch fell due, when acted on, then the next is due a cadence later; an answer to a round that is
    over changes nothing."""
    story = Story("Asia/Tokyo")
    story.thanks("2026-05-01T10:00+09:00")
    due = fired(story, "keep_in_touch")
    answers(story, due, notification.Acknowledged, "2026-06-01T10:00+09:00", how="acted_on")
    assert story.due("keep_in_touch")["due"] == at("2026-08-30T10:00+09:00")
    pending = dict(story.timers)
    answers(story, due, notification.Acknowledged, "2026-06-05T10:00+09:00", how="acted_on")
    assert story.timers == pending


def test_what_can_not_be_delivered_is_told_to_the_coach() -> None:
    story = Story()
    story.enrols("2026-04-01T10:00+02:00")
    story.holds("2026-05-08T15:00+02:00")
    due = fired(story, "thank_you")
    assert due.escalates_to == COACH
    answers(story, due, notification.Escalated, "2026-05-08T17:30+02:00", coach_id=COACH)
    timer = story.timer("undeliverable", "coach")
    assert (timer.recipient.id, timer.recipient.role) == (COACH, "coach")
    assert timer.due_at == at("2026-05-08T17:30+02:00")
    assert timer.subject_id == SEEKER


UNDELIVERED = [("undeliverable", "coach")]


def _fails(story: Story, policy: str, stage: str, when: str) -> list[tuple[str, str]]:
    """A reminder falls due and can't reach her; what the coach is told of that."""
    answers(story, fired(story, policy, stage), notification.Escalated, when, coach_id=COACH)
    told = story.run_until(when)
    return [one for one in told if one == UNDELIVERED[0]]


def _unreachable() -> Story:
    """A coach who was told that nothing reaches her, by two reminders about different things that failed."""
    story = Story()
    story.enrols("2026-04-01T10:00+02:00")
    story.holds("2026-05-08T10:00+02:00")
    assert _fails(story, "thank_you", "due", "2026-05-08T12:30+02:00") == UNDELIVERED
    assert _fails(story, "connect", "due", "2026-05-11T09:30+02:00") == []
    return story


def test_a_dead_address_is_told_to_the_coach_once() -> None:
    """Given a reminder that could not reach her, when another one can't either, whatever it is about, then the coach
    is not told again; what reaches the coach changes nothing about that, what reaches her does."""
    story = _unreachable()
    to_coach = fired(story, "thank_you", "coach")
    answers(story, to_coach, notification.Delivered, "2026-05-11T10:30+02:00")
    story.leads("2026-05-11T11:00+02:00", "job_opening")
    reached = fired(story, "act_on_job_opening")
    answers(story, reached, notification.Escalated, "2026-05-12T12:00+02:00", coach_id=COACH)
    assert story.due("undeliverable") == {}
    answers(story, reached, notification.Delivered, "2026-05-12T12:30+02:00")
    assert _fails(story, "act_on_job_opening", "week_1", "2026-05-19T11:30+02:00") == UNDELIVERED


def test_corrected_details_are_a_new_address_to_fail() -> None:
    """Given a coach who was told of a dead address, when it is corrected, and the new one is dead, too, then the coach
    is told again; a correction that comes before the coach could be told makes that needless."""
    story = _unreachable()
    story.tell(SEEKER, seeker.DetailsCorrected(name="Maya", email="maya@example.org"), "2026-05-11T11:00+02:00")
    story.leads("2026-05-11T12:00+02:00", "job_opening")
    failed = fired(story, "act_on_job_opening")
    answers(story, failed, notification.Escalated, "2026-05-16T12:30+02:00", coach_id=COACH)
    assert story.due("undeliverable") == {"coach": at("2026-05-18T08:00+02:00")}
    story.tell(SEEKER, seeker.DetailsCorrected(name="Maya", email="m@example.org"), "2026-05-17T11:00+02:00")
    assert story.due("undeliverable") == {}
    assert story.ended("undeliverable") == {"coach": ("withdrawn", "seeker.details_corrected")}


def test_what_the_coach_was_not_told_in_time_is_told_when_the_next_fails() -> None:
    """Given that the coach could not be told, for that had expired in an outage, when another reminder can't reach the
    seeker, then the coach is told of that."""
    story = Story()
    story.enrols("2026-04-01T10:00+02:00")
    story.holds("2026-05-08T10:00+02:00")
    answers(story, fired(story, "thank_you"), notification.Escalated, "2026-05-08T12:30+02:00", coach_id=COACH)
    late = story.timer("undeliverable", "coach")
    assert isinstance(story.settle(late, late.expires_at), End)
    assert _fails(story, "connect", "due", "2026-05-18T10:00+02:00") == UNDELIVERED
