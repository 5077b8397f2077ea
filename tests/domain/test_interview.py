"""The interview's lifecycle: rule 1, the order of things, and what each step records."""

from __future__ import annotations

import re
from datetime import timedelta
from uuid import UUID

import pytest

from shared.domain import contact, interview, lead, programme
from shared.domain.interview.decider import DECIDER
from shared.domain.interview.details import Advice
from shared.domain.interview.machine import AGREED
from shared.domain.kernel import COMMANDS, Command, Event, On, Refusal, Stream
from tests.domain.scenario import (
    ACCEPTED,
    ADDED,
    ANA,
    ASKED,
    BEN,
    COACH,
    HELD,
    INTERVIEW,
    LEAD,
    NOW,
    OTHER_SEEKER,
    PEOPLE,
    PLANNED,
    PROGRAMME,
    REGISTERED,
    REQUESTED,
    SCHEDULED,
    SEEKER,
    STARTS_AT,
    WHOSE,
    given,
    on,
)

THANKED = interview.Thanked(**WHOSE, how="email", thanked_ids=(ANA,))
PLAN = interview.Plan(**WHOSE, purpose="field", about="Marketing")
BY_EMAIL = interview.Accepted(**WHOSE, format="email")
CANCELLED = interview.Cancelled(**WHOSE, by="contact", let_down_by="contact", why="ill")
TWO = {"seeker_id": SEEKER, "contact_ids": (ANA, BEN)}
SCHEDULE = interview.Schedule(
    starts_at=STARTS_AT, time_zone="Europe/Lisbon", minutes=30, format="coffee", place="Café Nobre"
)


def reschedule(**changes: object) -> interview.Reschedule:
    appointment = {name: getattr(SCHEDULED, name) for name in ("starts_at", "time_zone", "minutes", "format", "place")}
    return interview.Reschedule(**appointment | changes)


def test_planned_with_people_who_are_known() -> None:
    """Given a seeker and a contact, when an interview is planned, then it is."""
    given(*PEOPLE).when(PLAN).then(PLANNED)


@pytest.mark.parametrize(
    ("known", "code"),
    [
        ([ADDED], "unknown_seeker"),
        ([REGISTERED], "unknown_contact"),
        ([*PEOPLE, contact.Forgotten()], "contact_forgotten"),
        ([*PEOPLE, contact.AskedNotToBeContacted()], "contact_asked_not_to_be_contacted"),
        ([*PEOPLE, PLANNED], "already_exists"),
    ],
)
def test_not_planned_with(known: list[Event], code: str) -> None:
    """Given that somebody is missing or gone, when an interview is planned, then it is refused."""
    given(*known).when(PLAN).refused(code)


@pytest.mark.parametrize(
    ("wish", "field"),
    [
        (interview.TakeNotes(points=("She is kind",)), "/points"),
        (interview.TakeNotes(text="She is kind"), "/text"),
        (interview.RecordResearch(person="Paints"), "/person"),
        (interview.Thank(how="email", note="Thank you, Ana"), "/note"),
    ],
)
def test_nothing_more_is_told_of_who_was_forgotten(wish: Command, field: str) -> None:
    """Given a contact who was forgotten, when something is told of them, then it is refused by that field."""
    held = () if isinstance(wish, interview.RecordResearch) else (HELD,)
    story = given(*PEOPLE, PLANNED, REQUESTED, ASKED, ACCEPTED, SCHEDULED, *held, contact.Forgotten())
    story.when(wish).refused("contact_forgotten", field=field)


def test_what_the_seeker_takes_away_is_welcome_after_that() -> None:
    """Given a contact who was forgotten, or one of two, when what is not about them alone is told, then it is kept."""
    gone = (*PEOPLE, PLANNED, REQUESTED, ASKED, ACCEPTED, SCHEDULED, HELD, contact.Forgotten())
    advice = (Advice(about="skills", text="Learn to draw"),)
    given(*gone).when(interview.TakeNotes(advice=advice)).then(interview.NotesTaken(**WHOSE, advice=advice))
    both = PLANNED.model_copy(update={"contact_ids": (ANA, BEN)})
    given(*PEOPLE, on("contact", BEN, ADDED), both, contact.Forgotten()).when(
        interview.RecordResearch(person="Paints")
    ).then(interview.ResearchRecorded(seeker_id=SEEKER, contact_ids=(ANA, BEN), person="Paints"))


def test_plan_names_each_contact_once() -> None:
    """Given a contact, when an interview with them twice is planned, then it is refused."""
    twice = PLAN.model_copy(update={"contact_ids": (ANA, ANA)})
    given(*PEOPLE).when(twice).refused("named_twice", field="/contact_ids")


def test_plan_from_a_lead_and_in_a_programme() -> None:
    """Given a lead and a programme, when an interview is planned from them, then they must be the seeker's own."""
    gave = lead.Recorded(seeker_id=SEEKER, contact_id=ANA, kind="referral", what="Talk to Ben")
    created = programme.Created(title="Spring")
    enrolled = programme.ParticipantEnrolled(seeker_id=SEEKER, coach_id=COACH)
    links = {"lead_id": LEAD, "programme_id": PROGRAMME}
    plan = PLAN.model_copy(update=links)
    given(*PEOPLE, gave, created, enrolled).when(plan).then(PLANNED.model_copy(update=links))
    given(*PEOPLE, created, enrolled).when(plan).refused("unknown_lead", field="/lead_id")
    given(*PEOPLE, gave).when(plan).refused("unknown_programme", field="/programme_id")
    given(*PEOPLE, gave, created).when(plan).refused("not_a_participant", field="/programme_id")
    foreign = gave.model_copy(update={"seeker_id": OTHER_SEEKER})
    given(*PEOPLE, foreign, created, enrolled).when(plan).refused("not_of_this_seeker", field="/lead_id")


REQUEST = interview.SendRequest(channel="email", minutes=20, intent="I want to learn about your field.")


def test_request_takes_a_place_of_the_contact() -> None:
    """Given a plan, when the request is sent, then the contact's stream tells so in the same breath."""
    given(*PEOPLE, PLANNED).when(REQUEST).then(REQUESTED, on("contact", ANA, ASKED))


TOO_EARLY = [
    ([], interview.SendRequest(channel="email", minutes=20, intent="Learn"), "unknown_interview"),
    ([PLANNED], interview.FollowUp(channel="email"), "out_of_order"),
    ([PLANNED], interview.Accept(), "out_of_order"),
    ([PLANNED, REQUESTED], SCHEDULE, "out_of_order"),
    ([PLANNED, REQUESTED], interview.Hold(), "out_of_order"),
    ([PLANNED, REQUESTED, ACCEPTED], interview.Hold(), "held_before_scheduled"),
    ([PLANNED, REQUESTED, ACCEPTED], interview.Start(), "out_of_order"),
    ([PLANNED, REQUESTED, ACCEPTED], interview.Confirm(), "out_of_order"),
    ([PLANNED, REQUESTED, ACCEPTED], reschedule(), "out_of_order"),
    ([PLANNED, REQUESTED, ACCEPTED, SCHEDULED], interview.Thank(how="email"), "out_of_order"),
    ([PLANNED, REQUESTED, ACCEPTED, SCHEDULED], interview.TakeNotes(points=("A point",)), "out_of_order"),
    ([PLANNED, REQUESTED, ACCEPTED, SCHEDULED], interview.RecordReflection(learned="Much", clicked=4), "out_of_order"),
    ([PLANNED], interview.Prepare(), "out_of_order"),
]


@pytest.mark.parametrize(("history", "command", "code"), TOO_EARLY)
def test_too_early(history: list[Event], command: Command, code: str) -> None:
    """Given that what must come first has not happened, when a command comes, then it is refused (rule 1)."""
    given(*PEOPLE, *history).when(command).refused(code)


ONCE = [
    ([PLANNED, REQUESTED], REQUEST, "already_done"),
    ([PLANNED, REQUESTED, ACCEPTED], interview.Accept(), "already_done"),
    ([PLANNED, REQUESTED, ACCEPTED, SCHEDULED], SCHEDULE, "out_of_order"),
    ([PLANNED, REQUESTED, ACCEPTED, SCHEDULED], reschedule(), "nothing_changes"),
    ([PLANNED, REQUESTED, ACCEPTED, SCHEDULED, interview.Confirmed(**WHOSE)], interview.Confirm(), "already_done"),
    ([PLANNED, REQUESTED, ACCEPTED, interview.Prepared(**WHOSE)], interview.Prepare(), "already_done"),
    ([PLANNED, REQUESTED, ACCEPTED, SCHEDULED, HELD], interview.Hold(minutes=30), "already_done"),
    (
        [PLANNED, REQUESTED, ACCEPTED, SCHEDULED, HELD, THANKED],
        interview.Thank(how="handwritten_note"),
        "already_thanked",
    ),
]


@pytest.mark.parametrize(("history", "command", "code"), ONCE)
def test_twice(history: list[Event], command: Command, code: str) -> None:
    """Given that it has happened, when the command comes again, then it is refused (rule 1)."""
    given(*PEOPLE, *history).when(command).refused(code)


MISSED = interview.Missed(**WHOSE, by="contact")
LEADS_ON = [
    ([], interview.Thank(how="email"), "interview.hold"),
    ([], interview.Accept(), "the interview is past that"),
    ([HELD], interview.Start(), "the interview is past that"),
    ([MISSED], SCHEDULE, "interview.reschedule"),
    ([CANCELLED], SCHEDULE, "interview.reschedule"),
    ([MISSED], interview.Hold(), "interview.reschedule"),
    ([interview.Confirmed(**WHOSE)], interview.Decline(), "interview.cancel"),
    ([HELD, THANKED], interview.Thank(how="handwritten_note"), "relationship.record_touchpoint"),
]


@pytest.mark.parametrize(("more", "command", "next"), LEADS_ON)
def test_a_refusal_says_what_leads_on(more: list[Event], command: Command, next: str) -> None:
    """Given an appointment and what became of it, when a command can't follow, then the remedy names one that can."""
    refused = given(*PEOPLE, PLANNED, REQUESTED, ACCEPTED, SCHEDULED, *more).when(command).refusal
    assert refused is not None
    assert next in refused.remedy


EARLY = [
    ([PLANNED], interview.Hold(), "record interview.send_request first, then interview.accept;"),
    ([PLANNED], interview.Confirm(), "record interview.send_request first, then interview.accept, then"),
    ([PLANNED, REQUESTED], interview.Start(), "record interview.accept first, then interview.schedule;"),
    ([PLANNED, REQUESTED, ACCEPTED, SCHEDULED, MISSED], interview.Prepare(), "record interview.reschedule first;"),
]


@pytest.mark.parametrize(("history", "command", "way"), EARLY)
def test_a_refusal_names_the_steps_that_are_left_out(history: list[Event], command: Command, way: str) -> None:
    """Given how far it has come, when a command comes that skips steps, then the remedy names them in their order."""
    assert given(*PEOPLE, *history).when(command).refused("out_of_order").remedy.startswith(way)


OFFER = interview.OfferTimes.model_validate({"times": [{"starts_at": STARTS_AT}], "time_zone": "Europe/Lisbon"})
ANSWERS = [interview.Accept(), interview.AgreeLoosely(what="In January"), OFFER, SCHEDULE, reschedule()]
BODIES: dict[str, Command] = {each.type: each for each in (*ANSWERS, interview.Lapse())}
WITHDRAWN = interview.Cancelled(**WHOSE, by="seeker")
NEVER_SAID_YES = [WITHDRAWN, interview.Lapsed(**WHOSE), interview.Declined(**WHOSE)]


@pytest.mark.parametrize("answer", ANSWERS, ids=lambda answer: answer.type)
@pytest.mark.parametrize("ended", NEVER_SAID_YES, ids=lambda ended: ended.type)
def test_a_late_yes_is_recorded_as_its_refusal_says(ended: Event, answer: Command) -> None:
    """Given a request that ended before the contact said yes, when any answer comes after all and is refused, then the
    commands that the remedy names follow one after the other, and it is accepted."""
    reason = ended.type.partition(".")[2]
    freed = contact.PlaceFreed(seeker_id=SEEKER, interview_id=INTERVIEW, month="2026-11", why=reason)
    world = given(*PEOPLE, ASKED, PLANNED, REQUESTED, ended, on("contact", ANA, freed)).world
    stream = Stream("interview", INTERVIEW)
    try:
        world.execute(stream, answer, NOW)
    except Refusal as refused:
        for name in re.findall(r"interview\.[a-z_]+", refused.remedy):
            if name in COMMANDS:  # and no name of an event
                world.execute(stream, BODIES[name], NOW)
    assert world.states[stream].accepted
    assert world.states[stream].status in AGREED


def test_times_that_answer_a_request_are_a_yes() -> None:
    """Given a request, when the contact's answer is times to choose from, then the yes in it is to be recorded."""
    refused = given(*PEOPLE, PLANNED, REQUESTED).when(OFFER).refused("out_of_order")
    assert "interview.accept" in refused.remedy


def test_email_interview_has_no_start_time() -> None:
    """Given an e-mail interview that was accepted, when it is held, then no time was needed."""
    held = interview.Held(**WHOSE, format="email")
    given(*PEOPLE, PLANNED, REQUESTED, BY_EMAIL).when(interview.Hold()).then(held)


def test_email_can_be_settled_when_it_was_held() -> None:
    """Given an accepted request, when it is recorded as held by e-mail, then that is how it was."""
    held = interview.Held(**WHOSE, format="email")
    given(*PEOPLE, PLANNED, REQUESTED, ACCEPTED).when(interview.Hold(format="email")).then(held)


def test_email_interview_not_held_before_acceptance() -> None:
    """Given an e-mail request without an answer, when it is held, then it is refused."""
    planned = PLANNED.model_copy(update={"format": "email"})
    given(*PEOPLE, planned, REQUESTED).when(interview.Hold()).refused("out_of_order")


@pytest.mark.parametrize(("minutes", "overran"), [(30, False), (31, True), (None, False)])
def test_held_tells_whether_it_overran(minutes: int | None, overran: bool) -> None:
    """Given a talk of 30 minutes, when it took longer, then it overran."""
    history = [*PEOPLE, ASKED, PLANNED, REQUESTED, ACCEPTED, SCHEDULED]
    held = interview.Held(**WHOSE, format="coffee", minutes=minutes, overran=overran)
    used = contact.PlaceUsed(seeker_id=SEEKER, interview_id=INTERVIEW, month="2026-11", why="held", minutes=minutes)
    given(*history).when(interview.Hold(minutes=minutes)).then(held, on("contact", ANA, used))


def test_written_up_a_week_later() -> None:
    """Given last week's appointment, when it is recorded today with the time it happened, then it is held (rule 6)."""
    earlier = SCHEDULED.model_copy(update={"starts_at": STARTS_AT - timedelta(days=7)})
    ended = STARTS_AT - timedelta(days=7) + timedelta(minutes=30)
    given(*PEOPLE, PLANNED, REQUESTED, ACCEPTED, earlier).when(interview.Hold(minutes=30), at=ended).then(HELD)


def test_held_somewhat_early_but_not_days() -> None:
    """Given an appointment, when the talk was on the eve, then it is held; two days before, it is refused."""
    history = given(*PEOPLE, PLANNED, REQUESTED, ACCEPTED, SCHEDULED)
    history.when(interview.Hold(minutes=30), at=STARTS_AT - timedelta(hours=20)).then(HELD)
    history.when(interview.Hold(minutes=30), at=STARTS_AT - timedelta(days=2)).refused("before_it_began")


def test_nobody_misses_what_has_not_begun() -> None:
    """Given an appointment, when it is said to be missed before its time, then it is refused."""
    history = given(*PEOPLE, PLANNED, REQUESTED, ACCEPTED, SCHEDULED)
    history.when(interview.Miss(by="contact"), at=STARTS_AT - timedelta(minutes=1)).refused("before_it_began")
    history.when(interview.Miss(by="contact")).then(interview.Missed(**WHOSE, by="contact"))


@pytest.mark.parametrize(
    ("ahead", "code"), [(timedelta(minutes=5), None), (timedelta(minutes=5, seconds=1), "in_the_future")]
)
def test_nothing_has_happened_in_the_future(ahead: timedelta, code: str | None) -> None:
    """Given clocks that differ by minutes, when something happened later than that, then it is refused (rule 6)."""
    outcome = given(*PEOPLE).when(PLAN, at=NOW + ahead)
    if code:
        outcome.refused(code, field="/occurred_at")
    else:
        outcome.then(PLANNED)


def test_nothing_happened_before_1900() -> None:
    """Given a slip of the pen, when something happened in 1826, then it is refused."""
    given(*PEOPLE).when(PLAN, at=NOW.replace(year=1826)).refused("too_long_ago", field="/occurred_at")


BOTH: list[Event | On] = [
    REGISTERED,
    ADDED,
    on("contact", BEN, ADDED),
    interview.Planned(**TWO, purpose="company", about="Northwind"),
]
HELD_WITH_BOTH: list[Event | On] = [
    *BOTH,
    interview.RequestSent(**TWO, channel="email", minutes=20, intent="Learn"),
    interview.Accepted(**TWO, format="email"),
    interview.Held(**TWO, format="email"),
]


def thanked(*ids: UUID, complete: bool) -> interview.Thanked:
    return interview.Thanked(**TWO, how="handwritten_note", thanked_ids=ids, complete=complete)


def test_every_contact_is_owed_thanks() -> None:
    """Given two contacts, when both are thanked at once or one after the other, then it is complete at the end."""
    thank = interview.Thank(how="handwritten_note")
    given(*HELD_WITH_BOTH).when(thank).then(thanked(ANA, BEN, complete=True))
    only_ben = thank.model_copy(update={"contact_ids": (BEN,)})
    given(*HELD_WITH_BOTH).when(only_ben).then(thanked(BEN, complete=False))
    half = given(*HELD_WITH_BOTH, thanked(BEN, complete=False))
    half.when(thank).then(thanked(ANA, complete=True))
    half.when(only_ben).refused("already_thanked")
    stranger = thank.model_copy(update={"contact_ids": (OTHER_SEEKER,)})
    half.when(stranger).refused("not_a_contact_of_this_interview", field="/contact_ids")


OF_BEN = on("contact", BEN, ASKED)
FREED = contact.PlaceFreed(seeker_id=SEEKER, interview_id=INTERVIEW, month="2026-11", why="declined")
WITHOUT_BEN = interview.DroppedOut(**TWO, dropped_ids=(BEN,), why="On leave")


def test_a_conversation_goes_on_without_one_of_two() -> None:
    """Given a conversation with two, when one of them says no, then that one's place is free, and all that follows is
    with the other alone."""
    asked = [*BOTH, ASKED, OF_BEN, interview.RequestSent(**TWO, channel="email", minutes=20, intent="Learn")]
    drop = interview.DropOut(contact_ids=(BEN,), why="On leave")
    given(*asked).when(drop).then(WITHOUT_BEN, on("contact", BEN, FREED))
    alone = given(*asked, WITHOUT_BEN, on("contact", BEN, FREED))
    alone.when(interview.Accept()).then(ACCEPTED)
    alone.when(interview.Decline()).then(interview.Declined(**WHOSE), on("contact", ANA, FREED))
    alone.when(drop).refused("not_a_contact_of_this_interview", field="/contact_ids")
    alone.when(interview.DropOut(contact_ids=(ANA,))).refused("nobody_left", field="/contact_ids")
    given(*HELD_WITH_BOTH).when(drop).refused("out_of_order")


def test_nothing_is_told_of_who_dropped_out_and_was_forgotten() -> None:
    """Given two of whom one was forgotten, when that one drops out, then it is recorded, without a word."""
    gone = given(*BOTH, on("contact", BEN, contact.Forgotten()))
    gone.when(interview.DropOut(contact_ids=(BEN,), why="On leave")).refused("contact_forgotten", field="/why")
    gone.when(interview.DropOut(contact_ids=(BEN,))).then(interview.DroppedOut(**TWO, dropped_ids=(BEN,)))


def test_who_stayed_away_has_not_given_their_time() -> None:
    """Given an appointment with two, when only one came, then the conversation was with that one: the other's place is
    free, and thanks are owed to the one who was there."""
    scheduled = [SCHEDULED.model_copy(update=TWO)]
    agreed = [*BOTH, ASKED, OF_BEN, REQUESTED.model_copy(update=TWO), ACCEPTED.model_copy(update=TWO), *scheduled]
    hold = interview.Hold(minutes=30, contact_ids=(ANA,))
    away = interview.DroppedOut(**TWO, dropped_ids=(BEN,))
    used = contact.PlaceUsed(seeker_id=SEEKER, interview_id=INTERVIEW, month="2026-11", why="held", minutes=30)
    given(*agreed).when(hold).then(away, on("contact", BEN, FREED), HELD, on("contact", ANA, used))
    given(*agreed, away, HELD).when(interview.Thank(how="email")).then(THANKED)
    with_both = HELD.model_copy(update=TWO)
    everybody = interview.Hold(minutes=30, contact_ids=(BEN, ANA))
    given(*agreed).when(everybody).then(with_both, on("contact", ANA, used), on("contact", BEN, used))
    stranger = interview.Hold(contact_ids=(ANA, OTHER_SEEKER))
    given(*agreed).when(stranger).refused("not_a_contact_of_this_interview", field="/contact_ids")


def test_empty_notes_and_research_are_refused() -> None:
    """Given a talk, when a recording has nothing in it, then it is refused."""
    given(*HELD_WITH_BOTH).when(interview.TakeNotes()).refused("nothing_changes")
    given(*PEOPLE, PLANNED).when(interview.RecordResearch()).refused("nothing_changes")


def test_notes_are_typed() -> None:
    """Given a talk, when notes are taken, then advice tells what it is about, and resources can be followed."""
    notes = {
        "points": ("Start small",),
        "advice": ({"about": "skills", "text": "Learn to edit video"},),
        "resources": ({"kind": "blog", "title": "Plain Copy", "url": "https://example.org/plain"},),
    }
    command = interview.TakeNotes.model_validate(notes)
    given(*PEOPLE, PLANNED, REQUESTED, ACCEPTED, SCHEDULED, HELD).when(command).then(
        interview.NotesTaken.model_validate(notes | WHOSE)
    )


RESCHEDULED = interview.Rescheduled(
    **WHOSE,
    starts_at=STARTS_AT + timedelta(days=2),
    time_zone="Europe/Lisbon",
    minutes=30,
    format="coffee",
    place="Café Nobre",
)


def test_rescheduled_must_be_confirmed_again() -> None:
    """Given a confirmed appointment, when it is moved, then it may be confirmed again."""
    confirmed = [*PEOPLE, ASKED, PLANNED, REQUESTED, ACCEPTED, SCHEDULED, interview.Confirmed(**WHOSE)]
    given(*confirmed).when(reschedule(starts_at=RESCHEDULED.starts_at)).then(RESCHEDULED)
    given(*confirmed, RESCHEDULED).when(interview.Confirm()).then(interview.Confirmed(**WHOSE))


STARTED = [PLANNED, REQUESTED, ACCEPTED, SCHEDULED, interview.Started(**WHOSE)]


def test_what_was_begun_may_fall_through() -> None:
    """Given a seeker who has dialled in, when the contact never appears, or breaks off to find another day, then that
    is recorded as if nobody had dialled in; only the time that stands is no other one."""
    begun = given(*PEOPLE, ASKED, *STARTED)
    begun.when(interview.Miss(by="contact")).then(interview.Missed(**WHOSE, by="contact"))
    begun.when(reschedule(starts_at=RESCHEDULED.starts_at)).then(RESCHEDULED)
    begun.when(reschedule()).refused("nothing_changes")
    begun.when(interview.Miss(by="contact"), at=STARTS_AT - timedelta(minutes=1)).refused("before_it_began")
    freed = contact.PlaceFreed(seeker_id=SEEKER, interview_id=INTERVIEW, month="2026-11", why="cancelled")
    off = CANCELLED.model_copy(update={"late": True})
    begun.when(interview.Cancel(by="contact", why="ill")).then(off, on("contact", ANA, freed))


def test_a_yes_says_how_they_will_talk() -> None:
    """Given a request to talk by e-mail, when the contact says yes without naming a format, then the yes is to that,
    and where they name another, to the other."""
    by_email = REQUESTED.model_copy(update={"format": "email"})
    asked = given(*PEOPLE, ASKED, PLANNED, by_email)
    asked.when(interview.Accept()).then(BY_EMAIL)
    asked.when(interview.Accept(format="phone")).then(interview.Accepted(**WHOSE, format="phone"))


def test_an_agreement_may_become_another() -> None:
    """Given coffee some time, when the contact would rather get the questions by e-mail, then that is agreed on, and
    no time is needed."""
    coffee = interview.AgreedLoosely(**WHOSE, what="Coffee some time", format="coffee")
    story = [*PEOPLE, ASKED, PLANNED, REQUESTED, coffee]
    by_email = interview.AgreedLoosely(**WHOSE, what="Just e-mail me", format="email")
    given(*story).when(interview.AgreeLoosely(what="Just e-mail me", format="email")).then(by_email)
    given(*story, by_email).when(interview.Hold()).then(
        interview.Held(**WHOSE, format="email"),
        on("contact", ANA, contact.PlaceUsed(seeker_id=SEEKER, interview_id=INTERVIEW, month="2026-11", why="held")),
    )


def test_no_new_time_for_what_was_never_agreed() -> None:
    """Given a request that was withdrawn, when a new time is recorded, then it is refused."""
    withdrawn = given(*PEOPLE, PLANNED, REQUESTED, CANCELLED)
    withdrawn.when(reschedule()).refused("never_accepted")
    withdrawn.when(OFFER).refused("never_accepted")
    given(*PEOPLE, PLANNED, REQUESTED, ACCEPTED, CANCELLED).when(reschedule()).refused("never_scheduled")


def test_an_appointment_that_fell_through_is_over_when_they_talk_otherwise() -> None:
    """Given an appointment that the contact called off, when the two agree on e-mail instead and have had their talk
    before the time of the appointment, then the seeker may thank for it."""
    times = [{"starts_at": STARTS_AT}]
    offered = interview.TimesOffered.model_validate({**WHOSE, "times": times, "time_zone": "Europe/Lisbon"})
    by_email = interview.AgreedLoosely(**WHOSE, what="Send me your questions", format="email")
    held = interview.Held(**WHOSE, format="email")
    story = [PLANNED, REQUESTED, ACCEPTED, SCHEDULED, CANCELLED, offered, by_email, held]
    given(*PEOPLE, ASKED, *story).when(interview.Thank(how="email")).then(THANKED)


@pytest.mark.parametrize(
    "fell_through",
    [
        [CANCELLED],
        [interview.Cancelled(**WHOSE, by="seeker", let_down_by="seeker")],
        [interview.Missed(**WHOSE, by="contact")],
    ],
)
def test_an_appointment_that_fell_through_may_end_or_become_vague(fell_through: list[Event]) -> None:
    """Given an appointment that was called off or missed, then the contact may say no after all, or agree to some
    other time, and the seeker may let it rest; nobody has to make up times for that."""
    freed = on(
        "contact", ANA, contact.PlaceFreed(seeker_id=SEEKER, interview_id=INTERVIEW, month="2026-11", why="cancelled")
    )
    history = given(*PEOPLE, ASKED, PLANNED, REQUESTED, ACCEPTED, SCHEDULED, *fell_through, freed)
    history.when(interview.Decline()).then(interview.Declined(**WHOSE))
    history.when(interview.Lapse()).then(interview.Lapsed(**WHOSE))
    loosely = interview.AgreedLoosely(**WHOSE, what="In January", format="coffee")
    history.when(interview.AgreeLoosely(what="In January")).then(loosely, on("contact", ANA, ASKED))
    withdrawn = given(*PEOPLE, ASKED, PLANNED, REQUESTED, CANCELLED)
    withdrawn.when(interview.AgreeLoosely(what="In January")).refused("never_accepted")
    dropped = given(*PEOPLE, PLANNED, interview.Cancelled(**WHOSE, by="seeker", asked=False))
    for command in (interview.Decline(), interview.Lapse()):
        dropped.when(command).refused("never_accepted")


def offered(by: str) -> interview.TimesOffered:
    times = [{"starts_at": STARTS_AT, "minutes": 30}]
    return interview.TimesOffered.model_validate({**WHOSE, "times": times, "time_zone": "Europe/Lisbon", "by": by})


NEXT = [
    ([PLANNED, REQUESTED, offered("contact")], "take_offered_time"),
    ([PLANNED, REQUESTED, ACCEPTED, offered("seeker")], "await_choice"),
    ([PLANNED], "send_request"),
    ([PLANNED, interview.Cancelled(**WHOSE, by="seeker")], "let_it_rest"),
    ([PLANNED, REQUESTED, CANCELLED], "let_it_rest"),
    ([PLANNED, REQUESTED], "follow_up"),
    ([PLANNED, REQUESTED, interview.RequestFollowedUp(**WHOSE, channel="email", number=2)], "let_it_rest"),
    ([PLANNED, REQUESTED, ACCEPTED], "agree_time"),
    ([PLANNED, REQUESTED, BY_EMAIL], "prepare"),
    ([PLANNED, REQUESTED, BY_EMAIL, interview.Prepared(**WHOSE)], "send_questions"),
    ([PLANNED, REQUESTED, ACCEPTED, SCHEDULED], "prepare"),
    ([PLANNED, REQUESTED, ACCEPTED, SCHEDULED, interview.Prepared(**WHOSE)], "confirm"),
    ([PLANNED, REQUESTED, ACCEPTED, SCHEDULED, CANCELLED], "offer_new_time"),
    ([PLANNED, REQUESTED, ACCEPTED, SCHEDULED, interview.Cancelled(**WHOSE, by="seeker")], "apologise"),
    ([PLANNED, REQUESTED, ACCEPTED, SCHEDULED, interview.Missed(**WHOSE, by="seeker")], "apologise"),
    ([PLANNED, REQUESTED, ACCEPTED, SCHEDULED, interview.Missed(**WHOSE, by="contact")], "offer_new_time"),
    (
        [
            PLANNED,
            REQUESTED,
            ACCEPTED,
            SCHEDULED,
            interview.Missed(**WHOSE, by="seeker"),
            interview.Cancelled(**WHOSE, by="contact"),
        ],
        "apologise",
    ),
    ([PLANNED, REQUESTED, ACCEPTED, SCHEDULED, HELD], "thank"),
    (
        [PLANNED, REQUESTED, ACCEPTED, SCHEDULED, HELD, THANKED],
        "reflect",
    ),
    ([PLANNED, REQUESTED, interview.Declined(**WHOSE)], "let_it_rest"),
]


@pytest.mark.parametrize(("history", "move"), NEXT)
def test_next_polite_move(history: list[Event], move: str) -> None:
    """Given how it stands, then the next move offered is the polite one (rule 5)."""
    state = DECIDER.fold(history)
    assert state is not None
    assert interview.next_move(state) == move
