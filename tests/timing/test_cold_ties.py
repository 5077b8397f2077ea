"""Keeping in touch for years: a tie that is left alone is not forgotten, and whoever helped was in touch."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from shared.domain import contact, notification, relationship
from shared.timing.explain import explain
from shared.timing.settling import End
from shared.timing.timers import RECIPIENT, SUBJECT, timers
from tests.timing.story import CONTACT, INTRODUCER, SEEKER, Story, answers, at, fired, id_of, named

FIRST_ROUND = ["due", "again", "cooling"]
UNTIL_COOLING = "2026-06-14T10:00+09:00"
"""When the last reminder of the first round comes; the next is due on 12 September."""
NEXT = at("2026-09-12T10:00+09:00")


def _cold() -> Story:
    """A contact who was thanked once, and has not been heard of since."""
    story = Story("Asia/Tokyo")
    story.thanks("2026-05-01T10:00+09:00")
    assert [stage for _, stage in story.run_until(UNTIL_COOLING)] == FIRST_ROUND
    return story


def _told_last() -> tuple[Story, notification.Due]:
    """Such a contact, and the last reminder of the round."""
    story = Story("Asia/Tokyo")
    story.thanks("2026-05-01T10:00+09:00")
    *_, cooling = [fired(story, "keep_in_touch", stage) for stage in FIRST_ROUND]
    return story, cooling


def test_a_tie_that_stays_cold_is_mentioned_once_in_a_cadence() -> None:
    """Given a round that nobody heeded, then the tie is mentioned again a cadence later, and so on for years, once each
    time; a touch begins a whole round."""
    story = _cold()
    assert story.due("keep_in_touch") == {"due": NEXT}
    assert story.timer("keep_in_touch").urgency == "low"
    told = story.run_until("2029-05-01T10:00+09:00")
    assert told == [("keep_in_touch", "due")] * 11
    story.touches("2029-05-02T10:00+09:00")
    assert list(story.due("keep_in_touch")) == FIRST_ROUND
    assert [stage for _, stage in story.run_until("2029-08-20T10:00+09:00")] == FIRST_ROUND


@pytest.mark.parametrize("event", [relationship.Paused, relationship.Ended])
def test_a_cold_tie_that_is_ended_or_paused_is_mentioned_no_more(event: type[relationship.RelationshipEvent]) -> None:
    story = _cold()
    story.between(event, "2026-07-01T10:00+09:00")
    assert story.run_until("2029-05-01T10:00+09:00") == []


def test_a_contact_to_be_left_alone_is_a_cold_tie_no_more() -> None:
    story = _cold()
    story.tell(CONTACT, contact.AskedNotToBeContacted(), "2026-07-01T10:00+09:00")
    story.tell(CONTACT, contact.HoursOffered(capacity=3), "2026-08-01T10:00+09:00")
    assert story.run_until("2029-05-01T10:00+09:00") == []


def test_a_cadence_that_is_changed_holds_for_a_cold_tie_too() -> None:
    story = _cold()
    story.between(relationship.CadenceChanged, "2026-07-01T10:00+09:00", cadence_days=365)
    assert story.due("keep_in_touch") == {"due": at("2027-06-14T10:00+09:00")}


def test_what_could_not_be_said_of_a_cold_tie_is_said_next_time() -> None:
    """Given that the last reminders were muted, or came in an outage, then the tie is mentioned a cadence after that:
    within thirty days, so that what ended on one day does not all come on another."""
    muted = Story("Asia/Tokyo")
    muted.prefers("2026-05-01T09:00+09:00", muted=["keep_in_touch"])
    muted.thanks("2026-05-01T10:00+09:00")
    assert muted.run_until(UNTIL_COOLING) == []
    assert at("2026-09-13T08:00+09:00") <= muted.due("keep_in_touch")["due"] < at("2026-10-13T10:00+09:00")
    muted.prefers("2026-07-01T10:00+09:00", muted=[])
    assert muted.run_until("2026-10-13T10:00+09:00") == [("keep_in_touch", "due")]

    out = _cold()
    missed = out.timer("keep_in_touch")
    assert isinstance(out.settle(missed, at("2027-01-01T10:00+09:00")), End)
    assert at("2027-04-02T08:00+09:00") <= out.due("keep_in_touch")["due"] < at("2027-05-02T10:00+09:00")


def test_what_a_seeker_has_switched_off_begins_nothing_anew() -> None:
    """Given a pending round, when its last stage is switched off, then the others come as they were to come; and when
    all of it is, nothing does."""
    story = Story("Asia/Tokyo")
    story.thanks("2026-05-01T10:00+09:00")
    story.prefers("2026-05-02T10:00+09:00", overrides={"keep_in_touch": {"stages": {"cooling": {"enabled": False}}}})
    assert story.due("keep_in_touch") == {"due": at("2026-05-31T10:00+09:00"), "again": at("2026-06-07T10:00+09:00")}
    off = _cold()
    off.prefers("2026-07-01T10:00+09:00", overrides={"keep_in_touch": {"enabled": False}})
    assert off.run_until("2029-05-01T10:00+09:00") == []


@pytest.mark.parametrize("how", ["acted_on", "dismissed"])
def test_the_last_reminder_of_a_round_can_be_answered(how: str) -> None:
    """Given the last reminder of a round, when it is answered, however late, then a whole round begins from there."""
    story, cooling = _told_last()
    assert id_of(cooling) in story.timer("keep_in_touch").guards
    answers(story, cooling, notification.Acknowledged, "2026-08-01T10:00+09:00", how=how)
    assert list(story.due("keep_in_touch")) == FIRST_ROUND
    assert story.due("keep_in_touch")["due"] == at("2026-10-30T10:00+09:00")


def test_the_last_reminder_of_a_round_can_be_put_off() -> None:
    """Given the last reminder of a round, when it is put off, then it comes again then, and the next a cadence after
    the round; where it is put off beyond that, the next is a cadence after it."""
    story, cooling = _told_last()
    answers(story, cooling, notification.Snoozed, "2026-06-15T10:00+09:00", until=at("2026-07-01T10:00+09:00"))
    assert story.due("keep_in_touch") == {"cooling": at("2026-07-01T10:00+09:00"), "due": NEXT}
    again = fired(story, "keep_in_touch", "cooling")
    assert story.due("keep_in_touch") == {"due": NEXT}
    answers(story, again, notification.Snoozed, "2026-07-02T10:00+09:00", until=at("2026-12-01T10:00+09:00"))
    assert story.due("keep_in_touch") == {"cooling": at("2026-12-01T10:00+09:00")}
    fired(story, "keep_in_touch", "cooling")
    assert story.due("keep_in_touch") == {"due": at("2027-03-01T10:00+09:00")}


def test_the_word_of_a_cold_tie_can_be_put_off_beyond_the_next() -> None:
    """Given a tie that has been mentioned once more, when that is put off until after the next one, then it comes once,
    when it was asked for, and the next a cadence after it."""
    story = _cold()
    once_more = fired(story, "keep_in_touch")
    answers(story, once_more, notification.Snoozed, "2026-09-13T10:00+09:00", until=at("2027-02-01T10:00+09:00"))
    assert [stage for _, stage in story.run_until("2027-04-01T10:00+09:00")] == ["due"]
    assert story.due("keep_in_touch") == {"due": at("2027-05-02T10:00+09:00")}


def test_a_word_that_is_taken_back_ends_nothing_that_is_to_come() -> None:
    """Given a tie that has been mentioned once more, when that, or a reminder of the round before, is taken back, then
    the next comes all the same."""
    story = Story("Asia/Tokyo")
    story.thanks("2026-05-01T10:00+09:00")
    first, *_, cooling = [fired(story, "keep_in_touch", stage) for stage in FIRST_ROUND]
    because = {"reason": "withdrawn", "because": "sent_elsewhere"}
    for taken_back in (first, cooling):
        answers(story, taken_back, notification.Withdrawn, "2026-06-15T10:00+09:00", **because)
        assert story.due("keep_in_touch") == {"due": NEXT}
    once_more = fired(story, "keep_in_touch")
    following = story.due("keep_in_touch")
    answers(story, once_more, notification.Withdrawn, "2026-09-13T10:00+09:00", **because)
    assert list(following) == ["due"]
    assert story.due("keep_in_touch") == following


def test_a_touch_that_is_written_down_after_the_round_begins_a_whole_one() -> None:
    """Given a round that nobody heeded, when a touch in the midst of it is written down, then the next round is counted
    from that; one of before the round changes nothing."""
    story = _cold()
    story.touches("2026-04-01T10:00+09:00", written="2026-06-20T10:00+09:00")
    assert story.due("keep_in_touch") == {"due": NEXT}
    story.touches("2026-06-02T10:00+09:00", written="2026-06-20T11:00+09:00")
    assert list(story.due("keep_in_touch")) == FIRST_ROUND
    assert story.due("keep_in_touch")["due"] == at("2026-08-31T10:00+09:00")


def test_to_connect_at_last_warms_a_cold_tie() -> None:
    story = _cold()
    story.between(relationship.Connected, "2026-07-01T10:00+09:00")
    assert story.due("keep_in_touch")["due"] == at("2026-09-29T10:00+09:00")


def test_a_cold_tie_is_explained() -> None:
    """Given a round that nobody heeded, then its reminders are explained as told, the next as pending under its own id;
    and all of it is kept as JSON."""
    story = _cold()
    timer = story.timer("keep_in_touch")
    subject, recipient = story.subjects[timer.subject_id], story.recipients[SEEKER]
    explained = [one for one in explain(subject, recipient, story.policies) if one.policy == "keep_in_touch"]
    assert [(one.stage, one.status) for one in explained] == [
        ("due", "pending"),
        ("again", "fired"),
        ("cooling", "fired"),
    ]
    assert explained[0].notification_id == timer.id
    assert explained[0].armed_by is not None
    assert explained[0].armed_by.type == "notification.due"
    kept = SUBJECT.validate_json(SUBJECT.dump_json(subject))
    assert timers(kept, RECIPIENT.validate_json(RECIPIENT.dump_json(recipient)), story.policies) == {timer.id: timer}


def _asks(story: Story, when: str) -> None:
    story.between(relationship.IntroductionRequested, when, named("friend of theirs"), connector_id=INTRODUCER)


def _introduces(story: Story, when: str) -> None:
    story.between(relationship.IntroductionMade, when, named("friend of theirs"), connector_id=INTRODUCER)


def _will_not(story: Story, when: str) -> None:
    story.between(relationship.IntroductionDeclined, when, named("friend of theirs"), connector_id=INTRODUCER)


def _asks_for_names(story: Story, when: str) -> None:
    story.between(relationship.ReferralAsked, when, INTRODUCER)


@pytest.mark.parametrize("helps", [_asks, _introduces, _will_not, _asks_for_names])
def test_who_is_asked_or_helps_was_in_touch(helps: Callable[[Story, str], object]) -> None:
    """Given a tie that is kept every thirty days, when the contact is asked for an introduction, or for names, makes
    the introduction or will not, then the next word to them is a cadence after that; where no tie is kept, none is
    begun; and the tie of whom it is about stays as it was."""
    story = Story("Asia/Tokyo")
    for each in (INTRODUCER, named("friend of theirs")):
        story.between(relationship.KeepInTouchStarted, "2026-03-01T10:00+09:00", each, cadence_days=30)
    before = {t.contact_ids: t.due_at for t in story.timers.values() if t.stage == "due"}
    helps(story, "2026-03-20T10:00+09:00")
    after = {t.contact_ids: t.due_at for t in story.timers.values() if (t.policy, t.stage) == ("keep_in_touch", "due")}
    assert after == before | {(INTRODUCER,): at("2026-04-19T10:00+09:00")}
    other = Story("Asia/Tokyo")
    helps(other, "2026-03-20T10:00+09:00")
    assert other.due("keep_in_touch") == {}


def test_who_introduces_somebody_is_not_told_of_as_lost() -> None:
    """Given the first reminder to keep in touch, when the contact introduces somebody, then the rest of the round is
    over, and the tie does not cool."""
    story = Story("Asia/Tokyo")
    story.between(relationship.KeepInTouchStarted, "2026-03-01T10:00+09:00", INTRODUCER, cadence_days=30)
    _asks(story, "2026-03-20T10:00+09:00")
    assert ("keep_in_touch", "due") in story.run_until("2026-04-19T10:00+09:00")
    _introduces(story, "2026-04-20T10:00+09:00")
    told = story.run_until("2026-05-19T10:00+09:00")
    assert [stage for policy, stage in told if policy == "keep_in_touch"] == []
    assert story.due("keep_in_touch")["due"] == at("2026-05-20T10:00+09:00")
    assert set(story.ended("keep_in_touch").values()) == {
        ("superseded", "relationship.introduction_requested"),
        ("superseded", "relationship.introduction_made"),
    }


def test_a_pause_of_before_the_round_that_is_written_down_late_leaves_a_cold_tie_as_it_is() -> None:
    """Given a cold tie, when a pause is written down that was over before its round began, then it is mentioned when it
    was to be."""
    story = _cold()
    story.between(relationship.Paused, "2026-04-20T10:00+09:00", CONTACT, "2026-07-01T10:00+09:00")
    story.between(relationship.Resumed, "2026-04-25T10:00+09:00", CONTACT, "2026-07-01T11:00+09:00")
    assert story.due("keep_in_touch") == {"due": NEXT}
    assert story.run_until("2027-02-01T10:00+09:00") == [("keep_in_touch", "due")] * 2
