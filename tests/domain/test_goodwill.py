"""Rule 4: the contact's time is protected across all seekers; rules 2 and 3: what a request says."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pydantic import ValidationError

from shared.domain import contact, interview, relationship, seeker
from shared.domain.advice import advise
from shared.domain.conversation.judgement import RULES, check_question
from shared.domain.courtesy import INTENTS
from shared.domain.kernel import Command, Event, On
from tests.domain.scenario import (
    ACCEPTED,
    ADDED,
    ANA,
    ASKED,
    BEN,
    INTERVIEW,
    NOW,
    OTHER_INTERVIEW,
    OTHER_SEEKER,
    PEOPLE,
    PLANNED,
    REGISTERED,
    REQUESTED,
    SCHEDULED,
    SEEKER,
    WHOSE,
    given,
    on,
)

REQUEST = interview.SendRequest(channel="email", minutes=20, intent="I want to learn about your field.")
ONE_A_MONTH = ADDED.model_copy(update={"capacity": 1})
OF_ANOTHER = ASKED.model_copy(update={"seeker_id": OTHER_SEEKER, "interview_id": OTHER_INTERVIEW})
FREED = contact.PlaceFreed(seeker_id=SEEKER, interview_id=INTERVIEW, month="2026-11", why="cancelled")
USED = contact.PlaceUsed(seeker_id=SEEKER, interview_id=INTERVIEW, month="2026-11", why="missed")
CANCELLED = interview.Cancelled(**WHOSE, by="contact", let_down_by="contact")


def freed(why: str) -> On:
    return on("contact", ANA, FREED.model_copy(update={"why": why}))


def test_no_request_beyond_the_capacity() -> None:
    """Given one place a month, when another seeker has it, then a request is refused; a month later it is not."""
    full = given(REGISTERED, ONE_A_MONTH, OF_ANOTHER, PLANNED)
    full.when(REQUEST).refused("contact_at_capacity", field="/contact_ids")
    december = datetime(2026, 12, 1, 9, 0, tzinfo=UTC)
    full.when(REQUEST, at=december, now=december).then(
        REQUESTED, on("contact", ANA, ASKED.model_copy(update={"month": "2026-12"}))
    )


def test_months_are_those_of_the_contact() -> None:
    """Given a contact in Auckland, when it is the last evening of the month in UTC, then it counts for the next."""
    far = ADDED.model_copy(update={"time_zone": "Pacific/Auckland"})
    evening = datetime(2026, 11, 30, 22, 0, tzinfo=UTC)
    given(REGISTERED, far, PLANNED).when(REQUEST, at=evening, now=evening).then(
        REQUESTED, on("contact", ANA, ASKED.model_copy(update={"month": "2026-12"}))
    )


def test_a_place_given_back_is_free_again() -> None:
    """Given one place a month, when it was given back, then the next one gets it; when it was used, nobody does."""
    back = FREED.model_copy(update={"seeker_id": OTHER_SEEKER, "interview_id": OTHER_INTERVIEW})
    given(REGISTERED, ONE_A_MONTH, OF_ANOTHER, back, PLANNED).when(REQUEST).then(REQUESTED, on("contact", ANA, ASKED))
    used = USED.model_copy(update={"seeker_id": OTHER_SEEKER, "interview_id": OTHER_INTERVIEW})
    given(REGISTERED, ONE_A_MONTH, OF_ANOTHER, used, PLANNED).when(REQUEST).refused("contact_at_capacity")


def test_one_open_request_at_a_time() -> None:
    """Given an open request, when the same seeker asks the same contact again, then it is refused."""
    open_elsewhere = ASKED.model_copy(update={"interview_id": OTHER_INTERVIEW})
    refusal = given(*PEOPLE, open_elsewhere, PLANNED).when(REQUEST).refused("request_already_open")
    assert str(OTHER_INTERVIEW) in refusal.remedy


def test_an_open_request_of_another_seeker_is_no_obstacle() -> None:
    """Given another seeker's open request and no limit, when one asks, then it is sent."""
    given(*PEOPLE, OF_ANOTHER, PLANNED).when(REQUEST).then(REQUESTED, on("contact", ANA, ASKED))


def test_who_asked_not_to_be_contacted_is_left_in_peace() -> None:
    """Given that wish, when a request or a follow-up is to be sent, then it is refused."""
    wish = contact.AskedNotToBeContacted()
    given(*PEOPLE, PLANNED, wish).when(REQUEST).refused("contact_asked_not_to_be_contacted")
    follow_up = interview.FollowUp(channel="email")
    given(*PEOPLE, PLANNED, REQUESTED, wish).when(follow_up).refused("contact_asked_not_to_be_contacted")


def test_one_of_two_is_left_in_peace() -> None:
    """Given a request to two, when one of them asks not to be contacted, then it may be followed up with the other,
    and only of the other more is asked."""
    both = {"seeker_id": SEEKER, "contact_ids": (ANA, BEN)}
    history: list[Any] = [*PEOPLE, on("contact", BEN, ADDED), ASKED, on("contact", BEN, ASKED)]
    history += [PLANNED.model_copy(update=both), REQUESTED.model_copy(update=both), contact.AskedNotToBeContacted()]
    follow_up = interview.FollowUp(channel="email")
    first = interview.RequestFollowedUp(**both, channel="email", number=1, asked_ids=(BEN,))
    given(*history).when(follow_up).then(first, on("contact", BEN, FOLLOW_UP))
    history.append(on("contact", BEN, contact.Forgotten()))
    given(*history).when(follow_up).refused("contact_asked_not_to_be_contacted", field="/contact_ids")


FOLLOW_UP, NEW_TIME = ASKED.model_copy(update={"why": "follow_up"}), ASKED.model_copy(update={"why": "new_time"})


def test_all_that_is_asked_counts_for_everybody() -> None:
    """Given four places a month, when one seeker asks, follows up and puts off, and another asks, then the month is
    full; what the first gives back is the request's place alone."""
    four = ADDED.model_copy(update={"capacity": 4})
    asked = [four, ASKED, FOLLOW_UP, NEW_TIME, OF_ANOTHER]
    given(REGISTERED, *asked, USED, PLANNED).when(REQUEST).refused("contact_at_capacity")
    state = contact.DECIDER.fold([*asked, FREED])
    assert state is not None
    assert (state.free_places(SCHEDULED.starts_at), set(state.open)) == (1, {OTHER_INTERVIEW})


def test_another_time_by_the_seekers_wish_costs_a_place() -> None:
    """Given an appointment, when the seeker puts it off, then that takes a place more; when the contact does, not."""
    history = given(*PEOPLE, ASKED, PLANNED, REQUESTED, ACCEPTED, SCHEDULED)
    later = APPOINTMENT | {"starts_at": datetime(2026, 11, 24, 8, 0, tzinfo=UTC)}
    history.when(interview.Reschedule(**later, asked_by="seeker")).then(
        interview.Rescheduled(**WHOSE, **later, asked_by="seeker"), on("contact", ANA, NEW_TIME)
    )
    history.when(interview.Reschedule(**later, asked_by="contact")).then(
        interview.Rescheduled(**WHOSE, **later, asked_by="contact")
    )


def test_at_most_two_follow_ups() -> None:
    """Given a silent request, when it is followed up a third time, then it is refused."""
    follow_up = interview.FollowUp(channel="email")
    first = interview.RequestFollowedUp(**WHOSE, channel="email", number=1)
    second = first.model_copy(update={"number": 2})
    given(*PEOPLE, ASKED, PLANNED, REQUESTED).when(follow_up).then(first, on("contact", ANA, FOLLOW_UP))
    given(*PEOPLE, ASKED, PLANNED, REQUESTED, first).when(follow_up).then(second, on("contact", ANA, FOLLOW_UP))
    given(*PEOPLE, ASKED, PLANNED, REQUESTED, first, second).when(follow_up).refused("enough_follow_ups")


CLOSING: list[tuple[Command, Any, str]] = [
    (interview.Decline(), interview.Declined(**WHOSE), "declined"),
    (interview.Lapse(), interview.Lapsed(**WHOSE), "lapsed"),
    (interview.Cancel(by="seeker"), interview.Cancelled(**WHOSE, by="seeker"), "cancelled"),
]


@pytest.mark.parametrize(("command", "event", "why"), CLOSING)
def test_what_comes_to_nothing_gives_the_place_back(command: Command, event: Any, why: str) -> None:
    """Given an open request, when it comes to nothing, then the contact has the place back."""
    given(*PEOPLE, ASKED, PLANNED, REQUESTED).when(command).then(event, freed(why))


def test_a_plan_that_was_dropped_gives_nothing_back() -> None:
    """Given a plan without a request, when it is cancelled, then there is no place to give back."""
    cancelled = interview.Cancelled(**WHOSE, by="seeker", asked=False)
    given(*PEOPLE, PLANNED).when(interview.Cancel(by="seeker")).then(cancelled)


def test_who_is_kept_waiting_has_given_the_time() -> None:
    """Given an appointment, when the seeker misses it, then the place is used up; when the contact does, it is not."""
    history = given(*PEOPLE, ASKED, PLANNED, REQUESTED, ACCEPTED, SCHEDULED)
    history.when(interview.Miss(by="seeker")).then(interview.Missed(**WHOSE, by="seeker"), on("contact", ANA, USED))
    history.when(interview.Miss(by="contact")).then(interview.Missed(**WHOSE, by="contact"))


APPOINTMENT = {name: getattr(SCHEDULED, name) for name in ("starts_at", "time_zone", "minutes", "format", "place")}


def test_a_new_time_takes_a_place_again() -> None:
    """Given a cancelled appointment and no place left, then the contact may have a new time, the seeker not."""
    history = given(
        REGISTERED, ONE_A_MONTH, ASKED, PLANNED, REQUESTED, ACCEPTED, SCHEDULED, CANCELLED, FREED, OF_ANOTHER
    )
    own_wish = interview.Reschedule(**APPOINTMENT, asked_by="contact")
    history.when(own_wish).then(
        interview.Rescheduled(**WHOSE, **APPOINTMENT, asked_by="contact"), on("contact", ANA, ASKED)
    )
    history.when(interview.Reschedule(**APPOINTMENT, asked_by="seeker")).refused("contact_at_capacity")


def test_calling_it_off_first_is_no_cheaper() -> None:
    """Given an appointment that the seeker has called off, when the seeker asks for another time, then that takes the
    request's place again, and one more."""
    off = [interview.Cancelled(**WHOSE, by="seeker", let_down_by="seeker"), FREED]
    history = given(*PEOPLE, ASKED, PLANNED, REQUESTED, ACCEPTED, SCHEDULED, *off)
    again = interview.Rescheduled(**WHOSE, **APPOINTMENT, asked_by="seeker")
    both = (on("contact", ANA, ASKED), on("contact", ANA, NEW_TIME))
    history.when(interview.Reschedule(**APPOINTMENT, asked_by="seeker")).then(again, *both)
    times = {"times": [{"starts_at": SCHEDULED.starts_at, "minutes": 30}], "time_zone": "Europe/Lisbon", "by": "seeker"}
    offered = interview.TimesOffered.model_validate(WHOSE | times)
    history.when(interview.OfferTimes.model_validate(times)).then(offered, *both)
    late = [interview.Cancelled(**WHOSE, by="seeker", let_down_by="seeker", late=True), USED]
    stayed_away = given(*PEOPLE, ASKED, PLANNED, REQUESTED, ACCEPTED, SCHEDULED, *late)
    stayed_away.when(interview.Reschedule(**APPOINTMENT, asked_by="seeker")).then(again, on("contact", ANA, ASKED))


def test_calling_it_off_when_it_has_begun_is_staying_away() -> None:
    """Given an appointment whose hour has come, when the seeker calls it off, then the place is used up; when it was
    called off before that and is told late, or by the contact, it is given back."""
    history = given(*PEOPLE, ASKED, PLANNED, REQUESTED, ACCEPTED, SCHEDULED)
    off = interview.Cancelled(**WHOSE, by="seeker", let_down_by="seeker")
    late = off.model_copy(update={"late": True})
    history.when(interview.Cancel(by="seeker")).then(late, on("contact", ANA, USED))
    before = SCHEDULED.starts_at - timedelta(hours=1)
    history.when(interview.Cancel(by="seeker"), at=before).then(off, on("contact", ANA, FREED))
    late = CANCELLED.model_copy(update={"late": True})
    history.when(interview.Cancel(by="contact")).then(late, on("contact", ANA, FREED))


def test_to_call_off_what_was_missed_lets_nobody_down_once_more() -> None:
    """Given an appointment to which the contact did not come, when the seeker calls it off, then it does not say that
    the seeker let somebody down, and what is polite next stays as it was."""
    missed = given(*PEOPLE, ASKED, PLANNED, REQUESTED, ACCEPTED, SCHEDULED, interview.Missed(**WHOSE, by="contact"))
    missed.when(interview.Cancel(by="seeker")).then(
        interview.Cancelled(**WHOSE, by="seeker"), on("contact", ANA, FREED)
    )


def test_who_breaks_off_has_taken_the_time() -> None:
    """Given a conversation that began some minutes before its hour, when the seeker breaks it off or puts it off, then
    that costs what it does once the hour has come; so does staying away after all."""
    begun = given(*PEOPLE, ASKED, PLANNED, REQUESTED, ACCEPTED, SCHEDULED, interview.Started(**WHOSE))
    early = SCHEDULED.starts_at - timedelta(minutes=5)
    late = interview.Cancelled(**WHOSE, by="seeker", let_down_by="seeker", late=True)
    begun.when(interview.Cancel(by="seeker"), at=early).then(late, on("contact", ANA, USED))
    later = APPOINTMENT | {"starts_at": datetime(2026, 11, 24, 8, 0, tzinfo=UTC)}
    begun.when(interview.Reschedule(**later, asked_by="seeker"), at=early).then(
        interview.Rescheduled(**WHOSE, **later, asked_by="seeker"), on("contact", ANA, NEW_TIME)
    )
    begun.when(interview.Miss(by="seeker")).then(interview.Missed(**WHOSE, by="seeker"), on("contact", ANA, USED))


def test_who_has_left_asks_nobody() -> None:
    """Given a seeker who has left, when a request is to be sent or followed up, then it is refused."""
    left = seeker.Left()
    given(*PEOPLE, PLANNED, left).when(REQUEST).refused("seeker_left")
    given(*PEOPLE, ASKED, PLANNED, REQUESTED, left).when(interview.FollowUp(channel="email")).refused("seeker_left")


@pytest.mark.parametrize("ended", [interview.Lapsed(**WHOSE), interview.Declined(**WHOSE)])
def test_a_late_yes_is_welcome(ended: interview.InterviewEvent) -> None:
    """Given a request that lapsed or got a "not now", when the contact accepts after all, then a place is taken,
    whatever the limit."""
    why = ended.type.partition(".")[2]
    over: list[Event | On] = [REQUESTED, ended, freed(why), OF_ANOTHER]
    given(REGISTERED, ONE_A_MONTH, ASKED, PLANNED, *over).when(interview.Accept()).then(
        ACCEPTED, on("contact", ANA, ASKED)
    )


@pytest.mark.parametrize("minutes", [14, 61])
def test_length_asked_for_is_15_to_60_minutes(minutes: int) -> None:
    """Given a request of another length, then it is invalid (rule 2)."""
    with pytest.raises(ValidationError, match="minutes"):
        interview.SendRequest(channel="email", minutes=minutes, intent="Learn")


def test_intent_must_be_stated() -> None:
    """Given a request without intent, or a blank one, then it is invalid (rule 2)."""
    with pytest.raises(ValidationError, match="intent"):
        interview.SendRequest.model_validate({"channel": "email", "minutes": 20})
    with pytest.raises(ValidationError, match="intent"):
        interview.SendRequest(channel="email", minutes=20, intent="  ")


RUDE = [
    (interview.SendRequest(channel="email", minutes=20, intent="Can you hire me?"), "asks_for_job", "/intent"),
    (
        interview.SendRequest(channel="email", minutes=20, intent="Learn", message="Hello. How much do you earn?"),
        "asks_own_pay",
        "/message",
    ),
    (
        interview.SetObjectives(objectives=("Learn about the field", "Would you hire me?")),
        "asks_for_job",
        "/objectives/1",
    ),
    (
        interview.ChooseQuestions.model_validate(
            {"questions": [{"text": "How did you get this job?"}], "reserve": [{"text": "What is your salary?"}]}
        ),
        "asks_own_pay",
        "/reserve/0/text",
    ),
]


@pytest.mark.parametrize(("command", "code", "field"), RUDE)
def test_it_is_not_a_job_interview(command: Command, code: str, field: str) -> None:
    """Given a text that asks for a job or the contact's pay, then it is refused with a better way to ask (rule 3)."""
    refusal = given(*PEOPLE, PLANNED).when(command).refused(code, field=field)
    assert "The words:" in refusal.detail
    assert refusal.remedy.startswith("To learn ") == (not field.startswith("/reserve"))


@pytest.mark.parametrize("code", INTENTS)
def test_an_intent_that_is_offered_is_one(code: str) -> None:
    """Given what is offered in place of an intent, then it would be accepted, and every code has one."""
    assert check_question(INTENTS[code]).verdict == "ok"
    assert set(INTENTS) == {rule.code for rule in RULES}


POLITE = [
    (REQUEST.model_copy(update={"personalised_by": "Your talk"}), []),
    (REQUEST.model_copy(update={"minutes": 45, "personalised_by": "Your talk"}), ["longer_than_usual"]),
    (REQUEST.model_copy(update={"minutes": 15, "personalised_by": "Your talk"}), ["shorter_than_usual"]),
    (REQUEST, ["not_personalised"]),
    (
        interview.ChooseQuestions.model_validate({"questions": [{"text": "How did you get this job?"}]}),
        ["too_few", "no_closing_question"],
    ),
    (interview.FollowUp(channel="email", message="¿Tendría usted veinte minutos para hablar conmigo?"), ["not_judged"]),
    (interview.Accept(), []),
    (
        relationship.RecordIntroduction(seeker_id=SEEKER, contact_id=ANA, connector="My uncle Paul"),
        ["connector_is_no_contact"],
    ),
    (relationship.RecordIntroduction(seeker_id=SEEKER, contact_id=ANA, connector_id=BEN), []),
]


@pytest.mark.parametrize(("command", "codes"), POLITE)
def test_advice_is_no_refusal(command: Command, codes: list[str]) -> None:
    """Given what is allowed and yet better done otherwise, then advice comes with it."""
    assert [each.code for each in advise(command, NOW)] == codes


TIMES = {"time_zone": "Europe/Lisbon", "format": "coffee"}


def schedule(starts_at: datetime) -> Command:
    return interview.Schedule.model_validate({"starts_at": starts_at, **TIMES})


def register(**more: Any) -> Command:
    return seeker.Register.model_validate({"name": "Mona Quist", "time_zone": "Europe/Lisbon", **more})


DUBIOUS = [
    (schedule(NOW - timedelta(days=365)), "in_the_past", "/starts_at"),
    (schedule(NOW + timedelta(days=367)), "far_ahead", "/starts_at"),
    (
        interview.Reschedule.model_validate({"starts_at": NOW - timedelta(hours=1), **TIMES}),
        "in_the_past",
        "/starts_at",
    ),
    (
        interview.OfferTimes.model_validate(
            {"times": [{"starts_at": NOW + timedelta(days=at)} for at in (2, 700)], "time_zone": "Europe/Lisbon"}
        ),
        "far_ahead",
        "/times/1/starts_at",
    ),
    (
        interview.AgreeLoosely(what="After the holidays", not_before=NOW.date() + timedelta(days=368)),
        "far_ahead",
        "/not_before",
    ),
    (register(goal_date="2020-01-01"), "goal_date_is_past", "/goal_date"),
    (seeker.ChangeGoals(goal_date=NOW.date() - timedelta(days=2)), "goal_date_is_past", "/goal_date"),
    (register(country="XX"), "holidays_not_known", "/country"),
    (seeker.Relocate(time_zone="Europe/Lisbon", country="QQ"), "holidays_not_known", "/country"),
]
SOUND = [
    schedule(NOW),
    schedule(NOW + timedelta(days=300)),
    register(country="PT", goal_date=NOW.date() + timedelta(days=90)),
    # Where the seeker lives, that may still be today.
    seeker.ChangeGoals(goal_date=NOW.date() - timedelta(days=1)),
]


@pytest.mark.parametrize(("command", "code", "field"), DUBIOUS)
def test_what_is_most_likely_mistyped_is_told(command: Command, code: str, field: str) -> None:
    """Given a date or country of which nothing would come, then it is accepted, and advice asks whether it is meant."""
    assert [(each.code, each.field) for each in advise(command, NOW)] == [(code, field)]


@pytest.mark.parametrize("command", SOUND)
def test_what_may_well_be_meant_is_not_questioned(command: Command) -> None:
    assert advise(command, NOW) == []


def test_an_appointment_that_is_written_up_late_is_none_in_the_past() -> None:
    """Given a conversation of last week, when it is said that it was agreed before, then nothing is to be asked."""
    last_week = NOW - timedelta(days=7)
    assert advise(schedule(last_week), last_week - timedelta(days=2)) == []
