"""What is written down late leads to what it would have led to in the order in which it happened."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, time, timedelta
from itertools import permutations

import pytest

from shared.domain import contact, notification, relationship
from shared.timing.explain import explain
from shared.timing.schedule import LATE_DAYS
from tests.timing.story import CONTACT, INTRODUCER, RELATIONSHIP, SEEKER, Story, answers, at, fired, id_of, local, named

HAPPENED: dict[str, Callable[[Story, str], object]] = {
    "thanks": lambda story, written: story.thanks("2026-06-01T12:00+09:00", written=written),
    "a touch": lambda story, written: story.touches("2026-06-10T10:00+09:00", written=written),
    "another conversation": lambda story, written: story.holds("2026-06-20T10:00+09:00", written, id=named("another")),
    "an older touch": lambda story, written: story.touches("2026-05-20T10:00+09:00", written=written),
}


@pytest.mark.parametrize("order", [*permutations(HAPPENED)], ids=", ".join)
def test_when_to_keep_in_touch_does_not_depend_on_what_is_written_down_first(order: tuple[str, ...]) -> None:
    """Given thanks and what passed before and after them, written down in any order, then the next reminder is a
    cadence after the last of it."""
    story = Story("Asia/Tokyo")
    for number, what in enumerate(order):
        HAPPENED[what](story, f"2026-07-0{1 + number}T10:00+09:00")
    assert story.due("keep_in_touch")["due"] == at("2026-09-18T10:00+09:00")


def test_a_touch_before_older_thanks_are_written_down_puts_off_the_first_reminder() -> None:
    """Given a touch after a conversation, when the thanks for it are written down only then, then the first reminder is
    a cadence after the touch, and not a month after the thanks; the notification is of the round that those began."""
    story = Story("Asia/Tokyo")
    story.holds("2026-06-01T10:00+09:00")
    story.touches("2026-06-10T10:00+09:00")
    thanked = story.thanks("2026-06-01T12:00+09:00", written="2026-06-12T10:00+09:00")
    timer = story.timer("keep_in_touch")
    assert timer.due_at == at("2026-09-08T10:00+09:00")
    assert (timer.occurrence, timer.armed_by.type) == (thanked.event_id, "interview.thanked")
    story.thanks("2026-06-20T10:00+09:00")
    assert story.due("keep_in_touch")["due"] == at("2026-07-20T10:00+09:00")


def test_a_tie_does_not_cool_whose_touches_were_imported_first() -> None:
    """Given an import with a touch of last week before the thanks of last winter, then nobody hears that the tie
    cools."""
    story = Story("Asia/Tokyo")
    now = "2026-10-01T10:00+09:00"
    story.touches("2026-09-24T10:00+09:00", written=now)
    story.thanks("2026-01-05T10:00+09:00", written=now)
    assert story.run_until("2026-12-01T10:00+09:00") == []
    assert story.due("keep_in_touch")["due"] == at("2026-12-23T10:00+09:00")


def test_what_was_started_by_hand_before_a_touch_is_not_spread() -> None:
    """Given a touch, when it is written down that reminders had been started by hand before it, then they are counted
    as after any touch."""
    story = Story("Asia/Tokyo")
    story.touches("2026-06-10T10:00+09:00")
    written = "2026-06-12T10:00+09:00"
    story.between(relationship.KeepInTouchStarted, "2026-06-01T10:00+09:00", CONTACT, written)
    timer = story.timer("keep_in_touch")
    assert (timer.due_at, timer.moved_by) == (at("2026-09-08T10:00+09:00"), ())


def test_thanks_of_the_day_of_their_conversation_come_after_it() -> None:
    """Given a conversation in the afternoon, when thanks are said to be of that day, which begins before it, then the
    first reminder is a month later; nor does connecting put it off."""
    story = Story("Asia/Tokyo")
    story.holds("2026-06-01T15:00+09:00")
    story.between(relationship.Connected, "2026-06-02T10:00+09:00")
    story.thanks("2026-06-01T09:00+09:00", written="2026-06-02T11:00+09:00")
    assert story.due("keep_in_touch")["due"] == at("2026-07-01T09:00+09:00")


@pytest.mark.parametrize("when", ["2026-06-01T09:00+09:00", "2026-06-01T16:00+09:00"])
def test_thanks_come_after_their_conversation_where_the_tie_is_kept_already(when: str) -> None:
    """Given a tie that is kept already, when they talk, and thanks are said to be of that day, at whatever hour, then
    the first reminder is a month later all the same."""
    story = Story("Asia/Tokyo")
    story.between(relationship.KeepInTouchStarted, "2026-03-01T10:00+09:00")
    story.holds("2026-06-01T15:00+09:00")
    story.thanks(when, written="2026-06-02T11:00+09:00")
    assert story.due("keep_in_touch")["due"] == at(when.replace("2026-06", "2026-07"))


def test_thanks_after_a_contact_may_be_asked_again_are_not_later_than_that() -> None:
    """Given reminders that are counted from when somebody may be written to again, when thanks for the conversation
    before that are written down, then they stay."""
    story = Story("Asia/Tokyo")
    story.between(relationship.KeepInTouchStarted, "2026-03-01T10:00+09:00")
    story.tell(CONTACT, contact.AskedNotToBeContacted(), "2026-05-20T10:00+09:00")
    story.holds("2026-06-01T15:00+09:00")
    story.tell(CONTACT, contact.HoursOffered(capacity=3), "2026-07-01T10:00+09:00")
    story.thanks("2026-06-01T09:00+09:00", written="2026-07-02T11:00+09:00")
    assert story.due("keep_in_touch")["due"] == at("2026-09-29T10:00+09:00")


def test_older_thanks_begin_nothing_anew_after_a_later_talk_or_later_thanks() -> None:
    """Given thanks, when others for the same conversation are written down that came before them, or after them a talk
    about something else, then the later of the two counts."""
    story = Story("Asia/Tokyo")
    story.holds("2026-06-01T15:00+09:00")
    story.thanks("2026-06-05T10:00+09:00")
    story.thanks("2026-06-02T10:00+09:00", written="2026-06-06T10:00+09:00")
    assert story.due("keep_in_touch")["due"] == at("2026-07-05T10:00+09:00")
    story.holds("2026-06-20T15:00+09:00", id=named("another"))
    story.thanks("2026-06-03T10:00+09:00", written="2026-06-21T10:00+09:00")
    assert story.due("keep_in_touch")["due"] == at("2026-09-18T15:00+09:00")


def _pauses_long_ago(story: Story, written: str) -> None:
    story.between(relationship.Paused, "2026-06-01T10:00+09:00", CONTACT, written)
    story.between(relationship.Resumed, "2026-06-10T10:00+09:00", CONTACT, written)


@pytest.mark.parametrize("begins", ["thanks", "hand"])
def test_a_pause_that_was_over_before_the_round_began(begins: str) -> None:
    """Given reminders to keep in touch, however begun, when it is written down that there had been a pause before them,
    which had ended, then they come when they were to come, as a round of their own: the pause ended the first."""
    story = Story("Asia/Tokyo")
    if begins == "thanks":
        story.thanks("2026-06-18T10:00+09:00")
    else:
        story.between(relationship.KeepInTouchStarted, "2026-06-18T10:00+09:00")
    before = set(story.timers)
    due = story.due("keep_in_touch")
    _pauses_long_ago(story, "2026-06-20T10:00+09:00")
    assert before == story.over
    assert story.due("keep_in_touch") == due
    assert not before & story.timers.keys()
    told = [stage for _, stage in story.run_until("2026-10-01T10:00+09:00")]
    assert told == ["due", "again", "cooling"]


def test_a_pause_of_long_ago_brings_back_nothing_that_was_told() -> None:
    """Given that the first reminder of a round was told, when a pause is written down that was over before, then that
    does not come again, and the next comes in its time."""
    story = Story("Asia/Tokyo")
    story.thanks("2026-06-18T10:00+09:00")
    fired(story, "keep_in_touch")
    left = story.due("keep_in_touch")
    _pauses_long_ago(story, "2026-07-20T10:00+09:00")
    assert story.due("keep_in_touch") == left
    assert set(left) == {"again", "cooling"}


def test_what_was_told_before_such_pauses_is_still_answered() -> None:
    """Given that the first reminder of a round was told, when pauses are written down that were over before, one after
    the other, then it comes no more, is explained as told, guards those that follow, and being done with it begins the
    next interval."""
    story = Story("Asia/Tokyo")
    story.thanks("2026-06-18T10:00+09:00")
    due = fired(story, "keep_in_touch")
    for written in ("2026-07-20T10:00+09:00", "2026-07-21T10:00+09:00"):
        _pauses_long_ago(story, written)
        assert set(story.due("keep_in_touch")) == {"again", "cooling"}
    assert id_of(due) in story.timer("keep_in_touch", "again").guards
    subject = story.subjects[story.timer("keep_in_touch", "again").subject_id]
    explained = explain(subject, story.recipients[subject.seeker_id], story.policies)
    told = [one for one in explained if one.status == "fired"]
    assert [one.notification_id for one in told if one.policy == "keep_in_touch"] == [id_of(due)]
    answers(story, due, notification.Acknowledged, "2026-07-22T10:00+09:00", how="acted_on")
    assert story.due("keep_in_touch")["due"] == at("2026-10-20T10:00+09:00")


def test_what_was_snoozed_before_such_pauses_still_comes_again() -> None:
    """Given a reminder that was snoozed, when pauses are written down that were over before its round began, one after
    the other, then it comes again when it was to, once, and being done with it begins the next interval."""
    story = Story("Asia/Tokyo")
    story.thanks("2026-06-18T10:00+09:00")
    due = fired(story, "keep_in_touch")
    answers(story, due, notification.Snoozed, "2026-07-19T10:00+09:00", until=at("2026-08-20T10:00+09:00"))
    before = story.due("keep_in_touch")
    assert before["due"] == at("2026-08-20T10:00+09:00")
    for written in ("2026-07-20T10:00+09:00", "2026-07-21T10:00+09:00"):
        pending = set(story.timers)
        _pauses_long_ago(story, written)
        assert story.due("keep_in_touch") == before
        assert pending <= story.over
        assert not pending & story.timers.keys()
    again = fired(story, "keep_in_touch")
    left = story.due("keep_in_touch")
    assert left == {"again": at("2026-08-27T10:00+09:00"), "cooling": at("2026-09-03T10:00+09:00")}
    _pauses_long_ago(story, "2026-08-20T11:00+09:00")
    assert story.due("keep_in_touch") == left
    explained = explain(story.subjects[RELATIONSHIP], story.recipients[SEEKER], story.policies)
    told = [one.notification_id for one in explained if (one.policy, one.status) == ("keep_in_touch", "fired")]
    assert told == [id_of(due), id_of(again)]
    answers(story, again, notification.Acknowledged, "2026-08-21T10:00+09:00", how="acted_on")
    assert story.due("keep_in_touch")["due"] == at("2026-11-19T10:00+09:00")


def test_what_was_taken_back_before_such_a_pause_stays_so() -> None:
    """Given a reminder that was told, snoozed and taken back, when a pause is written down that was over before, then
    it does not come again, neither at once nor when its snooze ends."""
    story = Story("Asia/Tokyo")
    story.thanks("2026-06-18T10:00+09:00")
    due = fired(story, "keep_in_touch")
    answers(story, due, notification.Snoozed, "2026-07-19T10:00+09:00", until=at("2026-07-22T10:00+09:00"))
    because = {"reason": "withdrawn", "because": "sent_elsewhere"}
    answers(story, due, notification.Withdrawn, "2026-07-19T11:00+09:00", **because)
    left = story.due("keep_in_touch")
    assert "due" not in left
    _pauses_long_ago(story, "2026-07-20T10:00+09:00")
    assert story.due("keep_in_touch") == left


def test_what_was_told_before_such_a_pause_and_is_taken_back_after_it_comes_no_more() -> None:
    """Given a reminder that was told, when a pause is written down that was over before, and only then it is snoozed
    and taken back, then it does not come when its snooze ends."""
    story = Story("Asia/Tokyo")
    story.thanks("2026-06-18T10:00+09:00")
    due = fired(story, "keep_in_touch")
    _pauses_long_ago(story, "2026-07-20T10:00+09:00")
    answers(story, due, notification.Snoozed, "2026-07-21T10:00+09:00", until=at("2026-08-20T10:00+09:00"))
    assert story.due("keep_in_touch")["due"] == at("2026-08-20T10:00+09:00")
    answers(story, due, notification.Withdrawn, "2026-07-22T10:00+09:00", reason="withdrawn", because="asked")
    told = story.run_until("2026-09-21T10:00+09:00")
    assert told == [("keep_in_touch", "again"), ("keep_in_touch", "cooling")]


@pytest.mark.parametrize("told", ["a touch", "a connection", "a conversation"])
def test_what_passed_before_an_introduction_was_asked_for_does_not_end_the_nudge(told: str) -> None:
    """Given a connector who was asked on Monday, when something of two months ago is written down on Tuesday, then the
    connector is still to be nudged; what happens after they were asked ends that, also where it is written down first.
    """
    story = Story()

    def passes(when: str, written: str) -> None:
        if told == "a touch":
            story.touches(when, written=written)
        elif told == "a connection":
            story.between(relationship.Connected, when, CONTACT, written)
        else:
            story.holds(when, written, id=named(when))

    asked = relationship.IntroductionRequested
    story.between(asked, "2026-05-04T10:00+02:00", connector_id=INTRODUCER)
    passes("2026-03-04T10:00+01:00", "2026-05-05T10:00+02:00")
    assert "due" in story.due("introduction_nudge")
    passes("2026-05-05T10:00+02:00", "2026-05-06T10:00+02:00")
    assert story.due("introduction_nudge") == {}
    story.between(asked, "2026-05-04T11:00+02:00", CONTACT, "2026-05-06T11:00+02:00", connector_id=INTRODUCER)
    assert story.due("introduction_nudge") == {}


def test_what_is_spread_comes_with_a_digest() -> None:
    """Given thanks of last winter that are written down in autumn, then the tie is told to cool at some hour of the
    weeks that follow; to who wants a digest, with that."""
    story = Story("Asia/Tokyo")
    story.thanks("2026-01-05T10:00+09:00", written="2026-10-01T10:00+09:00")
    spread = story.timer("keep_in_touch", "cooling")
    assert spread.moved_by == ("spread",)
    story.prefers("2026-10-01T11:00+09:00", digest=True)
    timer = story.timer("keep_in_touch", "cooling")
    day, nine = spread.local_due.date(), time(9)
    if spread.local_due.time() > nine:
        day += timedelta(days=1)
    assert (timer.local_due, timer.moved_by) == (datetime.combine(day, nine), ("spread", "digest"))


def test_what_is_spread_into_an_hour_that_is_skipped_comes_in_the_next_waking_minute() -> None:
    """Given somebody who may be disturbed from two to three at night only, when what is written down late would be told
    in the night that lacks that hour, then it comes in the next."""
    story = Story("Europe/Berlin")
    story.prefers("2026-01-01T10:00+01:00", waking_hours={"start": "02:00", "end": "03:00"})
    spread_over = timedelta(days=1 + (RELATIONSHIP.int & 0xFFFFFFFF) % LATE_DAYS)
    written = at("2026-03-29T12:00+02:00") - spread_over
    story.thanks("2025-09-05T10:00+02:00", written=written.isoformat())
    timer = story.timer("keep_in_touch", "cooling")
    assert timer.moved_by == ("spread",)
    assert timer.local_due == local("2026-03-30T02:00")
