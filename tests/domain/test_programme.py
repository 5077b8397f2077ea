"""Programmes: coaches, participants and matches."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest

from shared.domain import contact, programme
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
        ([CREATED], programme.ProposeMatch(**PAIR), "not_a_participant"),
        ([CREATED, ENROLLED], programme.AcceptMatch(**PAIR), "unknown_match"),
        ([CREATED, ENROLLED, PROPOSED], programme.ProposeMatch(**PAIR), "out_of_order"),
        ([CREATED, ENROLLED, PROPOSED, ACCEPTED], programme.AcceptMatch(**PAIR), "out_of_order"),
        (
            [CREATED, ENROLLED, contact.AskedNotToBeContacted()],
            programme.ProposeMatch(**PAIR),
            "contact_asked_not_to_be_contacted",
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
