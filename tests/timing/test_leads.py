"""When one is reminded of leads, and of what came of them."""

from __future__ import annotations

from datetime import date

import pytest

from shared.domain import lead, notification
from shared.timing.settling import Defer, Fire
from tests.timing.story import (
    CONTACT,
    LEAD,
    SEEKER,
    Story,
    answers,
    at,
    fired,
)


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
    due = fired(story, "act_on_job_opening")
    answers(story, due, notification.Snoozed, "2026-05-09T18:00+02:00", until=at("2026-05-10T10:00+02:00"))
    again = story.timer("act_on_job_opening")
    assert again.due_at == at("2026-05-10T10:00+02:00")
    assert isinstance(story.settle(again, again.due_at), Fire)

    story = Story(country="DE")
    story.schedules("2026-05-04T10:00+02:00", "2026-05-10T10:00+02:00")
    due = fired(story, "confirmation")
    answers(story, due, notification.Snoozed, "2026-05-08T10:00+02:00", until=at("2026-05-09T10:00+02:00"))
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


@pytest.mark.parametrize("then", [lead.CameToSomething, lead.CameToNothing, lead.ReportedBack, lead.Dropped])
def test_what_was_acted_on_is_asked_for_its_result(then: type[lead.LeadFollowed]) -> None:
    """Given a lead that was acted on, then the seeker is asked twice what came of it, and not once that is known, told
    to who gave it, or of no more interest."""
    story = Story()
    story.leads("2026-05-04T10:00+02:00")
    story.pursues(lead.ActedOn, "2026-05-05T10:00+02:00")
    assert [each for each, _ in story.run_until("2026-12-31T10:00+01:00")] == ["lead_result"] * 2
    story = Story()
    story.leads("2026-05-04T10:00+02:00")
    story.pursues(lead.ActedOn, "2026-05-05T10:00+02:00")
    story.pursues(then, "2026-05-06T10:00+02:00")
    assert story.ended("lead_result") == dict.fromkeys(("due", "again"), ("withdrawn", then.type))


def test_who_was_asked_through_a_promise_is_no_longer_waited_for() -> None:
    """Given a promised introduction, when the seeker acts on it, as by asking whom it led to for a conversation, then
    whoever promised is not to be reminded."""
    story = Story()
    story.leads("2026-05-04T10:00+02:00", "promised_introduction")
    story.pursues(lead.ActedOn, "2026-05-05T10:00+02:00", "promised_introduction")
    assert story.due("promised_introduction") == {}
    assert story.ended("promised_introduction")["due"] == ("withdrawn", "lead.acted_on")


def test_who_kept_a_promise_is_told_how_it_went_on_not_that_it_was_kept() -> None:
    """Given a promised introduction that is made, then whoever made it is to be told what came of it weeks later, by
    which time there was a talk, or there will be none; not once they have been told. Where none came, that is reported
    at once."""
    story = Story()
    story.leads("2026-05-04T10:00+02:00", "promised_introduction")
    story.pursues(lead.CameToSomething, "2026-05-06T10:00+02:00", "promised_introduction")
    assert story.due("report_back") == {}
    assert story.run_until("2026-06-02T10:00+02:00") == []
    assert story.run_until("2026-06-03T10:00+02:00") == [("report_on_introduction", "introduced")]
    story.pursues(lead.ReportedBack, "2026-06-04T10:00+02:00", "promised_introduction")
    assert not story.timers
    in_vain = Story()
    in_vain.leads("2026-05-04T10:00+02:00", "promised_introduction")
    in_vain.pursues(lead.CameToNothing, "2026-05-06T10:00+02:00", "promised_introduction")
    assert in_vain.due("report_back")["due"] == at("2026-05-07T10:00+02:00")


def test_results_are_reported_back_once() -> None:
    story = Story()
    story.leads("2026-05-04T10:00+02:00")
    story.pursues(lead.ActedOn, "2026-05-05T10:00+02:00")
    assert story.due("act_on_lead") == {}
    story.pursues(lead.CameToSomething, "2026-05-06T10:00+02:00")
    assert story.due("report_back")["due"] == at("2026-05-07T10:00+02:00")
    story.pursues(lead.ReportedBack, "2026-05-07T09:00+02:00")
    assert not story.timers
