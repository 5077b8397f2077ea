"""Who is to be left alone: contacts who asked for it or were forgotten, connectors, seekers who left."""

from __future__ import annotations

import pytest

from shared.domain import contact, interview, relationship, seeker
from tests.timing.story import (
    CONTACT,
    INTERVIEW,
    INTRODUCER,
    RELATIONSHIP,
    SEEKER,
    Story,
    at,
    named,
)


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


def test_a_contact_who_asked_to_be_left_alone() -> None:
    """Given an appointment and a tie, when the contact asks not to be contacted, then all that would reach them is
    withdrawn, and nobody is to prepare to meet them; how it went is still asked."""
    story = Story()
    story.schedules("2026-05-01T10:00+02:00", "2026-05-20T10:00+02:00")
    story.thanks("2026-05-01T11:00+02:00")
    story.tell(CONTACT, contact.AskedNotToBeContacted(), "2026-05-02T10:00+02:00")
    assert story.due("confirmation") == story.due("keep_in_touch") == story.due("preparation") == {}
    assert story.ended("confirmation") == {"due": ("withdrawn", "contact_closed")}
    assert story.ended("preparation") == dict.fromkeys(("due", "day_before"), ("withdrawn", "contact_closed"))
    assert "due" in story.due("how_did_it_go")


def test_one_of_two_contacts_asked_to_be_left_alone() -> None:
    story = Story()
    other = named("other contact")
    story.holds("2026-05-05T10:00+02:00", contacts=(CONTACT, other))
    story.tell(CONTACT, contact.Forgotten(), "2026-05-05T10:10+02:00")
    assert "due" in story.due("thank_you")
    story.tell(other, contact.Forgotten(), "2026-05-05T10:20+02:00")
    assert story.due("thank_you") == {}


def test_a_conversation_that_goes_on_without_the_one_who_may_be_asked() -> None:
    """Given an appointment with two of whom one asked to be left alone, when the other drops out, then nobody is left
    to confirm it with, and it does not come back; what is to be recorded of it stays."""
    story = Story()
    other = named("other contact")
    both = (CONTACT, other)
    story.schedules("2026-05-01T10:00+02:00", "2026-05-20T10:00+02:00", contacts=both)
    assert story.timer("confirmation").contact_ids == both
    story.tell(other, contact.AskedNotToBeContacted(), "2026-05-02T10:00+02:00")
    assert story.timer("confirmation").contact_ids == (CONTACT,)
    story.happens(interview.DroppedOut, "2026-05-03T10:00+02:00", contact_ids=both, dropped_ids=(CONTACT,))
    assert story.due("confirmation") == {}
    assert story.ended("confirmation") == {"due": ("withdrawn", "contact_closed")}
    assert story.timer("how_did_it_go").contact_ids == (other,)
    story.tell(other, contact.HoursOffered(capacity=3), "2026-05-04T10:00+02:00")
    assert story.due("confirmation") == {}


def test_who_dropped_out_is_not_reminded_of() -> None:
    """Given an appointment with two, when one drops out, then the reminders go on and name the other; whether the one
    who dropped out wants to be left alone plays no part any more."""
    story = Story()
    other = named("other contact")
    both = (CONTACT, other)
    story.schedules("2026-05-01T10:00+02:00", "2026-05-20T10:00+02:00", contacts=both)
    before = story.timer("confirmation")
    story.happens(interview.DroppedOut, "2026-05-03T10:00+02:00", contact_ids=both, dropped_ids=(other,))
    after = story.timer("confirmation")
    assert (after.id, after.due_at, after.contact_ids) == (before.id, before.due_at, (CONTACT,))
    story.tell(other, contact.AskedNotToBeContacted(), "2026-05-04T10:00+02:00")
    assert story.timer("confirmation") == after
    story.holds("2026-05-20T10:30+02:00")
    story.thanks("2026-05-20T11:00+02:00")
    assert story.ended("thank_you")["due"] == ("withdrawn", "interview.thanked")


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


def test_a_tie_is_kept_from_the_day_on_which_one_may_write_again() -> None:
    """Given a tie with somebody who asked to be left alone, and was thanked and met since, when they offer hours after
    months, then the next word is due after one cadence, and not all that would have been due meanwhile."""
    story = Story()
    story.tell(CONTACT, contact.AskedNotToBeContacted(), "2026-01-22T16:10+01:00")
    story.thanks("2026-01-22T17:10+01:00")
    story.touches("2026-01-24T17:10+01:00")
    assert story.due("keep_in_touch") == {}
    story.tell(CONTACT, contact.HoursOffered(capacity=1), "2026-05-01T10:00+02:00")
    assert story.due("keep_in_touch") == {
        "due": at("2026-07-30T10:00+02:00"),
        "again": at("2026-08-06T10:00+02:00"),
        "cooling": at("2026-08-13T10:00+02:00"),
    }
    story.touches("2026-04-30T10:00+02:00", written="2026-05-02T10:00+02:00")
    assert story.due("keep_in_touch")["due"] == at("2026-07-30T10:00+02:00")
    story.touches("2026-05-03T10:00+02:00")
    assert story.due("keep_in_touch")["due"] == at("2026-08-01T10:00+02:00")


def test_what_was_to_come_later_still_does_when_one_may_write_again() -> None:
    """Given a tie with somebody who is to be left alone, that was snoozed or begun for later, when they offer hours,
    then that stands; and a round that had ended with their wish begins with the next touch, whenever written down."""
    for event, said in (
        (relationship.Snoozed, {"until": at("2026-09-01T10:00+02:00")}),
        (relationship.KeepInTouchStarted, {"first_after_days": 200}),
    ):
        story = Story()
        story.thanks("2026-01-10T17:10+01:00")
        story.tell(CONTACT, contact.AskedNotToBeContacted(), "2026-01-22T16:10+01:00")
        story.between(event, "2026-02-01T10:00+01:00", **said)
        story.tell(CONTACT, contact.HoursOffered(capacity=1), "2026-05-01T10:00+02:00")
        assert story.due("keep_in_touch")["due"] > at("2026-08-15T10:00+02:00")
    story = Story()
    story.thanks("2026-01-10T17:10+01:00")
    story.tell(CONTACT, contact.AskedNotToBeContacted(), "2026-01-22T16:10+01:00")
    story.tell(CONTACT, contact.HoursOffered(capacity=1), "2026-05-01T10:00+02:00")
    assert story.due("keep_in_touch") == {}
    story.touches("2026-04-30T10:00+02:00", written="2026-05-02T10:00+02:00")
    assert story.due("keep_in_touch")["due"] == at("2026-07-29T10:00+02:00")


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


def test_a_seeker_who_returns_is_told_of_what_happens_from_then_on() -> None:
    """Given a seeker who left, when they return, then nothing that had ended comes again; what they do anew is followed
    up, and a tie that is begun again is kept."""
    story = Story()
    story.holds("2026-05-05T10:00+02:00")
    story.thanks("2026-05-05T11:00+02:00")
    story.tell(SEEKER, seeker.Left(), "2026-05-06T10:30+02:00")
    story.tell(SEEKER, seeker.Returned(), "2026-05-20T10:00+02:00")
    assert story.run_until("2027-05-20T10:00+02:00") == []
    story.leads("2027-05-21T10:00+02:00")
    story.between(relationship.KeepInTouchStarted, "2027-05-21T10:00+02:00", cadence_days=60)
    assert {timer.policy for timer in story.timers.values()} == {"act_on_lead", "keep_in_touch"}


def test_a_seeker_who_left_is_left_alone() -> None:
    story = Story()
    story.holds("2026-05-05T10:00+02:00")
    story.tell(SEEKER, seeker.Left(), "2026-05-05T10:30+02:00")
    assert not story.timers
    assert {(e.reason, e.because) for e in story.endings.values()} == {("withdrawn", "seeker.left")}
