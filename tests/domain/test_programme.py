"""Programmes: coaches, participants and matches."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest

from shared.domain import contact, programme, seeker
from shared.domain.kernel import Command, Event
from tests.domain.scenario import ADDED, ANA, ASKED, COACH, PEOPLE, REGISTERED, SEEKER, given

CREATED = programme.Created(title="Spring")
ASSIGNED = programme.CoachAssigned(coach_id=COACH)
OTHER_COACH = UUID(int=0xC0AD)
ENROLLED = programme.ParticipantEnrolled(seeker_id=SEEKER, coach_id=COACH)
PAIR: dict[str, Any] = {"seeker_id": SEEKER, "contact_id": ANA}
PROPOSED = programme.MatchProposed(**PAIR, coach_id=COACH, field="Marketing")
ACCEPTED = programme.MatchAccepted(**PAIR, coach_id=COACH)
RUNNING = (*PEOPLE, CREATED, ASSIGNED, ENROLLED)


def test_enrolled_with_the_coach_assigned_last() -> None:
    """Given a coach, when a seeker is enrolled, then that coach looks after them; another one may be named."""
    given(*PEOPLE, CREATED, ASSIGNED).when(programme.EnrolParticipant(seeker_id=SEEKER)).then(ENROLLED)
    two = given(*PEOPLE, CREATED, ASSIGNED, programme.CoachAssigned(coach_id=OTHER_COACH))
    two.when(programme.EnrolParticipant(seeker_id=SEEKER, coach_id=COACH)).then(ENROLLED)
    none = programme.ParticipantEnrolled(seeker_id=SEEKER)
    given(*PEOPLE, CREATED).when(programme.EnrolParticipant(seeker_id=SEEKER)).then(none)


def test_who_had_no_coach_gets_the_first() -> None:
    """Given a participant without a coach, when one is assigned, then later events name that coach."""
    history = [*PEOPLE, CREATED, programme.ParticipantEnrolled(seeker_id=SEEKER), ASSIGNED]
    left = programme.ParticipantLeft(seeker_id=SEEKER, coach_id=COACH)
    given(*history).when(programme.LetParticipantGo(seeker_id=SEEKER)).then(left)


def test_another_coach_looks_after_a_participant() -> None:
    """Given two coaches, when a participant goes from one to the other, then later events name the new one, and the
    matches stay."""
    coaches = [ASSIGNED, programme.CoachAssigned(coach_id=OTHER_COACH)]
    change = programme.ChangeCoach(seeker_id=SEEKER, coach_id=OTHER_COACH)
    changed = programme.CoachChanged(seeker_id=SEEKER, coach_id=OTHER_COACH)
    given(*PEOPLE, CREATED, *coaches, ENROLLED, PROPOSED).when(change).then(changed)
    accepted = ACCEPTED.model_copy(update={"coach_id": OTHER_COACH})
    given(*PEOPLE, CREATED, *coaches, ENROLLED, PROPOSED, changed).when(programme.AcceptMatch(**PAIR)).then(accepted)


def test_match_proposed_accepted_and_turned_down() -> None:
    """Given a participant and a contact with a place left, then a match may be proposed, accepted, turned down."""
    given(*RUNNING).when(programme.ProposeMatch(**PAIR, field="Marketing")).then(PROPOSED)
    given(*RUNNING, PROPOSED).when(programme.AcceptMatch(**PAIR)).then(ACCEPTED)
    down = programme.MatchTurnedDown(**PAIR, coach_id=COACH, by="seeker")
    given(*RUNNING, PROPOSED, ACCEPTED).when(programme.TurnDownMatch(**PAIR, by="seeker")).then(down)
    given(*RUNNING, PROPOSED, down).when(programme.ProposeMatch(**PAIR, field="Marketing")).then(PROPOSED)


def test_no_match_beyond_the_capacity() -> None:
    """Given a contact whose only place is taken, when a match is proposed, then it is refused."""
    busy = ADDED.model_copy(update={"capacity": 1})
    history = [REGISTERED, busy, ASKED, CREATED, ENROLLED]
    given(*history).when(programme.ProposeMatch(**PAIR)).refused("contact_at_capacity", field="/contact_id")


ASPIRES = REGISTERED.model_copy(update={"fields": ("Marketing", "Publishing")})
WORKS = ADDED.model_copy(update={"fields": ("Advertising",)})


@pytest.mark.parametrize("field", ["marketing", "Digital marketing", "ADVERTISING", None])
def test_a_match_in_a_field_that_either_has_named(field: str | None) -> None:
    """Given a participant and a contact of other fields, then the coach may match them in a field of either, or none
    that is named: S0's participant aspired to marketing and was sent to an advertising agency."""
    proposed = PROPOSED.model_copy(update={"field": field})
    history = given(ASPIRES, WORKS, CREATED, ASSIGNED, ENROLLED)
    history.when(programme.ProposeMatch(**PAIR, field=field)).then(proposed)


def test_no_match_in_a_field_of_neither() -> None:
    """Given fields of both, when a match is proposed in one that neither has named, then it is refused; once either
    has named it, it is not."""
    law = programme.ProposeMatch(**PAIR, field="Law")
    refusal = given(ASPIRES, WORKS, CREATED, ASSIGNED, ENROLLED).when(law).refused("field_of_neither", field="/field")
    assert "(Marketing, Publishing)" in refusal.detail
    assert "Advertising" not in refusal.detail, "what a contact does is theirs to tell"
    proposed = PROPOSED.model_copy(update={"field": "Law"})
    for corrected in (contact.DetailsCorrected(fields=("Law",)), seeker.GoalsChanged(fields=("law",))):
        given(ASPIRES, WORKS, CREATED, ASSIGNED, ENROLLED, corrected).when(law).then(proposed)


@pytest.mark.parametrize(
    "history",
    [
        [REGISTERED, WORKS],
        [ASPIRES, ADDED],
        [ASPIRES, seeker.GoalsChanged(), WORKS],
        [ASPIRES, WORKS, contact.DetailsCorrected(fields=())],
    ],
)
def test_any_field_where_one_has_named_none(history: list[Event]) -> None:
    """Given that one of the two has no field, or none any more, then the coach knows best."""
    proposed = PROPOSED.model_copy(update={"field": "Law"})
    law = programme.ProposeMatch(**PAIR, field="Law")
    given(*history, CREATED, ASSIGNED, ENROLLED).when(law).then(proposed)


def test_what_a_forgotten_contact_did_is_not_kept() -> None:
    """Given a contact with a field, when they are forgotten, then the state tells of none."""
    state = contact.DECIDER.fold([WORKS, contact.Forgotten()])
    assert state is not None
    assert state.fields == ()


@pytest.mark.parametrize(
    ("history", "command", "code"),
    [
        ([], programme.EnrolParticipant(seeker_id=SEEKER), "unknown_programme"),
        ([CREATED], programme.Create(title="Spring"), "already_exists"),
        ([CREATED, ASSIGNED], programme.AssignCoach(coach_id=COACH), "already_done"),
        ([CREATED, ENROLLED], programme.EnrolParticipant(seeker_id=SEEKER), "already_done"),
        ([CREATED], programme.EnrolParticipant(seeker_id=SEEKER, coach_id=COACH), "unknown_coach"),
        ([CREATED], programme.EnrolParticipant(seeker_id=ANA), "unknown_seeker"),
        ([CREATED], programme.LetParticipantGo(seeker_id=SEEKER), "not_a_participant"),
        ([CREATED, ASSIGNED], programme.ChangeCoach(seeker_id=SEEKER, coach_id=COACH), "not_a_participant"),
        ([CREATED, ENROLLED], programme.ChangeCoach(seeker_id=SEEKER, coach_id=OTHER_COACH), "unknown_coach"),
        ([CREATED, ASSIGNED, ENROLLED], programme.ChangeCoach(seeker_id=SEEKER, coach_id=COACH), "already_done"),
        ([CREATED], programme.ProposeMatch(**PAIR), "not_a_participant"),
        ([CREATED, ENROLLED], programme.AcceptMatch(**PAIR), "unknown_match"),
        ([CREATED, ENROLLED, PROPOSED], programme.ProposeMatch(**PAIR), "already_done"),
        ([CREATED, ENROLLED, PROPOSED, ACCEPTED], programme.AcceptMatch(**PAIR), "already_done"),
        (
            [CREATED, ENROLLED, contact.AskedNotToBeContacted()],
            programme.ProposeMatch(**PAIR),
            "contact_asked_not_to_be_contacted",
        ),
        ([CREATED, ENROLLED, seeker.Left()], programme.ProposeMatch(**PAIR), "seeker_left"),
        (
            [CREATED, ENROLLED, PROPOSED, contact.AskedNotToBeContacted()],
            programme.AcceptMatch(**PAIR),
            "contact_asked_not_to_be_contacted",
        ),
        (
            [CREATED, ENROLLED, PROPOSED, contact.Forgotten()],
            programme.TurnDownMatch(**PAIR, why="She is on leave"),
            "contact_forgotten",
        ),
    ],
)
def test_refused(history: list[Event], command: Command, code: str) -> None:
    """Given how things stand, when a command comes too early, twice or unwanted, then it is refused."""
    given(*PEOPLE, *history).when(command).refused(code)


@pytest.mark.parametrize(
    ("history", "move"),
    [
        ([CREATED], "assign_coach"),
        ([CREATED, ASSIGNED], "enrol_participants"),
        ([CREATED, ASSIGNED, ENROLLED], "propose_matches"),
        ([CREATED, ASSIGNED, ENROLLED, PROPOSED], None),
    ],
)
def test_next_move(history: list[Event], move: str | None) -> None:
    """Given how a programme stands, then that is the next move."""
    state = programme.DECIDER.fold(history)
    assert state is not None
    assert programme.next_move(state) == move
