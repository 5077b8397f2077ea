"""Programme: a coach's group of seekers, each matched with a contact in the field they aspire to (S0)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from typing import Annotated
from uuid import UUID

from pydantic import Field

from shared.domain import fields
from shared.domain.kernel import NEW, Command, Context, Decider, Event, Machine, Move, On, Stream
from shared.domain.occurrence import check_occurrence
from shared.domain.people import require_reachable, require_remembered, require_seeker
from shared.domain.personal import Personal
from shared.domain.refusals import refusal
from shared.domain.values import Details, Email, Name, Party, Text, said
from shared.immutable import immutable
from shared.replacing import replace


class Outline(Details):
    title: Name
    about: Text | None = None
    """What it is for, in a few sentences."""
    fields: tuple[Name, ...] = Field(default=(), max_length=50)
    """Those that it is about, such as `["marketing"]`."""


class CoachDetails(Details):
    coach_id: UUID
    name: Annotated[Name | None, Personal("coach")] = None
    email: Annotated[Email | None, Personal("coach")] = None


class Reason(Details):
    why: Annotated[Text | None, Personal("seeker")] = None
    """The reason."""


class Answer(Details):
    why: Annotated[Text | None, Personal("contact")] = None
    """What the contact said, or what the seeker thinks of them."""


class Pairing(Details):
    """A participant and the contact that they are matched with."""

    seeker_id: UUID
    contact_id: UUID


class Proposal(Pairing):
    field: Name | None = None
    """The field that both have in common, in the words of either."""
    why: Annotated[Text | None, Personal("contact")] = None
    """What speaks for the match."""


class ProgrammeEvent(Event):
    pass


class ParticipantEvent(ProgrammeEvent):
    """About one participant and the coach who looks after them."""

    seeker_id: UUID
    coach_id: UUID | None = None


class Created(ProgrammeEvent, Outline, type="programme.created"):
    """A programme that matches its participants with contacts begins."""


class CoachAssigned(ProgrammeEvent, CoachDetails, type="programme.coach_assigned"):
    """Looks after the participants who enrol from now on, and after those who had no coach."""


class ParticipantEnrolled(ParticipantEvent, type="programme.participant_enrolled"):
    """A seeker takes part from now on, looked after by a coach where there is one."""


class ParticipantLeft(ParticipantEvent, Reason, type="programme.participant_left"):
    """A seeker does not take part any more."""


class CoachChanged(ProgrammeEvent, type="programme.coach_changed"):
    """Another coach of the programme looks after a participant from now on."""

    seeker_id: UUID
    coach_id: UUID


class MatchProposed(ParticipantEvent, Proposal, type="programme.match_proposed"):
    """A contact was proposed to a participant."""


class MatchAccepted(ParticipantEvent, Pairing, type="programme.match_accepted"):
    """The proposed match is welcome."""

    by: Party = "contact"
    """Who said so."""


class MatchTurnedDown(ParticipantEvent, Pairing, Answer, type="programme.match_turned_down"):
    """The proposed match is not wanted."""

    by: Party = "contact"
    """Who said so."""


class Create(Command, Outline, command="programme.create", creates=True):
    """Create a programme, in which coaches match seekers with contacts."""


class AssignCoach(Command, CoachDetails, command="programme.assign_coach"):
    """Assign a coach to the programme.

    Who enrols from now on without naming a coach is theirs, and so is who had none. Of one who was assigned before,
    what is left out of name and e-mail address stays as it was.
    """


class EnrolParticipant(Command, command="programme.enrol_participant"):
    """Record that a seeker takes part, looked after by a coach where there is one."""

    seeker_id: UUID
    coach_id: UUID | None = None
    """One of the programme's coaches; none: the one assigned last."""


class LetParticipantGo(Command, Reason, command="programme.let_participant_go"):
    """Record that a seeker takes part no longer.

    They may be enrolled again.
    """

    seeker_id: UUID


class ChangeCoach(Command, command="programme.change_coach"):
    """Have another of the programme's coaches look after a participant; all else about them stays."""

    seeker_id: UUID
    coach_id: UUID


class ProposeMatch(Command, Proposal, command="programme.propose_match"):
    """Propose a contact to a participant.

    Nothing is asked of the contact by it, and none of their places of the month is taken.
    """


class AcceptMatch(Command, Pairing, command="programme.accept_match"):
    """Record that a proposed match is welcome.

    The conversation itself is planned with `interview.plan`.
    """

    by: Party = "contact"
    """Who said so."""


class TurnDownMatch(Command, Pairing, Answer, command="programme.turn_down_match"):
    """Record that a match is not wanted, or not any more.

    It may be proposed again.
    """

    by: Party = "contact"
    """Who said so."""


EVENT_OF: dict[type[Command], type[Event]] = {
    Create: Created,
    AssignCoach: CoachAssigned,
    EnrolParticipant: ParticipantEnrolled,
    LetParticipantGo: ParticipantLeft,
    ChangeCoach: CoachChanged,
    ProposeMatch: MatchProposed,
    AcceptMatch: MatchAccepted,
    TurnDownMatch: MatchTurnedDown,
}

MACHINE = Machine(
    "programme",
    {
        Created: Move({NEW}, "running"),
        CoachAssigned: Move({"running"}),
        ParticipantEnrolled: Move({"running"}),
        ParticipantLeft: Move({"running"}),
        CoachChanged: Move({"running"}),
        MatchProposed: Move({"running"}),
        MatchAccepted: Move({"running"}),
        MatchTurnedDown: Move({"running"}),
    },
    commands=EVENT_OF,
)

MATCH = Machine(
    "match",
    {
        MatchProposed: Move({NEW, "turned_down"}, "proposed"),
        MatchAccepted: Move({"proposed"}, "accepted"),
        MatchTurnedDown: Move({"proposed", "accepted"}, "turned_down"),
    },
    commands=EVENT_OF,
    setbacks={"turned_down"},
)
"""One participant with one contact."""


@immutable
class State:
    status: str = NEW
    coaches: tuple[UUID, ...] = ()
    """Assigned last, last."""
    participants: Mapping[UUID, UUID | None] = field(default_factory=dict)
    """Seeker → coach."""
    matches: Mapping[tuple[UUID, UUID], str] = field(default_factory=dict)
    """(seeker, contact) → status of the match."""


def evolve(state: State | None, event: Event) -> State:
    state = state or State()
    state = replace(state, status=MACHINE.next(state.status, event))
    match event:
        case CoachAssigned():
            coaches = tuple(each for each in state.coaches if each != event.coach_id)
            participants = {seeker: coach or event.coach_id for seeker, coach in state.participants.items()}
            return replace(state, coaches=(*coaches, event.coach_id), participants=participants)
        case ParticipantEnrolled() | CoachChanged():
            return replace(state, participants={**state.participants, event.seeker_id: event.coach_id})
        case ParticipantLeft():
            rest = {seeker: coach for seeker, coach in state.participants.items() if seeker != event.seeker_id}
            return replace(state, participants=rest)
        case MatchProposed() | MatchAccepted() | MatchTurnedDown():
            pair = (event.seeker_id, event.contact_id)
            status = MATCH.next(state.matches.get(pair, NEW), event)
            return replace(state, matches={**state.matches, pair: status})
        case _:
            return state


def decide(command: Command, state: State | None, context: Context) -> list[Event | On]:
    check_occurrence(context)
    state = state or State()
    event = EVENT_OF[type(command)]
    MACHINE.require(state.status, event)
    match command:
        case AssignCoach() if state.coaches[-1:] == (command.coach_id,) and command.name is None is command.email:
            raise refusal("already_done", "that is the coach assigned last", what="assigning the coach")
        case EnrolParticipant():
            return [_enrolled(command, state, context)]
        case LetParticipantGo():
            return [ParticipantLeft(**said(command), coach_id=_coach_of(command.seeker_id, state))]
        case ChangeCoach():
            if _coach_of(command.seeker_id, state) == _one_of(command.coach_id, state):
                raise refusal(
                    "already_done", "that coach looks after them", field="/coach_id", what="changing the coach"
                )
        case ProposeMatch() | AcceptMatch() | TurnDownMatch():
            coach_id = _coach_of(command.seeker_id, state)
            MATCH.require(state.matches.get((command.seeker_id, command.contact_id), NEW), event)
            if isinstance(command, AcceptMatch):
                require_reachable(context, command.contact_id)
            if isinstance(command, TurnDownMatch):
                require_remembered(context, command, [command.contact_id])
            if isinstance(command, ProposeMatch):
                require_seeker(context, command.seeker_id)
                _check_free(command, context)
                _check_field(command, context)
            return [event(**said(command) | {"coach_id": coach_id})]
    return [event(**said(command))]


def _enrolled(command: EnrolParticipant, state: State, context: Context) -> ParticipantEnrolled:
    require_seeker(context, command.seeker_id)
    if command.seeker_id in state.participants:
        told = "the seeker is enrolled; another coach is given by programme.change_coach"
        raise refusal("already_done", told, field="/seeker_id", what="enrolling")
    latest = state.coaches[-1] if state.coaches else None
    coach_id = latest if command.coach_id is None else _one_of(command.coach_id, state)
    return ParticipantEnrolled(seeker_id=command.seeker_id, coach_id=coach_id)


def _one_of(coach_id: UUID, state: State) -> UUID:
    """The coach, who is one of the programme's."""
    if coach_id not in state.coaches:
        raise refusal("unknown_coach", f"{coach_id} is no coach of this programme", field="/coach_id")
    return coach_id


def _coach_of(seeker_id: UUID, state: State) -> UUID | None:
    if seeker_id not in state.participants:
        raise refusal("not_a_participant", f"seeker {seeker_id} is not enrolled", field="/seeker_id")
    return state.participants[seeker_id]


def _check_free(command: ProposeMatch, context: Context) -> None:
    """A match is proposed only where the contact may be asked, and has a place left this month."""
    person = require_reachable(context, command.contact_id)
    if person.free_places(context.at) == 0:
        raise refusal(
            "contact_at_capacity",
            f"contact {command.contact_id} has no place left in {person.month(context.at)}",
            field="/contact_id",
        )


def _check_field(command: ProposeMatch, context: Context) -> None:
    """A field that neither of the two has named is a slip. One that either has named is the coach's to judge, as when
    S0's coach sends somebody who aspires to marketing to an advertising agency; so is one where either named none.
    """
    aspired = context.other("seeker", command.seeker_id).fields
    worked_in = context.other("contact", command.contact_id).fields
    if command.field is None or not aspired or not worked_in:
        return
    if fields.common([command.field], [*aspired, *worked_in]) is None:
        raise refusal(
            "field_of_neither",
            f"{command.field!r} is none of the fields that seeker {command.seeker_id} aspires to "
            f"({', '.join(aspired)}), nor one that contact {command.contact_id} works in",
            field="/field",
        )


def also(command: Command, state: State | None, context: Context) -> list[Stream]:
    match command:
        case EnrolParticipant():
            return [Stream("seeker", command.seeker_id)]
        case ProposeMatch():
            return [Stream("seeker", command.seeker_id), Stream("contact", command.contact_id)]
        case AcceptMatch() | TurnDownMatch():
            return [Stream("contact", command.contact_id)]
        case _:
            return []


def next_move(state: State) -> str | None:
    """The next polite move, a key of `moves.MOVES`."""
    if state.status != "running":
        return None
    if not state.coaches:
        return "assign_coach"
    if not state.participants:
        return "enrol_participants"
    matched = {seeker for (seeker, _), status in state.matches.items() if status != "turned_down"}
    return "propose_matches" if set(state.participants) - matched else None


DECIDER = Decider("programme", evolve, decide, also)
