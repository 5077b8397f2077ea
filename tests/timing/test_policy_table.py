"""Every row of the policy table, with instants worked out by hand, over a year and around the world."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from shared.domain import interview, lead, relationship
from shared.domain.identity import relationship_id
from shared.timing.calendar import wall
from shared.timing.settling import Fire
from tests.timing.story import CONTACT, INTRODUCER, RELATIONSHIP, SEEKER, Story, at, local, named, utc

Told = Callable[[Story], object]


def offers(story: Story, when: str, *times: str) -> None:
    offered = [{"starts_at": time} for time in times]
    story.happens(interview.TimesOffered, when, times=offered, time_zone="Europe/Berlin")


CASES: dict[str, tuple[str, str | None, Told, str, dict[str, str]]] = {
    # name: zone, country, what is told, policy, stage → due with its offset
    "an introduction asked for before Easter": (
        "Europe/Berlin",
        "DE",  # off: Fri 3 and Mon 6 April
        lambda s: s.between(relationship.IntroductionRequested, "2026-04-02T10:00+02:00"),
        "introduction_nudge",
        {
            "due": "2026-04-13T10:00+02:00",
            "again": "2026-04-20T10:00+02:00",
            "lapse_suggested": "2026-04-27T10:00+02:00",
        },
    ),
    "an introduction made on the eve of a holiday": (
        "America/Sao_Paulo",
        "BR",  # off: Mon 7 September
        lambda s: s.between(relationship.IntroductionMade, "2026-09-04T16:00-03:00", connector="Aunt Rosa"),
        "write_to_contact",
        {"due": "2026-09-08T09:00-03:00", "again": "2026-09-11T09:00-03:00"},
    ),
    "a request before Golden Week": (
        "Asia/Tokyo",
        "JP",  # off: Mon 4 to Wed 6 May
        lambda s: s.asks("2026-04-30T10:00+09:00"),
        "request_follow_up",
        {
            "due": "2026-05-12T10:00+09:00",
            "again": "2026-05-19T10:00+09:00",
            "lapse_suggested": "2026-05-26T10:00+09:00",
        },
    ),
    "a request late in the evening": (
        "Asia/Kolkata",
        None,  # Thu 22 January and five: Thu 29, 22:30, quiet; Friday morning. Five from there: Fri 6, Fri 13.
        lambda s: s.asks("2026-01-22T22:30+05:30"),
        "request_follow_up",
        {
            "due": "2026-01-30T08:00+05:30",
            "again": "2026-02-06T08:00+05:30",
            "lapse_suggested": "2026-02-13T08:00+05:30",
        },
    ),
    "a request late on a Friday": (
        "Asia/Kolkata",
        None,  # Fri 23 and five: Fri 30, 22:30, quiet; the next working day's morning is Monday's.
        lambda s: s.asks("2026-01-23T22:30+05:30"),
        "request_follow_up",
        {
            "due": "2026-02-02T08:00+05:30",
            "again": "2026-02-09T08:00+05:30",
            "lapse_suggested": "2026-02-16T08:00+05:30",
        },
    ),
    "coffee some time, before Independence Day": (
        "America/Sao_Paulo",
        "BR",  # off: Mon 7 September
        lambda s: s.happens(interview.AgreedLoosely, "2026-09-02T15:00-03:00", what="Coffee"),
        "firm_it_up",
        {
            "due": "2026-09-04T15:00-03:00",
            "again": "2026-09-09T15:00-03:00",
            "lapse_suggested": "2026-09-16T15:00-03:00",
        },
    ),
    "coffee some time after Easter": (
        "Europe/Berlin",
        "DE",  # off: Fri 26 and Mon 29 March
        lambda s: s.happens(
            interview.AgreedLoosely, "2027-02-12T10:00+01:00", what="After Easter", not_before="2027-03-30"
        ),
        "firm_it_up",
        {
            "due": "2027-04-01T08:00+02:00",
            "again": "2027-04-05T08:00+02:00",
            "lapse_suggested": "2027-04-12T08:00+02:00",
        },
    ),
    "times that are offered for the next days": (
        "Europe/Berlin",
        "DE",
        lambda s: offers(s, "2026-02-10T10:00+01:00", "2026-02-12T15:00+01:00", "2026-02-11T15:00+01:00"),
        "firm_it_up",
        {
            "due": "2026-02-12T10:00+01:00",
            "again": "2026-02-16T10:00+01:00",
            "lapse_suggested": "2026-02-23T10:00+01:00",
        },
    ),
    "times that are offered for next month": (
        "Europe/Berlin",
        "DE",  # five working days after the last of them
        lambda s: offers(s, "2026-02-10T10:00+01:00", "2026-03-12T15:00+01:00", "2026-03-11T15:00+01:00"),
        "firm_it_up",
        {
            "due": "2026-02-12T10:00+01:00",
            "again": "2026-02-16T10:00+01:00",
            "lapse_suggested": "2026-03-19T15:00+01:00",
        },
    ),
    "a talk by e-mail, before Easter": (
        "Europe/Berlin",
        "DE",  # off: Fri 3 and Mon 6 April
        lambda s: s.happens(interview.Accepted, "2026-03-31T11:00+02:00", format="email"),
        "talk_by_email",
        {
            "due": "2026-04-07T11:00+02:00",
            "again": "2026-04-16T11:00+02:00",
            "lapse_suggested": "2026-04-30T11:00+02:00",
        },
    ),
    "preparation over the loss of an hour": (
        "America/New_York",
        "US",  # EST until Sun 8 March 02:00
        lambda s: s.schedules("2026-02-20T10:00-05:00", "2026-03-09T10:00-04:00"),
        "preparation",
        {"due": "2026-03-06T10:00-05:00", "day_before": "2026-03-08T10:00-04:00"},
    ),
    "preparation over the loss of an hour, in the south": (
        "Australia/Adelaide",
        "AU",  # +9:30 until Sun 4 October 02:00
        lambda s: s.schedules("2026-09-20T10:00+09:30", "2026-10-06T10:00+10:30"),
        "preparation",
        {"due": "2026-10-03T10:00+09:30", "day_before": "2026-10-05T10:00+10:30"},
    ),
    "preparation for an early conversation moves earlier": (
        "Australia/Adelaide",
        "AU",
        lambda s: s.schedules("2026-09-20T10:00+09:30", "2026-10-12T07:00+10:30"),
        "preparation",
        {"due": "2026-10-08T20:59+10:30", "day_before": "2026-10-10T20:59+10:30"},
    ),
    "confirmation before a Monday": (
        "America/New_York",
        "US",
        lambda s: s.schedules("2026-02-20T10:00-05:00", "2026-03-09T10:00-04:00"),
        "confirmation",
        {"due": "2026-03-06T09:00-05:00"},
    ),
    "confirmation before the Tuesday after Easter": (
        "Europe/Berlin",
        "DE",
        lambda s: s.schedules("2026-03-20T10:00+01:00", "2026-04-07T10:00+02:00"),
        "confirmation",
        {"due": "2026-04-02T09:00+02:00"},
    ),
    "how did it go, on the weekend that wins an hour": (
        "Europe/Berlin",
        "DE",  # ends Fri 19:30; the coach on Monday, CET by then
        lambda s: s.schedules("2026-10-01T10:00+02:00", "2026-10-23T18:00+02:00", 90),
        "how_did_it_go",
        {
            "due": "2026-10-23T20:30+02:00",
            "next_morning": "2026-10-24T09:00+02:00",
            "coach": "2026-10-26T09:00+01:00",
            "again": "2026-10-28T09:00+01:00",
        },
    ),
    "how did it go, after an evening": (
        "Europe/Berlin",
        "DE",  # an hour after the end is quiet: Saturday morning, and the next reminder a day after that
        lambda s: s.schedules("2026-10-01T10:00+02:00", "2026-10-23T19:00+02:00", 75),
        "how_did_it_go",
        {
            "due": "2026-10-24T08:00+02:00",
            "next_morning": "2026-10-25T09:00+01:00",
            "coach": "2026-10-26T09:00+01:00",
            "again": "2026-10-28T09:00+01:00",
        },
    ),
    "an apology for a conversation on a Friday": (
        "Asia/Tokyo",
        "JP",  # off: Mon 20 July
        lambda s: s.happens(interview.Missed, "2026-07-17T20:00+09:00", by="seeker"),
        "apologise",
        {
            "due": "2026-07-18T08:00+09:00",
            "again": "2026-07-23T08:00+09:00",
            "lapse_suggested": "2026-07-30T08:00+09:00",
        },
    ),
    "a new time after a Friday's was called off": (
        "Asia/Tokyo",
        "JP",  # off: Mon 20 July
        lambda s: s.happens(interview.Cancelled, "2026-07-17T15:00+09:00", by="contact", let_down_by="contact"),
        "offer_new_time",
        {
            "due": "2026-07-21T09:00+09:00",
            "again": "2026-07-24T09:00+09:00",
            "lapse_suggested": "2026-07-31T09:00+09:00",
        },
    ),
    "thanks in summer": (
        "Asia/Tokyo",
        "JP",
        lambda s: s.holds("2026-07-14T15:00+09:00"),
        "thank_you",
        {
            "due": "2026-07-14T17:00+09:00",
            "overdue": "2026-07-15T15:00+09:00",
            "last_call": "2026-07-16T15:00+09:00",
            "coach": "2026-07-17T15:00+09:00",
        },
    ),
    "thanks over the loss of an hour are elapsed hours": (
        "America/New_York",
        "US",
        lambda s: s.holds("2026-03-07T10:00-05:00"),
        "thank_you",
        {
            "due": "2026-03-07T12:00-05:00",
            "overdue": "2026-03-08T11:00-04:00",
            "last_call": "2026-03-09T11:00-04:00",
            "coach": "2026-03-10T11:00-04:00",
        },
    ),
    "thanks after an evening on which an hour is lost": (
        "Europe/Berlin",
        None,  # Sat 20:30 CET: two hours later quiet; 24 and 72 hours quiet, later; 48 hours quiet, but earlier
        lambda s: s.holds("2026-03-28T20:30+01:00"),
        "thank_you",
        {
            "due": "2026-03-29T08:00+02:00",
            "overdue": "2026-03-30T08:00+02:00",
            "last_call": "2026-03-30T20:59+02:00",
            "coach": "2026-04-01T08:00+02:00",
        },
    ),
    "connect after a long weekend": (
        "America/Sao_Paulo",
        "BR",
        lambda s: s.holds("2026-09-04T11:00-03:00"),
        "connect",
        {"due": "2026-09-08T09:00-03:00"},
    ),
    "a referral": (
        "Asia/Kolkata",
        "IN",  # Independence Day is a Saturday
        lambda s: s.leads("2026-08-14T11:00+05:30"),
        "act_on_lead",
        {
            "due": "2026-08-19T11:00+05:30",
            "week_1": "2026-08-26T11:00+05:30",
            "week_2": "2026-09-02T11:00+05:30",
            "week_3": "2026-09-09T11:00+05:30",
        },
    ),
    "a job opening that the contact volunteered": (
        "Asia/Kolkata",
        "IN",
        lambda s: s.leads("2026-08-14T11:00+05:30", "job_opening"),
        "act_on_job_opening",
        {
            "due": "2026-08-17T11:00+05:30",
            "week_1": "2026-08-24T11:00+05:30",
            "week_2": "2026-08-31T11:00+05:30",
            "week_3": "2026-09-07T11:00+05:30",
        },
    ),
    "a promised introduction": (
        "Europe/Berlin",
        "DE",
        lambda s: s.leads("2026-06-01T09:30+02:00", "promised_introduction"),
        "promised_introduction",
        {"due": "2026-06-15T09:30+02:00", "again": "2026-06-29T09:30+02:00"},
    ),
    "thanks to the introducer after Marine Day": (
        "Asia/Tokyo",
        "JP",  # off: Mon 20 July
        lambda s: s.holds("2026-07-17T20:00+09:00", introduced_by=(INTRODUCER,)),
        "thank_introducer",
        {"due": "2026-07-21T09:00+09:00", "again": "2026-07-24T09:00+09:00"},
    ),
    "a lead that was acted on before the loss of an hour": (
        "Europe/Berlin",
        "DE",
        lambda s: s.pursues(lead.ActedOn, "2026-03-20T10:00+01:00"),
        "lead_result",
        {"due": "2026-04-03T10:00+02:00", "again": "2026-04-17T10:00+02:00"},
    ),
    "a result to report over Thanksgiving": (
        "America/New_York",
        "US",
        lambda s: s.pursues(lead.CameToSomething, "2026-11-25T16:00-05:00"),
        "report_back",
        {"due": "2026-11-27T16:00-05:00", "again": "2026-12-04T16:00-05:00"},
    ),
    "an introduction that was promised and is made on a Sunday": (
        "America/New_York",
        "US",
        lambda s: s.pursues(lead.CameToSomething, "2026-11-22T16:00-05:00", "promised_introduction"),
        "report_on_introduction",
        {"introduced": "2026-12-21T08:00-05:00", "again": "2026-12-28T08:00-05:00"},
    ),
    "a job found through somebody before a long weekend": (
        "America/Sao_Paulo",
        "BR",  # off: Mon 7 September
        lambda s: s.reaches("2026-09-04T16:00-03:00", through_contact_id=CONTACT),
        "tell_outcome",
        {"due": "2026-09-08T09:00-03:00", "again": "2026-09-15T09:00-03:00"},
    ),
    "keeping in touch over the loss of an hour": (
        "America/New_York",
        "US",
        lambda s: (s.holds("2026-02-14T10:00-05:00"), s.thanks("2026-02-15T10:00-05:00")),
        "keep_in_touch",
        {
            "due": "2026-03-17T10:00-04:00",
            "again": "2026-03-24T10:00-04:00",
            "cooling": "2026-03-31T10:00-04:00",
        },
    ),
    "a pause that is over when summer time begins": (
        "Europe/Berlin",
        "DE",
        lambda s: s.between(relationship.Paused, "2026-03-01T18:00+01:00", until="2026-03-29"),
        "pause_over",
        {"due": "2026-03-29T09:00+02:00", "again": "2026-04-05T09:00+02:00"},
    ),
    "a goal at the end of a month": (
        "Europe/Berlin",
        "DE",
        lambda s: s.registers("2026-01-02T12:00+01:00", "2026-07-31"),
        "goal_date_ahead",
        {
            "five_months": "2026-02-28T09:00+01:00",
            "two_months": "2026-05-31T09:00+02:00",
            "two_weeks": "2026-07-17T09:00+02:00",
        },
    ),
    "a goal after a leap day": (
        "Australia/Adelaide",
        "AU",
        lambda s: s.registers("2028-01-02T12:00+10:30", "2028-07-30"),
        "goal_date_ahead",
        {
            "five_months": "2028-02-29T09:00+10:30",
            "two_months": "2028-05-30T09:00+09:30",
            "two_weeks": "2028-07-16T09:00+09:30",
        },
    ),
    "a stalled participant at Easter": (
        "Australia/Sydney",
        "AU",  # 21 days from Fri 13 March is Good Friday; then Easter, and daylight saving ends on Sun 5 April
        lambda s: s.enrols("2026-03-13T16:00+11:00"),
        "participant_stalled",
        {"coach": "2026-04-07T08:00+10:00"},
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_the_table_of_policies(case: str) -> None:
    """Given a seeker somewhere, when something happens, then each stage is due at the instant worked out by hand."""
    zone, country, told, policy, expected = CASES[case]
    story = Story(zone, country)
    told(story)
    assert story.due(policy) == {stage: at(due) for stage, due in expected.items()}


def test_every_policy_is_in_the_table() -> None:
    story = Story()
    assert {case[3] for case in CASES.values()} | {"undeliverable"} == set(story.policies.by_name)


@pytest.mark.parametrize(
    ("waking", "written", "starts", "due"),
    [
        # Monday 09:00 is quiet, for Tuesday: when they wake on Monday, and not on Friday evening.
        (("10:00", "22:00"), "2026-05-08T12:00+02:00", "2026-05-12T15:00+02:00", "2026-05-11T10:00+02:00"),
        (("10:00", "22:00"), "2026-05-10T12:00+02:00", "2026-05-12T15:00+02:00", "2026-05-11T10:00+02:00"),
        (("10:00", "22:00"), "2026-05-11T09:30+02:00", "2026-05-12T15:00+02:00", "2026-05-11T10:00+02:00"),
        # Up from six to eight: before nine of that day, or else not before they wake on the next.
        (("06:00", "08:00"), "2026-05-08T12:00+02:00", "2026-05-12T15:00+02:00", "2026-05-11T07:59+02:00"),
        (("06:00", "08:00"), "2026-05-11T08:30+02:00", "2026-05-12T07:30+02:00", "2026-05-12T06:00+02:00"),
        # Friday 09:00, for Sunday: rather on the day off than never.
        (("06:00", "08:00"), "2026-05-08T08:30+02:00", "2026-05-10T15:00+02:00", "2026-05-09T06:00+02:00"),
    ],
)
def test_a_confirmation_at_an_hour_at_which_nobody_is_to_be_disturbed(
    waking: tuple[str, str], written: str, starts: str, due: str
) -> None:
    """Given nine o'clock as an hour at which the seeker is not to be disturbed, then the reminder comes on the same day
    all the same; when there is no time for that any more, but some before the conversation, then it comes then."""
    story = Story(country="DE")
    story.prefers("2026-05-01T10:00+02:00", waking_hours=dict(zip(("start", "end"), waking, strict=True)))
    story.schedules(written, starts)
    timer = story.timer("confirmation")
    assert (timer.due_at, timer.moved_by, timer.too_late) == (at(due), ("quiet_hours",), False)
    assert isinstance(story.settle(timer, timer.due_at), Fire)


@pytest.mark.parametrize(
    ("written", "starts"),
    [
        ("2026-05-11T08:30+02:00", "2026-05-12T05:30+02:00"),  # Monday; nobody is awake until then
        ("2026-05-11T09:30+02:00", "2026-05-12T15:00+02:00"),  # the plain moment is past
    ],
)
def test_a_confirmation_that_there_is_no_time_for_is_skipped(written: str, starts: str) -> None:
    story = Story(country="DE")
    story.prefers("2026-05-01T10:00+02:00", waking_hours={"start": "06:00", "end": "08:00"})
    story.schedules(written, starts)
    timer = story.timer("confirmation")
    assert (timer.due_at, timer.too_late) == (at("2026-05-11T07:59+02:00"), True)
    story.settle(timer, at(written))
    assert story.ended("confirmation") == {"due": ("expired", "already_past")}


def test_a_time_that_is_skipped() -> None:
    """Given a conversation at 02:30 and somebody always awake, when the day before has no 02:30, then 03:30."""
    story = Story("Europe/Berlin")
    story.prefers("2026-03-01T10:00+01:00", waking_hours={"start": "00:00", "end": "00:00"})
    story.schedules("2026-03-20T10:00+01:00", "2026-03-30T02:30+02:00")
    assert story.due("preparation")["day_before"] == utc("2026-03-29 01:30")
    assert story.timer("preparation", "day_before").local_due == local("2026-03-29T03:30")


def test_a_time_that_comes_twice() -> None:
    """Given a conversation at 01:30 and somebody always awake, when 01:30 comes twice, then the first."""
    story = Story("America/New_York")
    story.prefers("2026-10-01T10:00-04:00", waking_hours={"start": "00:00", "end": "00:00"})
    story.schedules("2026-10-20T10:00-04:00", "2026-11-02T01:30-05:00")
    assert story.due("preparation")["day_before"] == utc("2026-11-01 05:30")


def test_quiet_hours_across_midnight() -> None:
    """Given quiet hours from 20:00 to 10:00, when a conversation ends at 19:00, then thanks are due at 10:00."""
    story = Story("Asia/Kolkata")
    story.prefers("2026-01-01T10:00+05:30", quiet_hours={"start": "20:00", "end": "10:00"})
    story.holds("2026-05-05T19:00+05:30")
    timer = story.timer("thank_you")
    assert timer.due_at == at("2026-05-06T10:00+05:30")
    assert timer.not_before == at("2026-05-05T21:00+05:30")
    assert timer.moved_by == ("quiet_hours",)


def test_own_working_days() -> None:
    """Given a week from Sunday to Thursday, when a lead is recorded on Thursday, then it is due on Tuesday."""
    story = Story("Asia/Kolkata")
    story.prefers("2026-01-01T10:00+05:30", working_days=[7, 1, 2, 3, 4])
    story.leads("2026-05-07T11:00+05:30")
    assert story.due("act_on_lead")["due"] == at("2026-05-12T11:00+05:30")


def test_pending_timers_move_with_the_person() -> None:
    """Given thanks due at 17:00 in Tokyo, when the seeker moves to New York, then waking hours there count."""
    story = Story("Asia/Tokyo", "JP")
    story.schedules("2026-07-01T10:00+09:00", "2026-07-14T15:00+09:00")
    before = story.timer("confirmation")
    story.moves("2026-07-02T10:00+09:00", "America/New_York", "US")
    after = story.timer("confirmation")
    # 15:00 in Tokyo is 02:00 in New York on the same day; the working day before is the 13th.
    assert before.due_at == at("2026-07-13T09:00+09:00")
    assert after.due_at == at("2026-07-13T09:00-04:00")
    assert after.id == before.id
    assert (after.recipient.time_zone, after.time_zone) == ("America/New_York", "America/New_York")
    # 02:00 three days before is quiet: the evening before that.
    assert story.due("preparation")["due"] == at("2026-07-10T20:59-04:00")
    assert not story.endings


def test_started_by_hand_many_at_once_are_spread() -> None:
    """Given 200 people added at once, when their first touches are due, then on several days, at many times, none
    before its 30 days, all in waking hours, and always the same."""

    def dues() -> list[datetime]:
        story = Story("Europe/Berlin")
        people = [named(f"contact {number}") for number in range(200)]
        for person in people:
            story.between(relationship.KeepInTouchStarted, "2026-05-01T10:00+02:00", person)
        first = {t.subject_id: t for t in story.timers.values() if t.stage == "due"}
        assert all("spread" in t.moved_by for t in first.values())
        return [first[relationship_id(SEEKER, person)].due_at for person in people]

    found = dues()
    assert found == dues()
    days = [wall(due, ZoneInfo("Europe/Berlin")).date() for due in found]
    assert {*days} == {date(2026, 6, day) for day in range(1, 8)}
    assert max(days.count(day) for day in set(days)) < 50
    assert len(set(found)) > 150
    assert all(8 <= wall(due, ZoneInfo("Europe/Berlin")).hour < 21 for due in found)
    assert min(found) >= at("2026-05-31T10:00+02:00")


def test_each_hop_up_the_chain_is_thanked() -> None:
    """Given two introducers up the chain, when the conversation was held, then each has a reminder of their own."""
    story = Story()
    farther = named("introducer of the introducer")
    story.holds("2026-05-05T10:00+02:00", introduced_by=(INTRODUCER, farther))
    found = {t.subject_id: t for t in story.timers.values() if (t.policy, t.stage) == ("thank_introducer", "due")}
    assert set(found) == {relationship_id(SEEKER, INTRODUCER), relationship_id(SEEKER, farther)}
    assert found[relationship_id(SEEKER, farther)].contact_ids == (farther,)
    assert {t.due_at for t in found.values()} == {at("2026-05-06T09:00+02:00")}


def test_first_interval_and_cadence_of_the_relationship() -> None:
    """Given keep-in-touch with its own figures, when touched, then its cadence counts; changed, it moves."""
    story = Story("Asia/Tokyo")
    story.thanks("2026-05-01T10:00+09:00")
    story.between(relationship.CadenceChanged, "2026-05-02T10:00+09:00", cadence_days=60)
    assert story.due("keep_in_touch")["due"] == at("2026-05-31T10:00+09:00")
    story.touches("2026-05-20T12:00+09:00")
    assert story.due("keep_in_touch")["due"] == at("2026-07-19T12:00+09:00")
    pending = story.timer("keep_in_touch")
    story.between(relationship.CadenceChanged, "2026-05-21T10:00+09:00", cadence_days=180)
    moved = story.timer("keep_in_touch")
    assert moved.due_at == at("2026-11-16T12:00+09:00")
    assert (moved.id, moved.subject_id) == (pending.id, RELATIONSHIP)


ZONES = {
    "Europe/Berlin": "DE",
    "America/New_York": "US",
    "Asia/Kolkata": "IN",
    "Australia/Adelaide": "AU",
    "America/Sao_Paulo": "BR",
    "Asia/Tokyo": "JP",
}


@pytest.mark.parametrize("zone", ZONES)
def test_a_year_day_by_day(zone: str) -> None:
    """Given a conversation on each day of a year at changing hours, then every stage keeps to what the table says."""
    story, tz = Story(zone, ZONES[zone]), ZoneInfo(zone)
    week = story.recipients[SEEKER].week()
    for number in range(365):
        start = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(days=number, hours=(number * 7) % 24)
        when = start.isoformat()
        id = named(f"{zone} {number}")
        story.holds(when, id=id, contacts=(named(f"whom {zone} {number}"),))
        thanks = {t.stage: t for t in story.timers.values() if t.subject_id == id and t.policy == "thank_you"}
        first, overdue, last, coach = (thanks[s] for s in ("due", "overdue", "last_call", "coach"))
        for timer in thanks.values():
            assert 8 <= timer.local_due.hour < 21
            assert timer.due_at == timer.local_due.replace(tzinfo=tz).astimezone(UTC)
        assert timedelta(hours=2) <= first.due_at - start <= timedelta(hours=14)
        assert timedelta(hours=24) <= overdue.due_at - start <= timedelta(hours=36)
        assert timedelta(hours=36) <= last.due_at - start <= timedelta(hours=48)
        assert timedelta(hours=72) <= coach.due_at - start
        assert week.works(coach.local_due.date())
        waking = 8 <= wall(start, tz).hour < 21
        assert not waking or overdue.due_at - start == timedelta(hours=24)
        connect = next(t for t in story.timers.values() if t.policy == "connect" and t.interview_id == id)
        assert connect.local_due == datetime.combine(week.step(wall(start, tz).date(), 1), datetime.min.time()).replace(
            hour=9
        )
        del story.subjects[id], story.subjects[connect.subject_id]
        story.timers.clear()


@pytest.mark.parametrize("zone", ZONES)
def test_a_year_of_appointments(zone: str) -> None:
    """Given an appointment on each day of a year, then preparation keeps its wall clock, 3 days and 1 day before,
    confirmation is at nine on the working day before, and the question how it went comes an hour after the end."""
    story, tz = Story(zone, ZONES[zone]), ZoneInfo(zone)
    week = story.recipients[SEEKER].week()
    for number in range(365):
        shown = local("2026-01-05T09:00") + timedelta(days=number, hours=number % 9)
        starts = shown.replace(tzinfo=tz)
        story.schedules("2025-12-05T10:00+00:00", starts.isoformat())
        for stage, days in (("due", 3), ("day_before", 1)):
            assert story.timer("preparation", stage).local_due == shown - timedelta(days=days)
        confirmation = story.timer("confirmation")
        assert confirmation.local_due.date() == week.step(shown.date(), -1)
        assert confirmation.local_due.hour == 9
        assert confirmation.expires_at == starts.astimezone(UTC)
        assert story.timer("how_did_it_go").due_at == starts.astimezone(UTC) + timedelta(minutes=90)
        story.subjects.clear()
        story.timers.clear()


def test_nothing_is_due_for_a_person_whose_clock_is_unknown() -> None:
    """Given a seeker not registered yet, when a conversation was held, then nothing is due until they are."""
    story = Story(registered=False)
    story.holds("2026-05-05T10:00+02:00")
    assert not story.timers
    story.registers("2026-05-05T11:00+02:00")
    assert story.due("thank_you")["due"] == at("2026-05-05T12:00+02:00")


def test_ids_of_what_it_is_about() -> None:
    """Given a held conversation, then its timer names the contact, the interview and the event that armed it."""
    story = Story()
    held = story.holds("2026-05-05T10:00+02:00")
    timer = story.timer("thank_you")
    assert timer.contact_ids == (CONTACT,)
    assert (timer.interview_id, timer.occurrence) == (held.stream_id, held.event_id)
    assert timer.armed_by.position == held.position
    assert timer.guards == (held.stream_id, SEEKER, CONTACT)


@pytest.mark.parametrize(
    ("policy", "stage", "begins", "due"),
    [
        # Over at 19:30, and an hour later: the next time that it is 18:00.
        ("how_did_it_go", {"at": "18:00"}, "2026-05-05T19:00+02:00", "2026-05-06T18:00+02:00"),
        ("connect", {"after": {"hours": 4}}, "2026-05-05T15:00+02:00", "2026-05-05T19:00+02:00"),
        ("connect", {"after": {"hours": 4}, "at": "09:00"}, "2026-05-05T15:00+02:00", "2026-05-06T09:00+02:00"),
        ("connect", {"after": {"hours": 4}, "at": "20:00"}, "2026-05-05T15:00+02:00", "2026-05-05T20:00+02:00"),
        ("confirmation", {"before": {"hours": 2}}, "2026-05-05T15:00+02:00", "2026-05-05T13:00+02:00"),
        # 06:30 is quiet.
        ("confirmation", {"before": {"hours": 2}}, "2026-05-05T08:30+02:00", "2026-05-04T20:59+02:00"),
        ("confirmation", {"before": {"hours": 2}, "at": "09:00"}, "2026-05-05T08:30+02:00", "2026-05-04T09:00+02:00"),
        ("confirmation", {"before": {"days": 2}}, "2026-05-05T15:00+02:00", "2026-05-03T09:00+02:00"),
    ],
)
def test_hours_in_place_of_days(policy: str, stage: dict[str, object], begins: str, due: str) -> None:
    """Given a seeker who is told so many hours after or before, then it is never sooner, or later, than that, whatever
    the time of day; that of the default goes with its days only."""
    story = Story()
    story.prefers("2026-04-30T10:00+02:00", overrides={policy: {"stages": {"due": stage}}})
    story.schedules("2026-05-01T10:00+02:00", begins)
    if policy == "connect":
        story.holds(begins)
    assert story.due(policy)["due"] == at(due)
