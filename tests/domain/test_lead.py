"""Leads: what a conversation gave to act on, and reporting back."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest

from shared.domain import contact, interview, lead, relationship
from shared.domain.identity import relationship_id
from shared.domain.kernel import Command, Event, On
from tests.domain.scenario import (
    ADDED,
    ANA,
    ASKED,
    BEN,
    CLEO,
    HELD,
    INTERVIEW,
    LEAD,
    OTHER_SEEKER,
    PEOPLE,
    PLANNED,
    SEEKER,
    WHOSE,
    Outcome,
    given,
    on,
)

GIVEN: dict[str, Any] = {"seeker_id": SEEKER, "contact_id": ANA, "kind": "promised_introduction"}
RECORD = lead.Record(**GIVEN, what="Will introduce me to Cleo", interview_id=INTERVIEW, person="Cleo")
RECORDED = lead.Recorded(**GIVEN, what="Will introduce me to Cleo", interview_id=INTERVIEW, person="Cleo")
FOLLOWED: dict[str, Any] = {**GIVEN, "interview_id": INTERVIEW}
ACTED = lead.ActedOn(**FOLLOWED)
NOTHING = lead.CameToNothing(**FOLLOWED)
REPORTED = lead.ReportedBack(**FOLLOWED)
DROPPED = lead.Dropped(**FOLLOWED)
KEPT = lead.ComeToSomething(new_contact_id=CLEO)
CAME = lead.CameToSomething(**FOLLOWED, new_contact_id=CLEO)
CLEO_KNOWN = on("contact", CLEO, ADDED)
BEN_LED_TO_ANA = relationship.IntroductionMade(seeker_id=SEEKER, contact_id=ANA, connector_id=BEN, introduced_by=(BEN,))


def test_recorded_from_an_interview() -> None:
    """Given a talk with Ana, when a lead from it is recorded, then it is."""
    given(*PEOPLE, PLANNED, HELD).when(RECORD).then(RECORDED)


def test_recorded_from_a_touchpoint() -> None:
    """Given no interview, when a resource is recorded, then it is."""
    blog = {"kind": "resource", "what": "Read it", "resource": {"kind": "blog", "title": "Plain Copy"}}
    command = lead.Record.model_validate(GIVEN | blog)
    given(*PEOPLE).when(command).then(lead.Recorded.model_validate(GIVEN | blog))


def test_nothing_is_reported_to_who_was_forgotten() -> None:
    """Given a lead of a contact who was forgotten, when a report to them is told, then it is refused; without a note,
    it is closed."""
    gone = given(*PEOPLE, RECORDED, ACTED, contact.Forgotten())
    gone.when(lead.ReportBack(note="It worked, Ana")).refused("contact_forgotten")
    gone.when(lead.ReportBack()).then(REPORTED)


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"interview_id": LEAD}, "unknown_interview"),
        ({"contact_id": BEN}, "not_a_contact_of_this_interview"),
        ({"seeker_id": OTHER_SEEKER}, "unknown_seeker"),
        ({"kind": "advice"}, "not_for_this_kind"),
    ],
)
def test_not_recorded(change: dict[str, Any], code: str) -> None:
    """Given a talk with Ana, when a lead names what does not go with it, then it is refused."""
    given(*PEOPLE, on("contact", BEN, ADDED), PLANNED).when(RECORD.model_copy(update=change)).refused(code)


def test_who_says_no_may_know_somebody_else() -> None:
    """Given a talk with two of whom one has dropped out, when that one names a colleague, then that is a lead."""
    both = {"contact_ids": (ANA, BEN)}
    dropped = interview.DroppedOut(seeker_id=SEEKER, **both, dropped_ids=(BEN,))
    history = given(*PEOPLE, on("contact", BEN, ADDED), PLANNED.model_copy(update=both), dropped)
    history.when(RECORD.model_copy(update={"contact_id": BEN})).then(RECORDED.model_copy(update={"contact_id": BEN}))


def test_not_from_the_interview_of_another() -> None:
    """Given another seeker's interview, when a lead from it is recorded, then it is refused."""
    of_another = PLANNED.model_copy(update={"seeker_id": OTHER_SEEKER})
    given(*PEOPLE, of_another).when(RECORD).refused("not_of_this_seeker", field="/interview_id")


def test_a_kept_promise_makes_an_edge() -> None:
    """Given that Ben led to Ana, when her promise leads to Cleo, then both are the chain to Cleo."""
    ana = relationship.IntroductionMade(seeker_id=SEEKER, contact_id=ANA, connector_id=BEN, introduced_by=(BEN,))
    made = relationship.IntroductionMade(
        seeker_id=SEEKER, contact_id=CLEO, connector_id=ANA, introduced_by=(ANA, BEN), lead_id=LEAD
    )
    tie = relationship_id(SEEKER, CLEO)
    given(*PEOPLE, CLEO_KNOWN, ana, RECORDED).when(KEPT).then(CAME, on("relationship", tie, made))


MET = {"seeker_id": SEEKER, "contact_id": CLEO}
TIE_WITH_CLEO = relationship_id(SEEKER, CLEO)


@pytest.mark.parametrize(
    ("since", "comes"),
    [([], True), ([ACTED], True), ([ACTED, REPORTED], True), ([ACTED, NOTHING], False), ([DROPPED], False)],
)
@pytest.mark.parametrize("asked", [[], [relationship.IntroductionRequested(**MET, connector="Uncle Rui")]])
def test_an_introduction_that_keeps_a_promise_says_what_came_of_it(
    since: list[Event], comes: bool, asked: list[Event]
) -> None:
    """Given Ana's promise, when the introduction that keeps it is recorded, then it is hers, and that is what came of
    the promise, unless it was known already or the promise dropped; whoever else was asked for it."""
    made = relationship.IntroductionMade(**MET, connector_id=ANA, introduced_by=(ANA, BEN), lead_id=LEAD)
    record = relationship.RecordIntroduction(**MET, lead_id=LEAD)
    history = given(*PEOPLE, CLEO_KNOWN, BEN_LED_TO_ANA, RECORDED, *since, *asked)
    history.when(record, id=TIE_WITH_CLEO).then(made, *([on("lead", LEAD, CAME)] if comes else []))


def test_by_whom_a_promise_was_kept() -> None:
    """Given Ana's promise, when it is kept by somebody else, then the introduction is theirs."""
    record = relationship.RecordIntroduction(**MET, connector="Her assistant", lead_id=LEAD)
    made = relationship.IntroductionMade(**MET, connector="Her assistant", lead_id=LEAD)
    given(*PEOPLE, CLEO_KNOWN, RECORDED).when(record, id=TIE_WITH_CLEO).then(made, on("lead", LEAD, CAME))


def test_the_lead_of_an_introduction_is_one_that_leads_there() -> None:
    """Given a lead that is nobody's, another's, to no person, or from that very contact, then it is refused."""
    record = relationship.RecordIntroduction(**MET, connector="Uncle Rui", lead_id=LEAD)

    def told(*leads: lead.Recorded, command: relationship.RecordIntroduction = record) -> Outcome:
        return given(*PEOPLE, CLEO_KNOWN, *leads).when(command, id=relationship_id(SEEKER, command.contact_id))

    told().refused("unknown_lead", field="/lead_id")
    told(RECORDED.model_copy(update={"seeker_id": OTHER_SEEKER})).refused("not_of_this_seeker", field="/lead_id")
    told(RECORDED.model_copy(update={"kind": "advice"})).refused("not_for_this_kind", field="/lead_id")
    with_ana = record.model_copy(update={"contact_id": ANA})
    told(RECORDED, command=with_ana).refused("own_introducer", field="/lead_id")


def test_an_introduction_is_recorded_once() -> None:
    """Given that the introduction to Cleo is recorded, when the lead comes to it, then it is not recorded again."""
    made = relationship.IntroductionMade(seeker_id=SEEKER, contact_id=CLEO, connector_id=BEN, introduced_by=(BEN,))
    given(*PEOPLE, CLEO_KNOWN, made, RECORDED).when(KEPT).then(CAME)


def test_gratitude_goes_up_the_chain() -> None:
    """Given that Ben led to Ana and she to Cleo, when Cleo was talked to, then both are owed thanks, nearest first."""
    made = relationship.IntroductionMade(seeker_id=SEEKER, contact_id=CLEO, connector_id=ANA, introduced_by=(ANA, BEN))
    with_cleo = {"seeker_id": SEEKER, "contact_ids": (CLEO,)}
    history = [PLANNED.model_copy(update=with_cleo), interview.Accepted(**WHOSE | with_cleo, format="email")]
    held = interview.Held(**WHOSE | with_cleo, format="email", introduced_by=(ANA, BEN))
    given(*PEOPLE, CLEO_KNOWN, made, *history).when(interview.Hold()).then(held)


BEN_LED_TO_CLEO = relationship.IntroductionMade(
    seeker_id=SEEKER, contact_id=CLEO, connector_id=BEN, introduced_by=(BEN,)
)


@pytest.mark.parametrize(
    ("kind", "introduced", "owed"),
    [
        ("referral", [], (ANA, BEN)),
        ("promised_introduction", [], (ANA, BEN)),
        ("referral", [BEN_LED_TO_CLEO], (BEN, ANA)),
        ("resource", [], ()),
    ],
)
def test_gratitude_goes_to_who_gave_the_lead(kind: str, introduced: list[Event], owed: tuple[UUID, ...]) -> None:
    """Given that Ben led to Ana, and she gave a lead to Cleo, whom the seeker added without a word of that, when the
    conversation that follows up the lead was held, then Ana and Ben are owed thanks; for what leads to no person,
    nobody is."""
    gave = lead.Recorded(seeker_id=SEEKER, contact_id=ANA, kind=kind, what="Talk to Cleo")
    with_cleo = {"seeker_id": SEEKER, "contact_ids": (CLEO,)}
    history = [
        PLANNED.model_copy(update=with_cleo | {"lead_id": LEAD}),
        interview.Accepted(**with_cleo, format="email"),
    ]
    held = interview.Held(**with_cleo, format="email", introduced_by=owed)
    known = given(*PEOPLE, CLEO_KNOWN, BEN_LED_TO_ANA, gave, *introduced, *history)
    known.when(interview.Hold()).then(held)


@pytest.mark.parametrize(
    ("kind", "since", "acted"),
    [
        ("referral", [], True),
        ("promised_introduction", [], True),
        ("resource", [], False),
        ("job_opening", [], False),
        ("referral", [lead.ActedOn], False),
        ("referral", [lead.Dropped], False),
    ],
)
def test_to_ask_for_the_conversation_that_follows_up_a_lead_is_to_act_on_it(
    kind: str, since: list[type[lead.LeadFollowed]], acted: bool
) -> None:
    """Given a lead to Cleo, when she is asked for the conversation that follows it up, then it is acted on, once; a
    lead to no person, or one that was dropped, is not. To plan it, or to ask who gave the lead, is no act yet."""
    gave = lead.Recorded(seeker_id=SEEKER, contact_id=ANA, kind=kind, what="Talk to Cleo")
    whose = {"seeker_id": SEEKER, "contact_id": ANA, "kind": kind}
    with_cleo = {"seeker_id": SEEKER, "contact_ids": (CLEO,)}
    plan = interview.Plan(**with_cleo, purpose="field", about="Design", lead_id=LEAD)
    planned = interview.Planned(**with_cleo, purpose="field", about="Design", lead_id=LEAD)
    known: list[Event | On] = [*PEOPLE, CLEO_KNOWN, gave, *(each.model_validate(whose) for each in since)]
    given(*known).when(plan).then(planned)
    request: dict[str, Any] = {"channel": "email", "minutes": 20, "intent": "I want to learn about your field."}
    follows = [on("lead", LEAD, lead.ActedOn(**whose))] if acted else []
    given(*known, planned).when(interview.SendRequest(**request)).then(
        interview.RequestSent(**with_cleo, **request), on("contact", CLEO, ASKED), *follows
    )
    with_ana = planned.model_copy(update={"contact_ids": (ANA,)})
    given(*known, with_ana).when(interview.SendRequest(**request)).then(
        interview.RequestSent(**WHOSE, **request), on("contact", ANA, ASKED)
    )


def test_who_takes_part_is_owed_no_thanks_for_leading_there() -> None:
    """Given a referral to Cleo by Ana, when both take part in the conversation, then nobody beside them is thanked."""
    gave = lead.Recorded(seeker_id=SEEKER, contact_id=ANA, kind="referral", what="Talk to Cleo")
    both = {"seeker_id": SEEKER, "contact_ids": (CLEO, ANA)}
    history = [PLANNED.model_copy(update=both | {"lead_id": LEAD}), interview.Accepted(**both, format="email")]
    held = interview.Held(**both, format="email")
    given(*PEOPLE, CLEO_KNOWN, gave, *history).when(interview.Hold()).then(held)


def test_new_contact_must_be_known_and_another() -> None:
    """Given a promise, when it led to nobody we know, or to the one who made it, then it is refused."""
    given(*PEOPLE, RECORDED).when(KEPT).refused("unknown_contact", field="/new_contact_id")
    given(*PEOPLE, RECORDED).when(lead.ComeToSomething(new_contact_id=ANA)).refused("own_introducer")


@pytest.mark.parametrize("kind", ["job_opening", "advice", "resource"])
def test_only_who_was_to_be_met_becomes_a_contact_by_it(kind: str) -> None:
    """Given a lead to no person, when it is said to have led to a contact, then it is refused: what it says would be
    about somebody who may have it forgotten."""
    recorded = RECORDED.model_copy(update={"kind": kind})
    given(*PEOPLE, CLEO_KNOWN, recorded).when(KEPT).refused("not_for_this_kind", field="/new_contact_id")


@pytest.mark.parametrize(
    ("history", "command", "code"),
    [
        ([], lead.ActOn(), "unknown_lead"),
        ([RECORDED], lead.ReportBack(), "out_of_order"),
        ([RECORDED, ACTED], lead.ActOn(), "already_done"),
        ([RECORDED, ACTED, NOTHING], lead.ComeToSomething(), "out_of_order"),
        ([RECORDED, ACTED, NOTHING, REPORTED], lead.ComeToNothing(), "already_done"),
        ([RECORDED, ACTED, NOTHING, REPORTED], lead.ReportBack(), "already_done"),
        ([RECORDED, ACTED, NOTHING], lead.Drop(), "out_of_order"),
        ([RECORDED, lead.Dropped(**FOLLOWED)], lead.ActOn(), "out_of_order"),
        ([RECORDED], RECORD, "already_exists"),
    ],
)
def test_too_early_or_twice(history: list[Event], command: Command, code: str) -> None:
    """Given how it stands, when a command comes too early or twice, then it is refused (rule 1)."""
    given(*PEOPLE, PLANNED, *history).when(command).refused(code)


def test_reported_early_and_again() -> None:
    """Given that acting was reported, when something comes of it later, then that can be reported too."""
    given(*PEOPLE, RECORDED, ACTED).when(lead.ReportBack()).then(REPORTED)
    given(*PEOPLE, RECORDED, ACTED, REPORTED).when(lead.ComeToNothing()).then(NOTHING)
    given(*PEOPLE, RECORDED, ACTED, REPORTED, NOTHING).when(lead.ReportBack()).then(REPORTED)


@pytest.mark.parametrize(
    ("history", "move"),
    [
        ([RECORDED], "await_promise"),
        ([RECORDED.model_copy(update={"kind": "job_opening"})], "act"),
        ([RECORDED, ACTED], "record_result"),
        ([RECORDED, ACTED, REPORTED], "record_result"),
        ([RECORDED, NOTHING], "report_back"),
        ([RECORDED, NOTHING, REPORTED], None),
        ([RECORDED, lead.Dropped(**FOLLOWED)], None),
    ],
)
def test_next_move(history: list[Event], move: str | None) -> None:
    """Given how a lead stands, then that is the next move."""
    state = lead.DECIDER.fold(history)
    assert state is not None
    assert lead.next_move(state) == move
