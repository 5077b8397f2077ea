"""What arms, disarms, moves, replaces and holds a round; and what the timers that go are told to end as."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date

import pytest

from shared.domain import interview, lead, notification, programme, relationship, seeker
from shared.timing.settling import End, Fire
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
    answers,
    at,
    fired,
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


def test_what_was_begun_and_put_off_is_looked_forward_to_again() -> None:
    """Given a conversation that has begun, when it is broken off for another day, then all reminders count from that;
    when it is missed, none is left but to offer a new time."""
    story = Story()
    story.schedules("2026-05-01T10:00+02:00", "2026-05-20T10:00+02:00")
    story.happens(interview.Started, "2026-05-20T10:00+02:00")
    assert story.due("how_did_it_go")["due"] == at("2026-05-20T11:30+02:00")
    story.schedules("2026-05-20T10:20+02:00", "2026-05-27T10:00+02:00", again=True)
    assert story.due("how_did_it_go")["due"] == at("2026-05-27T11:30+02:00")
    assert story.due("preparation")
    assert story.due("confirmation")
    story.happens(interview.Started, "2026-05-27T10:00+02:00")
    story.happens(interview.Missed, "2026-05-27T10:20+02:00", by="contact")
    assert {timer.policy for timer in story.timers.values()} == {"offer_new_time"}


def test_whoever_let_down_decides_what_is_due() -> None:
    """Given a conversation that was called off or missed, then who let the other down decides whether an apology or a
    new time is due; neither is where nobody had agreed to talk. To call off what was missed changes nothing about that,
    but who calls it off that was left waiting needs no new time."""
    for by, owed in (("seeker", {"apologise"}), ("contact", {"offer_new_time"})):
        off, nobody = Story(), Story()
        off.happens(interview.Cancelled, "2026-05-20T10:30+02:00", by=by, let_down_by=by)
        assert {timer.policy for timer in off.timers.values()} == owed
        nobody.happens(interview.Cancelled, "2026-05-20T10:30+02:00", by=by)
        assert nobody.timers == {}
        for caller in ("seeker", "contact", "other"):
            missed = Story()
            missed.happens(interview.Missed, "2026-05-20T10:20+02:00", by=by)
            before = missed.timers
            missed.happens(interview.Cancelled, "2026-05-20T10:40+02:00", by=caller)
            left_waiting = (by, caller) == ("contact", "seeker")
            assert missed.timers == ({} if left_waiting else before)


@pytest.mark.parametrize("by", ["seeker", "contact"])
@pytest.mark.parametrize(
    ("event", "said"),
    [
        (interview.TimesOffered, {"times": [{"starts_at": at("2026-05-27T10:00+02:00")}], "time_zone": "UTC"}),
        (interview.AgreedLoosely, {"what": "Next week"}),
        (interview.Declined, {}),
        (interview.Lapsed, {}),
    ],
)
def test_what_fell_through_is_made_good_by_whatever_follows(
    event: type[interview.InterviewEvent], said: dict[str, object], by: str
) -> None:
    story = Story()
    story.happens(interview.Missed, "2026-05-20T10:20+02:00", by=by)
    story.happens(event, "2026-05-20T11:00+02:00", **said)
    assert not story.due("apologise") | story.due("offer_new_time")


@pytest.mark.parametrize("by", ["seeker", "contact"])
def test_what_fell_through_is_made_good_by_a_new_time(by: str) -> None:
    story = Story()
    story.happens(interview.Missed, "2026-05-20T10:20+02:00", by=by)
    story.schedules("2026-05-20T11:00+02:00", "2026-05-27T10:00+02:00", again=True)
    assert not story.due("apologise") | story.due("offer_new_time")


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


def test_what_is_agreed_on_by_email_needs_no_time() -> None:
    """Given two who have agreed to talk some time, when they agree on e-mail instead, then nobody is to find a time any
    more, nor where it was e-mail from the beginning."""
    story = Story()
    story.happens(interview.AgreedLoosely, "2026-05-05T10:00+02:00", what="Send me your questions", format="email")
    assert story.due("firm_it_up") == {}
    story.happens(interview.AgreedLoosely, "2026-05-05T11:00+02:00", what="Coffee next week")
    assert set(story.due("firm_it_up")) == {"due", "again", "lapse_suggested"}
    story.happens(interview.AgreedLoosely, "2026-05-05T12:00+02:00", what="Rather by e-mail", format="email")
    assert story.due("firm_it_up") == {}
    assert story.ended("firm_it_up")["due"] == ("withdrawn", "interview.agreed_loosely")


@pytest.mark.parametrize(
    ("event", "said"),
    [
        (interview.AgreedLoosely, {"what": "Rather a coffee", "format": "coffee"}),
        (interview.AgreedLoosely, {"what": "Rather a talk"}),
        (interview.TimesOffered, {"times": [{"starts_at": at("2026-05-27T10:00+02:00")}], "time_zone": "UTC"}),
        (interview.Declined, {}),
        (interview.Lapsed, {}),
        (interview.Cancelled, {"by": "seeker"}),
        (interview.Held, {"format": "email"}),
    ],
)
def test_a_talk_by_email_is_to_be_had_and_recorded(
    event: type[interview.InterviewEvent], said: dict[str, object]
) -> None:
    """Given two who agreed to talk by e-mail, then the seeker is reminded of it until that is done with, or they would
    rather meet."""
    story = Story()
    story.happens(interview.AgreedLoosely, "2026-05-05T10:00+02:00", what="Send me your questions", format="email")
    assert {timer.policy for timer in story.timers.values()} == {"talk_by_email"}
    story.happens(event, "2026-05-06T10:00+02:00", **said)
    assert story.due("talk_by_email") == {}
    assert story.ended("talk_by_email")["due"] == ("withdrawn", event.type)


def test_a_plain_yes_is_to_become_a_date() -> None:
    """Given a yes without a time, then a time is to be found as after a loose agreement, until there is one; but none
    for a talk by e-mail."""
    story = Story()
    story.happens(interview.Accepted, "2026-05-05T10:00+02:00", format="email")
    assert story.due("firm_it_up") == {}
    story.happens(interview.Accepted, "2026-05-05T11:00+02:00")
    assert story.due("firm_it_up") == {
        "due": at("2026-05-07T11:00+02:00"),
        "again": at("2026-05-11T11:00+02:00"),
        "lapse_suggested": at("2026-05-18T11:00+02:00"),
    }
    story.schedules("2026-05-06T10:00+02:00", "2026-05-20T10:00+02:00")
    assert story.due("firm_it_up") == {}


def test_what_is_agreed_on_for_later_is_not_asked_for_before() -> None:
    """Given two who agree to talk after a day, then a time is to be found from that day on, whether or not that is said
    again; a day that has come already, or none, is from now on."""
    story = Story()
    story.happens(interview.Accepted, "2026-02-12T10:00+01:00")
    story.happens(interview.AgreedLoosely, "2026-02-12T11:00+01:00", what="After Easter", not_before="2026-04-07")
    pending = dict(story.timers)
    story.happens(interview.AgreedLoosely, "2026-03-12T11:00+01:00", what="Coffee", not_before="2026-04-07")
    assert story.timers == pending
    assert story.run_until("2026-04-08T10:00+02:00") == []
    assert story.run_until("2026-04-09T10:00+02:00") == [("firm_it_up", "due")]
    for said in ({"not_before": "2026-04-07"}, {}):
        story.happens(interview.AgreedLoosely, "2026-04-09T11:00+02:00", what="Coffee", **said)
        assert story.due("firm_it_up")["due"] == at("2026-04-13T11:00+02:00")


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
    another = (named("another contact"),)
    story.holds("2026-05-12T10:00+02:00", introduced_by=(INTRODUCER,), id=named("later"), contacts=another)
    assert "due" in story.due("thank_introducer")
    story.touches("2026-04-28T10:00+02:00", INTRODUCER, written="2026-05-12T12:00+02:00")
    assert "due" in story.due("thank_introducer")
    story.touches("2026-05-12T11:00+02:00", INTRODUCER, written="2026-05-12T12:00+02:00")
    assert story.due("thank_introducer") == {}


def test_the_introducer_is_thanked_once_for_each_contact() -> None:
    """Given a conversation for which the introducer was thanked, or was not in spite of all reminders, when the same
    contact is talked to again, then nobody is reminded again; when another whom they introduced is there, too, one
    is."""
    for thanked in (True, False):
        story = Story()
        story.holds("2026-05-05T10:00+02:00", introduced_by=(INTRODUCER,))
        if thanked:
            story.touches("2026-05-05T12:00+02:00", INTRODUCER)
        story.run_until("2026-06-30T10:00+02:00")
        story.holds("2026-07-07T10:00+02:00", introduced_by=(INTRODUCER,), id=named("second"))
        assert story.due("thank_introducer") == {}
        both = (CONTACT, named("another contact"))
        story.holds("2026-07-14T10:00+02:00", introduced_by=(INTRODUCER,), id=named("third"), contacts=both)
        assert "due" in story.due("thank_introducer")


def test_who_tells_the_introducer_what_came_of_it_has_thanked_them() -> None:
    """Given a conversation, when who led to it is told afterwards what came of their lead, then no reminder to thank
    them for it; a report of before does not count."""
    story = Story()
    story.holds("2026-05-05T10:00+02:00", introduced_by=(CONTACT,), contacts=(INTRODUCER,))
    story.tell(
        LEAD,
        lead.ReportedBack(seeker_id=SEEKER, contact_id=CONTACT, kind="referral"),
        "2026-05-04T10:00+02:00",
        "2026-05-05T11:00+02:00",
    )
    assert "due" in story.due("thank_introducer")
    story.pursues(lead.ReportedBack, "2026-05-05T12:00+02:00")
    assert story.due("thank_introducer") == {}
    assert story.ended("thank_introducer")["due"] == ("withdrawn", "lead.reported_back")


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


def _connects(story: Story, when: str) -> None:
    story.between(relationship.Connected, when)


def _reports_back(story: Story, when: str) -> None:
    story.pursues(lead.ReportedBack, when)


@pytest.mark.parametrize("touches", [Story.touches, _connects, _reports_back])
def test_who_was_in_touch_is_not_reminded_again(touches: Callable[[Story, str], object]) -> None:
    """Given somebody was reminded to keep in touch, when they record a touch, connect or report back, then the rest of
    that round is over, the tie does not cool, and the next reminder is a cadence later."""
    story = Story("Asia/Tokyo")
    story.thanks("2026-01-30T10:00+09:00")
    assert story.run_until("2026-03-01T10:00+09:00") == [("keep_in_touch", "due")]
    touches(story, "2026-03-03T10:00+09:00")
    assert story.run_until("2026-05-31T10:00+09:00") == []
    assert story.due("keep_in_touch")["due"] == at("2026-06-01T10:00+09:00")


@pytest.mark.parametrize("touches", [Story.touches, _connects, _reports_back])
def test_a_touch_begins_nothing_where_none_is_kept(touches: Callable[[Story, str], object]) -> None:
    """Given a tie that nobody keeps, has paused or has ended, then a touch of any kind begins no reminders."""
    story = Story("Asia/Tokyo")
    touches(story, "2026-01-20T10:00+09:00")
    assert story.due("keep_in_touch") == {}
    story.thanks("2026-01-30T10:00+09:00")
    story.between(relationship.Paused, "2026-02-01T10:00+09:00")
    touches(story, "2026-02-02T10:00+09:00")
    assert story.due("keep_in_touch") == {}
    story.between(relationship.Resumed, "2026-02-10T10:00+09:00")
    story.between(relationship.Ended, "2026-02-11T10:00+09:00")
    touches(story, "2026-02-12T10:00+09:00")
    assert story.due("keep_in_touch") == {}


def test_who_connects_after_the_thank_you_is_reminded_a_month_after_it() -> None:
    """Given reminders to keep in touch of which none has come, when the two connect, as they are asked to soon after a
    conversation, then the first is not put off; who reports back has written to them, so it is."""
    story = Story("Asia/Tokyo")
    story.thanks("2026-01-30T10:00+09:00")
    _connects(story, "2026-01-31T10:00+09:00")
    assert story.due("keep_in_touch")["due"] == at("2026-03-01T10:00+09:00")
    _reports_back(story, "2026-02-10T10:00+09:00")
    assert story.due("keep_in_touch")["due"] == at("2026-05-11T10:00+09:00")


def test_a_later_stage_that_is_switched_off_makes_no_round_begun() -> None:
    """Given that a seeker does without the last reminder of a round of which none has come, and that this is written
    down, when the two connect, then the first is not put off for that."""
    story = Story("Asia/Tokyo")
    story.registers("2026-01-01T10:00+09:00")
    story.thanks("2026-01-30T10:00+09:00")
    story.prefers("2026-01-30T11:00+09:00", overrides={"keep_in_touch": {"stages": {"cooling": {"enabled": False}}}})
    story.run_until("2026-01-30T12:00+09:00")
    _connects(story, "2026-01-31T10:00+09:00")
    assert story.due("keep_in_touch")["due"] == at("2026-03-01T10:00+09:00")


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


def test_a_snooze_by_itself_is_kept() -> None:
    """Given a tie that no reminders are kept for, when it is snoozed, then the reminder comes on that day."""
    story = Story("Asia/Tokyo")
    story.between(relationship.Connected, "2026-05-01T10:00+09:00")
    story.between(relationship.Snoozed, "2026-06-02T10:00+09:00", until=at("2026-10-01T10:00+09:00"))
    assert story.due("keep_in_touch")["due"] == at("2026-10-01T10:00+09:00")


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


@pytest.mark.parametrize(
    "back", [relationship.Resumed, relationship.KeepInTouchStarted, relationship.Ended, relationship.Paused]
)
def test_the_end_of_a_pause(back: type[relationship.RelationshipEvent]) -> None:
    """Given a pause until a day, then on that day, and a week later, the seeker is asked whether to go on; not where
    they went on before, ended it, or paused it without a day."""
    paused = Story()
    paused.between(relationship.Paused, "2026-05-10T10:00+02:00", until="2026-06-10")
    silent = paused.run_until("2026-12-31T10:00+01:00")
    assert silent == [("pause_over", "due"), ("pause_over", "again")]
    story = Story()
    story.between(relationship.Paused, "2026-05-10T10:00+02:00", until="2026-06-10")
    story.between(back, "2026-05-20T10:00+02:00")
    assert story.due("pause_over") == {}
    assert story.ended("pause_over")["due"] == ("withdrawn", back.type)


def test_a_pause_that_is_written_down_after_its_end_is_not_asked_about() -> None:
    """Given a tie that was resumed, when the pause before that is written down, then nobody is asked about it."""
    story = Story()
    story.between(relationship.Resumed, "2026-05-20T10:00+02:00")
    story.between(relationship.Paused, "2026-05-10T10:00+02:00", CONTACT, "2026-05-21T10:00+02:00", until="2026-06-10")
    assert story.due("pause_over") == {}


def test_cooling_and_then_a_touch() -> None:
    """Given nobody touched, when due, again and cooling have come, then silence for a cadence, until a touch starts it
    again."""
    story = Story("Asia/Tokyo")
    story.thanks("2026-05-01T10:00+09:00")
    told = [stage for policy, stage in story.run_until("2026-09-11T10:00+09:00") if policy == "keep_in_touch"]
    assert told == ["due", "again", "cooling"]
    story.touches("2026-09-11T11:00+09:00")
    assert story.run_until("2026-12-01T10:00+09:00") == []
    story.touches("2026-12-01T10:00+09:00")
    assert story.due("keep_in_touch")["due"] == at("2027-03-01T10:00+09:00")


def test_who_talks_to_somebody_needs_no_introduction() -> None:
    story = Story()
    story.between(relationship.IntroductionRequested, "2026-05-04T10:00+02:00", connector_id=INTRODUCER)
    story.holds("2026-05-05T10:00+02:00")
    assert set(story.ended("introduction_nudge").values()) == {("withdrawn", "interview.held")}


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


def test_a_goal_that_is_named_on_the_morning_of_a_reminder() -> None:
    """Given waking hours that begin after the hour of the reminder, when the goal is named before that, then it comes
    when they begin, not as of the evening before."""
    story = Story()
    story.prefers("2026-05-01T10:00+02:00", waking_hours={"start": "10:00", "end": "22:00"})
    story.registers("2026-06-01T08:00+02:00", "2026-06-15")
    assert story.due("goal_date_ahead")["two_weeks"] == at("2026-06-01T10:00+02:00")
    assert story.run_until("2026-06-01T10:00+02:00") == [("goal_date_ahead", "two_weeks")]


def test_a_goal_that_is_near_already_skips_what_is_past() -> None:
    """Given a goal three weeks ahead when registering, then five and two months before are past, not due at once."""
    story = Story(registered=False)
    story.registers("2026-05-04T12:00+02:00", "2026-05-25")
    assert story.run_until("2026-06-30T12:00+02:00") == [("goal_date_ahead", "two_weeks")]
    assert set(story.ended("goal_date_ahead").values()) == {("expired", "already_past")}


@pytest.mark.parametrize(
    ("kind", "over"), [("found_job", True), ("found_internship", True), ("began_studies", True), ("other", False)]
)
def test_a_goal_that_is_reached(kind: str, over: bool) -> None:
    """Given a goal date, when the seeker has found what they were after, nothing reminds of it, until a new goal is
    set; whether or not that was written down first."""
    story = Story()
    story.tell(SEEKER, seeker.GoalsChanged(goal_date=date(2026, 12, 31)), "2026-01-02T12:00+01:00")
    story.reaches("2026-03-01T12:00+01:00", kind)
    assert (story.due("goal_date_ahead") == {}) is over
    story.tell(SEEKER, seeker.GoalsChanged(goal_date=date(2027, 12, 31)), "2026-04-02T12:00+02:00")
    assert story.due("goal_date_ahead")["five_months"] == at("2027-07-31T09:00+02:00")


@pytest.mark.parametrize(
    "tells",
    [
        Story.touches,
        lambda s, when: s.pursues(lead.ReportedBack, when),
        lambda s, when: s.holds(when, id=named("another talk")),
    ],
)
def test_who_helped_is_told_of_the_outcome(tells: Callable[[Story, str], object]) -> None:
    """Given an outcome through a contact, then the seeker is reminded twice to tell them, and not once they were in
    touch after it; of one through nobody, there is nobody to tell."""
    story = Story()
    story.reaches("2026-03-02T12:00+01:00")
    assert story.due("tell_outcome") == {}
    story.reaches("2026-03-02T12:00+01:00", through_contact_id=CONTACT)
    assert story.timer("tell_outcome").subject_id == RELATIONSHIP
    tells(story, "2026-03-01T12:00+01:00")
    assert story.due("tell_outcome")
    tells(story, "2026-03-02T18:00+01:00")
    assert story.due("tell_outcome") == {}
    silent = Story()
    silent.reaches("2026-03-02T12:00+01:00", through_contact_id=CONTACT)
    assert silent.run_until("2026-12-31T10:00+01:00") == [("tell_outcome", "due"), ("tell_outcome", "again")]


def test_a_talk_with_those_they_led_to_ends_nothing_that_is_owed_to_a_helper() -> None:
    """Given an outcome through a contact, when the seeker talks with somebody whom they had introduced, then the
    contact is still to be told."""
    story = Story()
    story.reaches("2026-03-02T12:00+01:00", through_contact_id=CONTACT)
    story.holds("2026-03-02T15:00+01:00", id=named("led to"), contacts=(named("led to"),), introduced_by=(CONTACT,))
    assert list(story.due("tell_outcome")) == ["due", "again"]


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


def test_a_coach_who_takes_over_is_told_of_what_began_before() -> None:
    """Given a participant of two programmes, when one of them gives her another coach, then that programme's pending
    timers are theirs, due as before; those of the other stay, and so does who is told where no programme is named."""
    first, other, successor = PROGRAMME, named("other programme"), named("second coach")
    story = Story()
    story.enrols("2026-05-04T10:00+02:00")
    enrolled = programme.ParticipantEnrolled(seeker_id=SEEKER, coach_id=named("other coach"))
    story.tell(other, enrolled, "2026-05-05T10:00+02:00")
    before = {t.programme_id: t for t in story.timers.values() if t.policy == "participant_stalled"}
    story.tell(first, programme.CoachChanged(seeker_id=SEEKER, coach_id=successor), "2026-05-06T10:00+02:00")
    after = {t.programme_id: t for t in story.timers.values() if t.policy == "participant_stalled"}
    assert (after[first].recipient.id, after[first].due_at) == (successor, before[first].due_at)
    assert after[other] == before[other]
    assert story.recipients[SEEKER].coach() == named("other coach")


def test_one_event_ends_what_is_left_of_a_round() -> None:
    """Given two of four reminders to say thank you were fired, when the contact is thanked, then one event ends the
    other two, on the stream of the first of them, and its key tells services that the fired ones are needless too."""
    story = Story()
    story.holds("2026-05-05T10:00+02:00")
    due, _ = fired(story, "thank_you"), fired(story, "thank_you", "overdue")
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
    due = fired(story, "thank_you")
    answers(story, due, notification.Snoozed, "2026-05-05T13:00+02:00", until=at("2026-05-07T06:00+02:00"))
    story.touches("2026-05-06T10:00+02:00", INTRODUCER)
    assert len(story.subjects) > 3
    for subject in story.subjects.values():
        assert SUBJECT.validate_json(SUBJECT.dump_json(subject)) == subject
    for recipient in story.recipients.values():
        assert RECIPIENT.validate_json(RECIPIENT.dump_json(recipient)) == recipient
    for timer in story.timers.values():
        assert TIMER.validate_json(TIMER.dump_json(timer)) == timer
