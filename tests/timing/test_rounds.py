"""What arms, disarms, moves, replaces and holds a round; and what the timers that go are told to end as."""

from __future__ import annotations

from datetime import date, timedelta
from uuid import UUID

import pytest

from shared.domain import contact, interview, lead, notification, programme, relationship, seeker
from shared.timing.settling import Defer, End, Fire
from shared.timing.subject import evolve
from shared.timing.timers import RECIPIENT, SUBJECT, TIMER
from tests.timing.story import (
    COACH,
    CONTACT,
    INTERVIEW,
    INTRODUCER,
    LEAD,
    PROGRAMME,
    RELATIONSHIP,
    SEEKER,
    Story,
    at,
    named,
)


def test_thanks_end_the_reminders() -> None:
    """Given a held conversation, when the contact is thanked, then every stage ends as withdrawn, by that event."""
    story = Story()
    story.holds("2026-05-05T10:00+02:00")
    thanked = story.thanks("2026-05-05T11:00+02:00")
    assert story.due("thank_you") == {}
    assert story.ended("thank_you") == dict.fromkeys(
        ("due", "overdue", "last_call", "coach"), ("withdrawn", "interview.thanked")
    )
    (event,) = [e for e in story.endings.values() if (e.kind, e.stage) == ("thank_you", "due")]
    assert event.cause is not None
    assert (event.cause.event_id, event.cause.position) == (thanked.event_id, thanked.position)


def test_thanking_one_of_two_is_not_enough() -> None:
    """Given two contacts, when one is thanked, then the other's thanks stay due; the tie with the first is kept."""
    story = Story()
    other = named("other contact")
    story.holds("2026-05-05T10:00+02:00", contacts=(CONTACT, other))
    story.thanks("2026-05-05T11:00+02:00", complete=False)
    assert story.timer("thank_you").contact_ids == (other,)
    assert not story.ended("thank_you")
    assert story.timer("keep_in_touch").subject_id == RELATIONSHIP
    story.thanks("2026-05-05T12:00+02:00", thanked=(other,))
    assert story.due("thank_you") == {}
    assert story.ended("thank_you")["due"] == ("withdrawn", "interview.thanked")


@pytest.mark.parametrize("thanked_first", [True, False])
def test_who_is_left_to_thank_asked_to_be_left_alone(thanked_first: bool) -> None:
    """Given two contacts, when one is thanked and the other asks to be left alone, in whatever order, then nobody is
    left to be thanked, and it does not come back."""
    story = Story()
    other = named("other contact")
    story.holds("2026-05-05T10:00+02:00", contacts=(CONTACT, other))
    if thanked_first:
        story.thanks("2026-05-05T11:00+02:00", complete=False)
        story.tell(other, contact.AskedNotToBeContacted(), "2026-05-05T11:10+02:00")
    else:
        story.tell(other, contact.AskedNotToBeContacted(), "2026-05-05T11:00+02:00")
        assert story.timer("thank_you").contact_ids == (CONTACT,)
        story.thanks("2026-05-05T11:10+02:00", complete=False)
    assert story.due("thank_you") == {}
    assert set(story.ended("thank_you")) == {"due", "overdue", "last_call", "coach"}
    story.tell(other, contact.HoursOffered(capacity=3), "2026-05-05T12:00+02:00")
    assert story.due("thank_you") == {}


@pytest.mark.parametrize(
    ("event", "said", "policies"),
    [
        (interview.Prepared, {}, {"preparation"}),
        (interview.Confirmed, {}, {"confirmation"}),
        (interview.Cancelled, {"by": "contact"}, {"preparation", "confirmation", "how_did_it_go"}),
        (interview.Missed, {"by": "seeker"}, {"preparation", "confirmation", "how_did_it_go"}),
        (interview.Started, {}, {"preparation", "confirmation"}),
        (interview.Held, {"format": "video"}, {"preparation", "confirmation", "how_did_it_go"}),
        (interview.NotesTaken, {"text": "Much"}, set()),
    ],
)
def test_what_ends_the_reminders_of_an_appointment(
    event: type[interview.InterviewEvent], said: dict[str, object], policies: set[str]
) -> None:
    story = Story()
    story.schedules("2026-05-01T10:00+02:00", "2026-05-20T10:00+02:00")
    story.happens(event, "2026-05-02T10:00+02:00", **said)
    assert {e.rule.policy for e in story.endings.values()} == policies
    assert {e.reason for e in story.endings.values()} <= {"withdrawn"}


@pytest.mark.parametrize(
    "event",
    [
        interview.Accepted,
        interview.Declined,
        interview.Lapsed,
    ],
)
def test_any_answer_ends_the_follow_up(event: type[interview.InterviewEvent]) -> None:
    story = Story()
    story.asks("2026-05-04T10:00+02:00")
    story.happens(event, "2026-05-05T10:00+02:00")
    assert story.due("request_follow_up") == {}


def test_a_new_time_supersedes_the_old_one() -> None:
    """Given an appointment, when it is moved, then its pending reminders end as superseded and new ones are due."""
    story = Story()
    story.schedules("2026-05-01T10:00+02:00", "2026-05-20T10:00+02:00")
    before = set(story.timers)
    story.schedules("2026-05-02T10:00+02:00", "2026-05-27T10:00+02:00", again=True)
    assert not before & set(story.timers)
    assert set(story.ended("preparation").values()) == {("superseded", "interview.rescheduled")}
    assert story.due("preparation")["due"] == at("2026-05-24T10:00+02:00")


def test_another_place_for_the_same_hour_changes_nothing() -> None:
    """Given a fired reminder to prepare, when only the place changes, then it does not come again."""
    story = Story()
    story.schedules("2026-05-01T10:00+02:00", "2026-05-20T10:00+02:00")
    story.run_until("2026-05-18T10:00+02:00")
    pending = dict(story.timers)
    story.schedules("2026-05-18T11:00+02:00", "2026-05-20T10:00+02:00", again=True)
    assert story.timers == pending


def test_who_is_prepared_stays_prepared_when_the_time_moves() -> None:
    story = Story()
    story.schedules("2026-05-01T10:00+02:00", "2026-05-20T10:00+02:00")
    story.happens(interview.Prepared, "2026-05-02T10:00+02:00")
    story.happens(interview.Confirmed, "2026-05-02T10:00+02:00")
    story.schedules("2026-05-03T10:00+02:00", "2026-05-27T10:00+02:00", again=True)
    assert story.due("preparation") == {}
    assert story.due("confirmation") == {"due": at("2026-05-26T09:00+02:00")}


def test_a_follow_up_goes_on_at_the_next_reminder() -> None:
    """Given a silent request, when it is followed up, then the second reminder counts from there, and after the
    second follow-up only the advice to let it rest is left."""
    story = Story()
    story.asks("2026-05-04T10:00+02:00")
    story.follows_up("2026-05-06T10:00+02:00")
    assert story.due("request_follow_up") == {
        "again": at("2026-05-13T10:00+02:00"),
        "lapse_suggested": at("2026-05-20T10:00+02:00"),
    }
    story.follows_up("2026-05-13T10:00+02:00", 2)
    assert story.due("request_follow_up") == {"lapse_suggested": at("2026-05-20T10:00+02:00")}
    assert set(story.ended("request_follow_up").values()) == {("superseded", "interview.request_followed_up")}


def test_connected_before_the_conversation() -> None:
    """Given two who are connected, when they talk, then nobody is reminded to connect."""
    story = Story()
    story.between(relationship.Connected, "2026-05-01T10:00+02:00")
    story.holds("2026-05-05T10:00+02:00")
    assert story.due("connect") == {}


def test_a_conversation_written_up_late_gets_the_right_timings() -> None:
    """Given Tuesday's conversation written up on Friday noon, then thanks are due at once, and the coach is not told
    before the seeker has been reminded for a day."""
    story = Story()
    story.enrols("2026-04-01T10:00+02:00")
    story.holds("2026-05-05T15:00+02:00", written="2026-05-08T12:00+02:00")
    assert story.due("thank_you") == {
        "due": at("2026-05-05T17:00+02:00"),
        "overdue": at("2026-05-06T15:00+02:00"),
        "last_call": at("2026-05-07T15:00+02:00"),
        "coach": at("2026-05-11T08:00+02:00"),  # Saturday 12:00 is no working day
    }
    assert story.timer("thank_you", "coach").moved_by == ("written_late",)
    results = {}
    for timer in sorted((t for t in story.timers.values() if t.policy == "thank_you"), key=lambda t: t.due_at):
        results[timer.stage] = type(story.settle(timer, at("2026-05-08T12:00+02:00"))).__name__
    assert results == {"due": "End", "overdue": "End", "last_call": "Fire", "coach": "Defer"}
    assert story.ended("thank_you") == {
        "due": ("expired", "moment_passed"),
        "overdue": ("expired", "moment_passed"),
    }


def test_a_tie_that_is_late_already_is_told_of_once() -> None:
    """Given a cadence that is made shorter than the tie was left alone, or thanks written up months late, then the
    seeker is told once that it cools."""
    story = Story()
    story.thanks("2026-01-05T10:00+01:00")
    story.touches("2026-01-10T10:00+01:00")
    story.between(relationship.CadenceChanged, "2026-01-10T11:00+01:00", cadence_days=365)
    assert story.run_until("2026-10-01T10:00+02:00") == []
    story.between(relationship.CadenceChanged, "2026-10-01T10:00+02:00", cadence_days=30)
    late = Story()
    thanked = interview.Thanked(
        seeker_id=SEEKER, contact_ids=(CONTACT,), how="email", thanked_ids=(CONTACT,), complete=True
    )
    late.tell(INTERVIEW, thanked, "2026-03-01T10:00+01:00", "2026-10-01T10:00+02:00")
    for one in (story, late):
        pending = sorted((t for t in one.timers.values() if t.policy == "keep_in_touch"), key=lambda t: t.due_at)
        results = {timer.stage: one.settle(timer, max(timer.due_at, at("2026-10-01T12:00+02:00"))) for timer in pending}
        assert {stage: type(result) for stage, result in results.items()} == {"due": End, "again": End, "cooling": Fire}


def test_ties_that_are_written_down_late_by_the_dozen_do_not_cool_all_at_once() -> None:
    """Given forty conversations of last year that are imported, then the seeker hears of few in one day, each once."""
    story = Story()
    for number in range(40):
        whom = named(f"contact {number}")
        thanked = interview.Thanked(seeker_id=SEEKER, contact_ids=(whom,), how="email", thanked_ids=(whom,))
        story.tell(named(f"talk {number}"), thanked, "2026-01-05T10:00+01:00", "2026-10-01T10:00+02:00")
    dues = [timer.local_due.date() for timer in story.timers.values() if timer.stage == "cooling"]
    long_ago = interview.Thanked(seeker_id=SEEKER, contact_ids=(CONTACT,), how="email", thanked_ids=(CONTACT,))
    story.tell(INTERVIEW, long_ago, "2023-01-05T10:00+01:00", "2026-10-01T10:00+02:00")
    gone = story.timer_of(RELATIONSHIP, "cooling")
    assert isinstance(story.settle(gone, at("2026-10-01T12:00+02:00")), End)
    assert len(dues) == 40
    assert max(dues.count(day) for day in dues) <= 4
    assert date(2026, 10, 2) <= min(dues) < max(dues) <= date(2026, 10, 31)


def test_nobody_is_reported_for_what_they_could_not_be_reminded_of() -> None:
    """Given a conversation that is written up when the time of all reminders to say thanks is over, then the coach is
    told nothing of it either."""
    story = Story()
    story.enrols("2026-04-01T10:00+02:00")
    written = "2026-05-20T12:00+02:00"
    story.holds("2026-05-05T15:00+02:00", written=written)
    told = {timer.stage: timer for timer in story.timers.values() if timer.policy == "thank_you"}
    assert told["coach"].due_at > at(written)
    results = {stage: type(story.settle(timer, timer.due_at)).__name__ for stage, timer in told.items()}
    assert results["coach"] == "End"
    assert {type(story.settle(timer, at(written))).__name__ for stage, timer in told.items() if stage != "coach"} == {
        "End"
    }


def test_a_touch_with_the_introducer_counts_from_when_it_happened() -> None:
    """Given an introducer thanked on Wednesday, when Tuesday's conversation is written up on Friday, then no reminder;
    a touch of the week before does not count."""
    story = Story()
    story.touches("2026-05-06T10:00+02:00", INTRODUCER)
    story.holds("2026-05-05T10:00+02:00", written="2026-05-08T10:00+02:00", introduced_by=(INTRODUCER,))
    assert story.due("thank_introducer") == {}
    story.holds("2026-05-12T10:00+02:00", introduced_by=(INTRODUCER,), id=named("later"))
    assert "due" in story.due("thank_introducer")
    story.touches("2026-04-28T10:00+02:00", INTRODUCER, written="2026-05-12T12:00+02:00")
    assert "due" in story.due("thank_introducer")
    story.touches("2026-05-12T11:00+02:00", INTRODUCER, written="2026-05-12T12:00+02:00")
    assert story.due("thank_introducer") == {}


def test_a_touch_restarts_the_cadence_and_only_a_later_one() -> None:
    """Given keep-in-touch, when a touch is recorded, then the next is due a cadence later; an older one written down
    afterwards changes nothing; without keep-in-touch a touch starts none."""
    story = Story("Asia/Tokyo")
    story.touches("2026-04-01T10:00+09:00")
    assert story.due("keep_in_touch") == {}
    story.thanks("2026-05-01T10:00+09:00")
    story.touches("2026-05-20T10:00+09:00")
    assert story.due("keep_in_touch")["due"] == at("2026-08-18T10:00+09:00")
    story.touches("2026-05-10T10:00+09:00", written="2026-05-21T10:00+09:00")
    assert story.due("keep_in_touch")["due"] == at("2026-08-18T10:00+09:00")
    assert set(story.ended("keep_in_touch").values()) == {("superseded", "relationship.touchpoint_recorded")}


def test_pause_resume_snooze_end() -> None:
    """Given keep-in-touch, when paused, nothing is due; touches meanwhile count; resumed, a cadence later; snoozed,
    then; ended, never."""
    story = Story("Asia/Tokyo")
    story.thanks("2026-05-01T10:00+09:00")
    story.between(relationship.Paused, "2026-05-10T10:00+09:00")
    assert story.due("keep_in_touch") == {}
    assert story.ended("keep_in_touch")["due"] == ("withdrawn", "relationship.paused")
    story.touches("2026-05-12T10:00+09:00")
    assert story.due("keep_in_touch") == {}
    story.between(relationship.Resumed, "2026-06-01T10:00+09:00")
    assert story.due("keep_in_touch")["due"] == at("2026-08-30T10:00+09:00")
    story.between(relationship.Snoozed, "2026-06-02T10:00+09:00", until=at("2026-10-01T10:00+09:00"))
    assert story.due("keep_in_touch")["due"] == at("2026-10-01T10:00+09:00")
    story.between(relationship.Ended, "2026-06-03T10:00+09:00")
    assert story.due("keep_in_touch") == {}
    story.touches("2026-06-04T10:00+09:00")
    assert story.due("keep_in_touch") == {}


def test_after_the_end_only_the_seeker_begins_anew() -> None:
    """Given a relationship that was ended after a conversation, when the thank-you that is still owed is written, and
    they meet again, then there is no word of keeping in touch until the seeker starts that by hand."""
    story = Story("Asia/Tokyo")
    story.holds("2026-05-01T10:00+09:00")
    story.between(relationship.Ended, "2026-05-01T18:00+09:00")
    story.thanks("2026-05-02T10:00+09:00")
    assert story.due("keep_in_touch") == {}
    story.touches("2026-05-12T10:00+09:00")
    assert story.due("keep_in_touch") == {}
    story.between(relationship.KeepInTouchStarted, "2026-06-01T10:00+09:00")
    assert "due" in story.due("keep_in_touch")


def test_resuming_begins_a_new_round() -> None:
    """Given a round whose every stage was withdrawn and recorded so when the relationship was paused, when it is
    resumed with nothing in between, then a whole new round is pending, a cadence later, under ids of its own."""
    story = Story("Asia/Tokyo")
    story.thanks("2026-05-01T10:00+09:00")
    before = {id for id, timer in story.timers.items() if timer.policy == "keep_in_touch"}
    stages = set(story.due("keep_in_touch"))
    story.between(relationship.Paused, "2026-05-10T10:00+09:00")
    assert before <= story.over
    story.between(relationship.Resumed, "2026-06-01T10:00+09:00")
    again = story.due("keep_in_touch")
    assert set(again) == stages == {"due", "again", "cooling"}
    assert again["due"] == at("2026-08-30T10:00+09:00")
    assert not before & story.timers.keys()


def test_cooling_and_then_a_touch() -> None:
    """Given nobody touched, when due, again and cooling have come, then silence, until a touch starts it again."""
    story = Story("Asia/Tokyo")
    story.thanks("2026-05-01T10:00+09:00")
    told = [stage for policy, stage in story.run_until("2026-12-01T10:00+09:00") if policy == "keep_in_touch"]
    assert told == ["due", "again", "cooling"]
    story.touches("2026-12-01T10:00+09:00")
    assert story.due("keep_in_touch")["due"] == at("2027-03-01T10:00+09:00")


def test_a_contact_who_asked_to_be_left_alone() -> None:
    """Given an open request and a tie, when the contact asks not to be contacted, then all that would reach them is
    withdrawn; what the seeker does alone stays."""
    story = Story()
    story.schedules("2026-05-01T10:00+02:00", "2026-05-20T10:00+02:00")
    story.thanks("2026-05-01T11:00+02:00")
    story.tell(CONTACT, contact.AskedNotToBeContacted(), "2026-05-02T10:00+02:00")
    assert story.due("confirmation") == story.due("keep_in_touch") == {}
    assert story.ended("confirmation") == {"due": ("withdrawn", "contact_closed")}
    assert "due" in story.due("preparation")


def test_one_of_two_contacts_asked_to_be_left_alone() -> None:
    story = Story()
    other = named("other contact")
    story.holds("2026-05-05T10:00+02:00", contacts=(CONTACT, other))
    story.tell(CONTACT, contact.Forgotten(), "2026-05-05T10:10+02:00")
    assert "due" in story.due("thank_you")
    story.tell(other, contact.Forgotten(), "2026-05-05T10:20+02:00")
    assert story.due("thank_you") == {}


def test_what_begins_with_a_contact_to_be_left_alone_is_silent() -> None:
    """Given a contact who asked to be left alone and an introducer who was forgotten, when a conversation that was
    agreed before is held and a lead is written down, then nothing that would reach them is pending."""
    story = Story()
    story.schedules("2026-05-01T10:00+02:00", "2026-05-05T10:00+02:00")
    story.tell(CONTACT, contact.AskedNotToBeContacted(), "2026-05-04T10:00+02:00")
    story.tell(INTRODUCER, contact.Forgotten(), "2026-05-04T11:00+02:00")
    story.holds("2026-05-05T10:30+02:00", introduced_by=(INTRODUCER,))
    story.leads("2026-05-05T11:00+02:00", kind="promised_introduction")
    assert not story.timers


def test_a_contact_who_may_be_asked_again() -> None:
    """Given a contact who asked to be left alone, when they offer hours, then what ended stays ended, and what begins
    or began since falls due again: thanks for a conversation, a tie that is kept."""
    story = Story()
    story.thanks("2026-05-01T11:00+02:00")
    ended = story.timer("keep_in_touch").id
    story.tell(CONTACT, contact.AskedNotToBeContacted(), "2026-05-02T10:00+02:00")
    story.holds("2026-05-03T09:00+02:00", id=named("another"))
    assert not story.timers
    story.tell(CONTACT, contact.HoursOffered(capacity=3), "2026-05-03T10:00+02:00")
    assert ended not in story.timers
    assert set(story.due("thank_you")) == {"due", "overdue", "last_call", "coach"}
    story.between(relationship.KeepInTouchStarted, "2026-05-04T10:00+02:00")
    assert set(story.due("keep_in_touch")) == {"due", "again", "cooling"}
    story.leads("2026-05-05T11:00+02:00", kind="promised_introduction")
    assert set(story.due("promised_introduction")) == {"due", "again"}


def test_what_stands_still_is_not_ended_by_what_concerns_others() -> None:
    """Given a conversation with somebody who is to be left alone, and a connector who had been asked for them and wants
    to be, too, when the first offers hours, then the conversation's reminders fall due."""
    story = Story()
    story.between(relationship.IntroductionRequested, "2026-05-04T10:00+02:00", connector_id=INTRODUCER)
    story.tell(CONTACT, contact.AskedNotToBeContacted(), "2026-05-04T11:00+02:00")
    story.holds("2026-05-05T10:00+02:00")
    story.tell(INTRODUCER, contact.AskedNotToBeContacted(), "2026-05-05T11:00+02:00")
    story.tell(CONTACT, contact.HoursOffered(capacity=3), "2026-05-05T11:30+02:00")
    assert set(story.due("connect")) == {"due"}
    assert story.due("introduction_nudge") == {}


def test_who_talks_to_somebody_needs_no_introduction() -> None:
    story = Story()
    story.between(relationship.IntroductionRequested, "2026-05-04T10:00+02:00", connector_id=INTRODUCER)
    story.holds("2026-05-05T10:00+02:00")
    assert set(story.ended("introduction_nudge").values()) == {("withdrawn", "interview.held")}


def test_a_connector_who_asked_to_be_left_alone() -> None:
    """Given two connectors who were asked for an introduction each, when one asks to be left alone, then the seeker is
    not told to ask that one again; nor where it is asked for when the wish was known."""
    story = Story()
    other, friend = named("other contact"), named("friend")
    story.between(relationship.IntroductionRequested, "2026-05-04T10:00+02:00", connector_id=INTRODUCER)
    story.between(relationship.IntroductionRequested, "2026-05-04T10:00+02:00", other, connector_id=friend)
    assert INTRODUCER in story.timer_of(RELATIONSHIP).guards
    story.tell(INTRODUCER, contact.AskedNotToBeContacted(), "2026-05-05T10:00+02:00")
    assert {timer.contact_ids for timer in story.timers.values()} == {(other,)}
    assert set(story.ended("introduction_nudge").values()) == {("withdrawn", "contact_closed")}
    story.between(relationship.IntroductionRequested, "2026-05-06T10:00+02:00", connector_id=friend)
    assert {timer.contact_ids for timer in story.timers.values()} == {(CONTACT,), (other,)}
    third = named("third contact")
    story.between(relationship.IntroductionRequested, "2026-05-06T10:00+02:00", third, connector_id=INTRODUCER)
    assert {timer.contact_ids for timer in story.timers.values()} == {(CONTACT,), (other,)}


def test_who_was_first_to_be_left_alone_plays_no_part() -> None:
    """Given two contacts who both ask to be left alone, in whatever order, and whether before the conversation or
    after, then the same is known of it."""
    other, known = named("other contact"), set()
    for order in ((CONTACT, other, None), (other, CONTACT, None), (None, other, CONTACT), (other, None, CONTACT)):
        story = Story()
        for who in order:
            if who is None:
                story.holds("2026-05-05T10:00+02:00", contacts=(CONTACT, other))
            else:
                story.tell(who, contact.AskedNotToBeContacted(), "2026-05-05T10:10+02:00")
        known.add(story.subjects[INTERVIEW].closed)
    assert known == {(CONTACT, other)}


def test_a_seeker_who_left_is_left_alone() -> None:
    story = Story()
    story.holds("2026-05-05T10:00+02:00")
    story.tell(SEEKER, seeker.Left(), "2026-05-05T10:30+02:00")
    assert not story.timers
    assert {(e.reason, e.because) for e in story.endings.values()} == {("withdrawn", "seeker.left")}


def test_goals_change() -> None:
    """Given a goal date, when the fields change, nothing moves; when the date does, all; when it goes, all ends."""
    story = Story()
    story.registers("2026-01-02T12:00+01:00", "2026-12-15")
    pending = dict(story.timers)

    def changes_goals(when: str, goal_date: str | None) -> None:
        goals = seeker.GoalsChanged.model_validate({"fields": ("Design",), "goal_date": goal_date})
        story.tell(SEEKER, goals, when)

    changes_goals("2026-02-01T12:00+01:00", "2026-12-15")
    assert story.timers == pending
    changes_goals("2026-02-02T12:00+01:00", "2026-10-15")
    assert story.due("goal_date_ahead")["five_months"] == at("2026-05-15T09:00+02:00")
    changes_goals("2026-02-03T12:00+01:00", None)
    assert story.due("goal_date_ahead") == {}


def test_a_goal_that_is_near_already_skips_what_is_past() -> None:
    """Given a goal three weeks ahead when registering, then five and two months before are past, not due at once."""
    story = Story(registered=False)
    story.registers("2026-05-04T12:00+02:00", "2026-05-25")
    assert story.run_until("2026-06-30T12:00+02:00") == [("goal_date_ahead", "two_weeks")]
    assert set(story.ended("goal_date_ahead").values()) == {("expired", "already_past")}


def test_leads_by_kind() -> None:
    """Given leads of each kind, then each has the reminders of its kind and no other."""
    expected = {
        "referral": "act_on_lead",
        "resource": "act_on_lead",
        "advice": "act_on_lead",
        "job_opening": "act_on_job_opening",
        "promised_introduction": "promised_introduction",
    }
    for kind, policy in expected.items():
        story = Story()
        story.leads("2026-05-04T10:00+02:00", kind)
        assert {t.policy for t in story.timers.values()} == {policy}
        assert {t.kind for t in story.timers.values()} == {policy.replace("job_opening", "lead")}


def test_a_lead_that_is_too_late_on_a_day() -> None:
    """Given an opening that closes on the 13th, then no reminder makes sense after that day, reporting back does."""
    story = Story()
    story.leads("2026-05-04T10:00+02:00", "job_opening", until="2026-05-13")
    assert story.timer("act_on_job_opening", "week_1").expires_at == at("2026-05-14T00:00+02:00")
    told = [stage for _, stage in story.run_until("2026-06-30T10:00+02:00")]
    assert told == ["due", "week_1"]
    story.pursues(lead.CameToNothing, "2026-07-01T10:00+02:00", "job_opening")
    assert story.timer("report_back").expires_at > at("2026-07-02T10:00+02:00")


@pytest.mark.parametrize(
    ("recorded", "until", "due"),
    [
        ("2026-05-08T15:00+02:00", "2026-05-09", "2026-05-09T08:00+02:00"),  # Friday, closes on Saturday: half at 7:30
        ("2026-05-08T10:00+02:00", "2026-05-10", "2026-05-09T17:00+02:00"),
        ("2026-05-08T20:30+02:00", "2026-05-08", "2026-05-08T20:30+02:00"),  # half of it is at night: at once
    ],
)
def test_an_opening_that_closes_before_it_would_be_mentioned(recorded: str, until: str, due: str) -> None:
    story = Story(country="DE")
    story.leads(recorded, "job_opening", until=until)
    timer = story.timer("act_on_job_opening")
    assert (timer.due_at, timer.moved_by) == (at(due), ("before_too_late",))
    assert [stage for _, stage in story.run_until("2026-06-30T10:00+02:00")] == ["due"]


def test_an_opening_that_closes_on_a_day_off_is_not_put_off_beyond_that() -> None:
    """Given what closes on Sunday, written down on Saturday, on a full day, or snoozed until then, then it is told on a
    day off rather than never."""
    recorded = lead.Recorded(
        seeker_id=SEEKER, contact_id=CONTACT, kind="job_opening", what="Apply", until=date(2026, 5, 10)
    )
    story = Story(country="DE")
    story.tell(LEAD, recorded, "2026-05-07T10:00+02:00", "2026-05-09T10:00+02:00")
    timer = story.timer("act_on_job_opening")
    assert isinstance(story.settle(timer, at("2026-05-09T10:00+02:00")), Fire)

    story = Story(country="DE")
    story.tell(LEAD, recorded.model_copy(update={"kind": "referral"}), "2026-05-08T10:00+02:00")
    timer = story.timer("act_on_lead")
    put_off = story.settle(timer, timer.due_at, fired_today=100)
    assert isinstance(put_off, Defer)
    assert put_off.until == at("2026-05-10T08:00+02:00")

    story = Story(country="DE")
    story.tell(LEAD, recorded, "2026-05-08T10:00+02:00")
    due = _fired(story, "act_on_job_opening")
    _answers(story, due, notification.Snoozed, "2026-05-09T18:00+02:00", until=at("2026-05-10T10:00+02:00"))
    again = story.timer("act_on_job_opening")
    assert again.due_at == at("2026-05-10T10:00+02:00")
    assert isinstance(story.settle(again, again.due_at), Fire)

    story = Story(country="DE")
    story.schedules("2026-05-04T10:00+02:00", "2026-05-10T10:00+02:00")
    due = _fired(story, "confirmation")
    _answers(story, due, notification.Snoozed, "2026-05-08T10:00+02:00", until=at("2026-05-09T10:00+02:00"))
    again = story.timer("confirmation")
    assert isinstance(story.settle(again, again.due_at), Fire)


def test_an_opening_that_is_over_already() -> None:
    """Given an opening that closed before it was written down, then nobody is told."""
    story = Story()
    story.leads("2026-05-08T22:00+02:00", "job_opening", until="2026-05-08")
    assert story.run_until("2026-06-30T10:00+02:00") == []
    story = Story()
    story.leads("2026-05-08T10:00+02:00", "job_opening", until="2026-05-01")
    assert story.run_until("2026-06-30T10:00+02:00") == []


def test_results_are_reported_back_once() -> None:
    story = Story()
    story.leads("2026-05-04T10:00+02:00")
    story.pursues(lead.ActedOn, "2026-05-05T10:00+02:00")
    assert story.due("act_on_lead") == {}
    story.pursues(lead.CameToSomething, "2026-05-06T10:00+02:00")
    assert story.due("report_back")["due"] == at("2026-05-07T10:00+02:00")
    story.pursues(lead.ReportedBack, "2026-05-07T09:00+02:00")
    assert not story.timers


def test_stalled_participants() -> None:
    """Given a participant of two programmes, when one is left, the other's notice stays; a conversation ends it."""
    story = Story()
    other = named("other programme")
    story.enrols("2026-05-04T10:00+02:00")
    story.tell(other, programme.ParticipantEnrolled(seeker_id=SEEKER, coach_id=COACH), "2026-05-05T10:00+02:00")
    assert {t.programme_id for t in story.timers.values()} == {PROGRAMME, other}
    story.tell(PROGRAMME, programme.ParticipantLeft(seeker_id=SEEKER), "2026-05-06T10:00+02:00")
    assert story.timer("participant_stalled", "coach").programme_id == other
    story.holds("2026-05-07T10:00+02:00")
    assert story.due("participant_stalled") == {}


def test_a_conversation_before_enrolling_does_not_count() -> None:
    """Given a conversation of April written up in May, when the seeker enrolled in between, the notice stays."""
    story = Story()
    story.enrols("2026-05-04T10:00+02:00")
    story.holds("2026-04-20T10:00+02:00", written="2026-05-05T10:00+02:00")
    assert "coach" in story.due("participant_stalled")


def test_a_coach_assigned_later_is_the_one_who_is_told() -> None:
    """Given a participant without a coach, when one is assigned, then the pending timers are theirs."""
    story = Story()
    story.enrols("2026-05-04T10:00+02:00", coach=None)
    assert story.timer("participant_stalled", "coach").recipient.id is None
    story.tell(PROGRAMME, programme.CoachAssigned(coach_id=COACH), "2026-05-05T10:00+02:00")
    assert story.timer("participant_stalled", "coach").recipient.id == COACH
    assert PROGRAMME in story.timer("participant_stalled", "coach").guards
    story.tell(PROGRAMME, programme.CoachAssigned(coach_id=named("second coach")), "2026-05-06T10:00+02:00")
    assert story.timer("participant_stalled", "coach").recipient.id == COACH


def _fired(story: Story, policy: str, stage: str = "due") -> notification.Due:
    timer = story.timer(policy, stage)
    result = story.settle(timer, timer.due_at)
    assert isinstance(result, Fire)
    return result.event


def _answers(
    story: Story, due: notification.Due, event: type[notification.NotificationEvent], when: str, **said: object
) -> None:
    same = {name: getattr(due, name) for name in notification.NotificationEvent.model_fields}
    story.tell(_id(due), event.model_validate({**same, **said}), when)


def _id(due: notification.Due) -> UUID:
    return UUID(due.dedupe_key)


def test_what_fired_does_not_come_again() -> None:
    """Given a fired notification, when anything moves the round, then only the stages to come move."""
    story = Story()
    story.holds("2026-05-05T10:00+02:00")
    due = _fired(story, "thank_you")
    assert "due" not in story.due("thank_you")
    story.moves("2026-05-05T13:00+02:00", "America/New_York")
    story.prefers("2026-05-05T13:00+02:00", overrides={"thank_you": {"stages": {"due": {"after": {"hours": 3}}}}})
    assert set(story.due("thank_you")) == {"overdue", "last_call", "coach"}
    assert _id(due) in story.timer("thank_you", "overdue").guards


def test_snoozing_a_notification() -> None:
    """Given a fired reminder, when it is snoozed, then it comes again then, as another notification, in place of what
    would come before; it may be snoozed again; the coach's stage is not snoozed."""
    story = Story()
    story.enrols("2026-04-01T10:00+02:00")
    story.holds("2026-05-05T10:00+02:00")
    due = _fired(story, "thank_you")
    _answers(story, due, notification.Snoozed, "2026-05-05T13:00+02:00", until=at("2026-05-07T06:00+02:00"))
    again = story.timer("thank_you")
    assert again.due_at == at("2026-05-07T08:00+02:00")
    assert again.id != _id(due)
    assert again.moved_by == ("snoozed", "quiet_hours")
    assert story.ended("thank_you") == {"overdue": ("superseded", "snoozed")}
    assert set(story.due("thank_you")) == {"due", "last_call", "coach"}
    assert again.expires_at == story.due("thank_you")["last_call"]
    second = _fired(story, "thank_you")
    assert second.cancellation_key == due.cancellation_key
    assert second.dedupe_key != due.dedupe_key
    _answers(story, second, notification.Snoozed, "2026-05-07T09:00+02:00", until=at("2026-05-08T20:00+02:00"))
    assert set(story.due("thank_you")) == {"due", "coach"}
    story.thanks("2026-05-07T10:00+02:00")
    assert story.due("thank_you") == {}


def test_a_snooze_that_ends_at_night_stands_for_what_is_due_in_the_morning() -> None:
    """Given a reminder that was snoozed until the night before the next one, which is due when quiet hours end, then
    there is one of the two in the morning."""
    story = Story("Asia/Kolkata")
    story.asks("2026-01-22T22:30+05:30")
    due = _fired(story, "request_follow_up")
    morning = story.due("request_follow_up")["again"]
    _answers(story, due, notification.Snoozed, "2026-01-30T09:00+05:30", until=morning - timedelta(hours=9))
    pending = [t for t in story.timers.values() if t.policy == "request_follow_up" and t.due_at == morning]
    assert [timer.moved_by for timer in pending] == [("snoozed", "quiet_hours")]


def test_a_snoozed_reminder_guards_what_is_due_after_it() -> None:
    """Given a reminder that was snoozed until shortly before the next one, then that one waits for it, too: it may have
    been answered. What is due before does not."""
    story = Story()
    story.holds("2026-05-05T10:00+02:00")
    due = _fired(story, "thank_you")
    _answers(story, due, notification.Snoozed, "2026-05-05T13:00+02:00", until=at("2026-05-07T06:00+02:00"))
    again, last_call = story.timer("thank_you"), story.timer("thank_you", "last_call")
    assert again.due_at < last_call.due_at
    assert again.id in last_call.guards
    assert last_call.id not in again.guards
    assert {again.id, last_call.id} <= set(story.timer("thank_you", "coach").guards)


def test_a_snooze_does_not_outlive_the_moment() -> None:
    """Given a confirmation snoozed until the conversation is over, a lead's reminder until it is too late, and a goal's
    until its date is past, then none of them is told any more."""
    story = Story()
    story.schedules("2026-05-04T10:00+02:00", "2026-05-12T10:00+02:00")
    due = _fired(story, "confirmation")
    _answers(story, due, notification.Snoozed, "2026-05-11T09:30+02:00", until=at("2026-05-12T15:00+02:00"))
    story.leads("2026-05-11T10:00+02:00", until="2026-05-15")
    due = _fired(story, "act_on_lead")
    _answers(story, due, notification.Snoozed, "2026-05-14T11:00+02:00", until=at("2026-05-16T09:00+02:00"))
    story.registers("2026-05-14T12:00+02:00", goal_date="2026-06-01")
    due = _fired(story, "goal_date_ahead", "two_weeks")
    _answers(story, due, notification.Snoozed, "2026-05-18T10:00+02:00", until=at("2026-06-02T09:00+02:00"))
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
    first = _fired(story, "thank_you")
    _answers(story, first, notification.Snoozed, "2026-05-05T13:00+02:00", until=at("2026-05-05T18:00+02:00"))
    again = story.timer("thank_you")
    _answers(story, first, notification.Withdrawn, "2026-05-05T14:00+02:00", reason="withdrawn", because="asked")
    assert set(story.due("thank_you")) == {"overdue", "last_call", "coach"}
    ending = story.endings[again.id]
    assert (ending.reason, ending.because, ending.stages) == ("withdrawn", "notification.withdrawn", ("due",))

    overdue = _fired(story, "thank_you", "overdue")
    _answers(story, overdue, notification.Snoozed, "2026-05-06T11:00+02:00", until=at("2026-05-06T12:00+02:00"))
    second = _fired(story, "thank_you", "overdue")
    _answers(story, second, notification.Snoozed, "2026-05-06T13:00+02:00", until=at("2026-05-06T15:00+02:00"))
    _answers(story, second, notification.Withdrawn, "2026-05-06T14:00+02:00", reason="withdrawn", because="asked")
    assert set(story.due("thank_you")) == {"last_call", "coach"}


@pytest.mark.parametrize("how", ["acted_on", "dismissed"])
def test_acknowledging_ends_the_reminders_of_the_round(how: str) -> None:
    story = Story()
    story.holds("2026-05-05T10:00+02:00")
    due = _fired(story, "thank_you")
    _answers(story, due, notification.Acknowledged, "2026-05-05T13:00+02:00", how=how)
    assert story.due("thank_you") == {}
    assert set(story.ended("thank_you").values()) == {("withdrawn", "acknowledged")}


def test_having_seen_it_changes_nothing() -> None:
    story = Story()
    story.holds("2026-05-05T10:00+02:00")
    due = _fired(story, "thank_you")
    _answers(story, due, notification.Acknowledged, "2026-05-05T13:00+02:00", how="seen")
    assert set(story.due("thank_you")) == {"overdue", "last_call", "coach"}


def test_acknowledging_keep_in_touch_starts_the_next_interval() -> None:
    """Given keep-in-touch fell due, when acted on, then the next is due a cadence later; an answer to a round that is
    over changes nothing."""
    story = Story("Asia/Tokyo")
    story.thanks("2026-05-01T10:00+09:00")
    due = _fired(story, "keep_in_touch")
    _answers(story, due, notification.Acknowledged, "2026-06-01T10:00+09:00", how="acted_on")
    assert story.due("keep_in_touch")["due"] == at("2026-08-30T10:00+09:00")
    pending = dict(story.timers)
    _answers(story, due, notification.Acknowledged, "2026-06-05T10:00+09:00", how="acted_on")
    assert story.timers == pending


def test_what_can_not_be_delivered_is_told_to_the_coach() -> None:
    story = Story()
    story.enrols("2026-04-01T10:00+02:00")
    story.holds("2026-05-08T15:00+02:00")
    due = _fired(story, "thank_you")
    assert due.escalates_to == COACH
    _answers(story, due, notification.Escalated, "2026-05-08T17:30+02:00", coach_id=COACH)
    timer = story.timer("undeliverable", "coach")
    assert (timer.recipient.id, timer.recipient.role) == (COACH, "coach")
    assert timer.due_at == at("2026-05-08T17:30+02:00")
    assert timer.subject_id == INTERVIEW


def test_one_event_ends_what_is_left_of_a_round() -> None:
    """Given two of four reminders to say thank you were fired, when the contact is thanked, then one event ends the
    other two, on the stream of the first of them, and its key tells services that the fired ones are needless too."""
    story = Story()
    story.holds("2026-05-05T10:00+02:00")
    due, _ = _fired(story, "thank_you"), _fired(story, "thank_you", "overdue")
    last_call, coach = story.timer("thank_you", "last_call"), story.timer("thank_you", "coach")
    story.thanks("2026-05-06T11:00+02:00")
    (ending,) = [event for event in story.endings.values() if event.rule.policy == "thank_you"]
    assert story.endings[last_call.id] is ending
    assert ending.stages == ("last_call", "coach")
    assert [(other.id, other.role, other.recipient_id) for other in ending.others] == [(coach.id, "coach", None)]
    assert ending.cancellation_key == due.cancellation_key


def test_an_event_that_does_not_concern_a_subject_returns_the_same_object() -> None:
    story = Story()
    story.holds("2026-05-05T10:00+02:00")
    subject = story.subjects[INTERVIEW]
    e = story.touches("2026-05-05T11:00+02:00", INTRODUCER)
    assert evolve(INTERVIEW, subject, e, story.policies) is subject


def test_subjects_recipients_and_timers_are_kept_as_json() -> None:
    """Given all there is to keep, when written as JSON and read back, then it is the same."""
    story = Story()
    story.enrols("2026-04-01T10:00+02:00")
    story.prefers("2026-05-01T10:00+02:00", quiet_hours={"start": "20:00", "end": "10:00"}, muted=["connect"])
    story.registers("2026-05-02T10:00+02:00", "2026-12-15")
    story.thanks("2026-05-02T11:00+02:00")
    story.holds("2026-05-05T10:00+02:00", introduced_by=(INTRODUCER,))
    due = _fired(story, "thank_you")
    _answers(story, due, notification.Snoozed, "2026-05-05T13:00+02:00", until=at("2026-05-07T06:00+02:00"))
    story.touches("2026-05-06T10:00+02:00", INTRODUCER)
    assert len(story.subjects) > 3
    for subject in story.subjects.values():
        assert SUBJECT.validate_json(SUBJECT.dump_json(subject)) == subject
    for recipient in story.recipients.values():
        assert RECIPIENT.validate_json(RECIPIENT.dump_json(recipient)) == recipient
    for timer in story.timers.values():
        assert TIMER.validate_json(TIMER.dump_json(timer)) == timer
