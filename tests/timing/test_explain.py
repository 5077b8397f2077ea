"""Why was I reminded, why was I not, and when will I be?"""

from __future__ import annotations

import json

from shared.domain import contact, notification, relationship, seeker
from shared.replacing import replace
from shared.timing.explain import Explanation, explain, put_off
from shared.timing.settling import Fire
from tests.timing.story import CONTACT, INTERVIEW, LEAD, RELATIONSHIP, SEEKER, Story, at


def _told(story: Story, policy: str) -> dict[str, Explanation]:
    found = explain(story.subjects[INTERVIEW], story.recipients.get(SEEKER), story.policies)
    return {one.stage: one for one in found if one.policy == policy}


def test_why_it_will_be() -> None:
    """Given a held conversation, then each stage is explained: by what, when, and what stands against it."""
    story = Story()
    held = story.holds("2026-05-05T20:30+02:00")
    told = _told(story, "thank_you")
    assert set(told) == {"due", "overdue", "last_call", "coach"}
    due = told["due"]
    assert (due.status, due.because, due.due_at) == ("pending", "interview.held", at("2026-05-06T08:00+02:00"))
    assert due.moved_by == ("quiet_hours",)
    assert due.armed_by is not None
    assert due.armed_by.event_id == held.event_id
    assert due.notification_id == story.timer("thank_you").id
    assert due.would_disarm == ("interview.thanked",)
    assert told["coach"].will_be == "no_coach"
    story.enrols("2026-05-05T20:45+02:00")
    story.prefers("2026-05-05T21:00+02:00", muted=["thank_you"])
    against = {stage: one.will_be for stage, one in _told(story, "thank_you").items()}
    assert against == {"due": "muted", "overdue": "muted", "last_call": "muted", "coach": ""}


def one_fired_one_expired() -> Story:
    """Of the reminders to say thank you; the third and the coach's are still to come."""
    story = Story()
    story.enrols("2026-05-01T10:00+02:00")
    story.holds("2026-05-05T10:00+02:00")
    first, second = story.timer("thank_you"), story.timer("thank_you", "overdue")
    assert isinstance(story.settle(first, first.due_at), Fire)
    story.settle(second, second.expires_at)
    return story


def test_why_it_was_and_was_not() -> None:
    """Given one stage fired and one expired, then they say so, and the rest is pending."""
    story = one_fired_one_expired()
    told = _told(story, "thank_you")
    assert {stage: one.status for stage, one in told.items()} == {
        "due": "fired",
        "overdue": "not_fired",
        "last_call": "pending",
        "coach": "pending",
    }


def test_why_not_any_more() -> None:
    """Given thanks, then the policy says which event ended it; one that was never armed says what would arm it."""
    story = Story()
    story.holds("2026-05-05T10:00+02:00")
    thanked = story.thanks("2026-05-05T11:00+02:00")
    (ended,) = _told(story, "thank_you").values()
    assert (ended.status, ended.because, ended.reason) == ("ended", "interview.thanked", "withdrawn")
    assert ended.cause is not None
    assert ended.cause.position == thanked.position
    (never,) = _told(story, "preparation").values()
    assert never.status == "never_armed"
    assert never.would_arm == ("interview.scheduled", "interview.rescheduled")


def test_why_silent() -> None:
    """Given a round that stands still, then each stage says why."""
    story = Story()
    story.holds("2026-05-05T10:00+02:00")
    story.tell(CONTACT, contact.AskedNotToBeContacted(), "2026-05-05T10:10+02:00")
    # What was pending has ended by now, each with its own event.
    assert {one.status for one in _told(story, "thank_you").values()} == {"not_fired"}
    tie = Story("Asia/Tokyo")
    tie.thanks("2026-05-01T10:00+09:00")
    tie.between(relationship.Paused, "2026-05-02T10:00+09:00")
    tie.touches("2026-05-03T10:00+09:00")
    told = explain(tie.subjects[RELATIONSHIP], tie.recipients[SEEKER], tie.policies)
    assert {(one.status, one.because) for one in told if one.policy == "keep_in_touch"} == {
        ("silent", "relationship.paused")
    }


def test_a_stage_switched_off() -> None:
    """Given one stage fired and one expired, when both are switched off and one that was still to come, then what was
    told is told of as before, and the third is silent for that."""
    story = one_fired_one_expired()
    before = _told(story, "thank_you")
    off = {stage: {"enabled": False} for stage in ("due", "overdue", "last_call")}
    story.recipients[SEEKER] = replace(
        story.recipients[SEEKER], overrides=json.dumps({"thank_you": {"stages": off}}, sort_keys=True)
    )
    told = _told(story, "thank_you")
    assert list(told) == list(before)
    assert {stage: (one.status, one.because) for stage, one in told.items()} == {
        "due": ("fired", "interview.held"),
        "overdue": ("not_fired", "interview.held"),
        "last_call": ("silent", "switched_off"),
        "coach": ("pending", "interview.held"),
    }
    assert told["due"].notification_id == before["due"].notification_id
    assert told["due"].due_at == before["due"].due_at


def test_what_ends_only_what_was_before_has_ended_nothing_that_never_began() -> None:
    """Given a touch and nothing else, then what it would end is not said to be ended, but what would arm it."""
    story = Story()
    story.touches("2026-05-01T10:00+02:00")
    told = explain(story.subjects[RELATIONSHIP], story.recipients[SEEKER], story.policies)
    assert {one.status for one in told} == {"never_armed"}
    assert all(one.would_arm for one in told)


def test_connected_before() -> None:
    story = Story()
    story.between(relationship.Connected, "2026-05-01T10:00+02:00")
    told = explain(story.subjects[RELATIONSHIP], story.recipients[SEEKER], story.policies)
    (connect,) = [one for one in told if one.policy == "connect"]
    assert (connect.status, connect.because) == ("ended", "relationship.connected")


def test_a_seeker_who_is_not_there() -> None:
    unknown = Story(registered=False)
    unknown.holds("2026-05-05T10:00+02:00")
    assert [one.because for one in _told(unknown, "thank_you").values()] == ["seeker_unknown"]
    story = Story()
    story.tell(SEEKER, seeker.Left(), "2026-05-05T09:00+02:00")
    story.holds("2026-05-05T10:00+02:00")
    assert {one.because for one in _told(story, "thank_you").values()} == {"seeker_left"}


def test_snoozed() -> None:
    """Given a fired reminder snoozed, then it is told twice: fired, and pending again under another id."""
    story = Story()
    story.holds("2026-05-05T10:00+02:00")
    timer = story.timer("thank_you")
    result = story.settle(timer, timer.due_at)
    assert isinstance(result, Fire)
    same = {name: getattr(result.event, name) for name in notification.NotificationEvent.model_fields}
    snoozed = notification.Snoozed(**same, until=at("2026-05-05T18:00+02:00"))
    story.tell(timer.id, snoozed, "2026-05-05T13:00+02:00")
    found = explain(story.subjects[INTERVIEW], story.recipients[SEEKER], story.policies)
    told = [(one.status, one.due_at) for one in found if (one.policy, one.stage) == ("thank_you", "due")]
    assert told == [("fired", timer.due_at), ("pending", at("2026-05-05T18:00+02:00"))]


def test_what_will_have_expired_when_it_is_due() -> None:
    """Given an opening that closes before later reminders of it, and a conversation to confirm by an hour that is past,
    then those are said to be never told, and why; a kind that is muted is said to be that first."""
    story = Story()
    story.leads("2026-05-04T10:00+02:00", "job_opening", until="2026-05-13")

    def against() -> dict[str, str]:
        told = explain(story.subjects[LEAD], story.recipients[SEEKER], story.policies)
        return {one.stage: one.will_be for one in told if one.policy == "act_on_job_opening"}

    assert against() == {"due": "", "week_1": "", "week_2": "moment_passed", "week_3": "moment_passed"}
    story.schedules("2026-05-04T10:00+02:00", "2026-05-05T10:00+02:00")
    assert _told(story, "confirmation")["due"].will_be == "already_past"
    story.prefers("2026-05-04T11:00+02:00", muted=["act_on_lead"])
    assert set(against().values()) == {"muted"}


def test_put_off() -> None:
    """Given a reminder that is put off, then it is due then, whatever its place among others; beyond its moment, it is
    said to be never told."""
    story = Story()
    story.holds("2026-05-05T10:00+02:00")
    due = _told(story, "thank_you")["due"]
    assert due.expires_at == at("2026-05-06T10:00+02:00")
    told = [put_off(due, at(until)) for until in ("2026-05-06T08:00:00.999+02:00", "2026-05-06T10:00+02:00")]
    assert [(one.due_at, one.will_be) for one in told] == [
        (at("2026-05-06T08:00+02:00"), ""),
        (at("2026-05-06T10:00+02:00"), "moment_passed"),
    ]
