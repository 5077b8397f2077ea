"""Lead: what a conversation gave the seeker to act on."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Annotated, Any
from uuid import UUID

from shared.domain.identity import relationship_id
from shared.domain.kernel import NEW, Command, Context, Decider, Event, Machine, Move, On, Stream
from shared.domain.occurrence import check_occurrence
from shared.domain.people import chain_streams, require_contact, require_remembered, require_seeker, told_streams
from shared.domain.personal import Personal
from shared.domain.refusals import refusal
from shared.domain.relationship.decider import introduction_made
from shared.domain.values import Channel, Day, Details, LeadKind, Name, Resource, Text, said
from shared.immutable import immutable
from shared.replacing import replace


class Lead(Details):
    """`contact_id` is who gave it. A job opening is one that the contact volunteered (S0)."""

    seeker_id: UUID
    contact_id: UUID
    interview_id: UUID | None = None
    """The conversation it came from; none: from a touchpoint."""
    kind: LeadKind
    """What it is. A `referral` and a `promised_introduction` lead to a person."""
    what: Annotated[Text, Personal("new_contact")]
    """In a few words, such as: write to her colleague in Porto."""
    person: Annotated[Name | None, Personal("new_contact")] = None
    """Whom to talk to, for a referral or a promised introduction; not a contact yet."""
    employer: Annotated[Name | None, Personal("new_contact")] = None
    """Where that person works, or the opening is."""
    resource: Resource | None = None
    """What to read or follow, for a resource."""
    until: Day | None = None
    """When it is too late, such as an opening's closing date."""


class Action(Details):
    what: Annotated[Text | None, Personal("new_contact")] = None
    """What was done."""


class Result(Details):
    what: Annotated[Text | None, Personal("new_contact")] = None
    """What came of it."""
    new_contact_id: UUID | None = None
    """Who became a contact by it: a kept promise of an introduction, a referral that answered."""


class Report(Details):
    channel: Channel | None = None
    """How they were told."""
    note: Annotated[Text | None, Personal("contact")] = None
    """What they were told, or said to it."""


class Reason(Details):
    why: Annotated[Text | None, Personal("new_contact")] = None
    """The reason."""


class LeadEvent(Event):
    pass


class LeadFollowed(LeadEvent):
    """What every event after the first repeats, so that a reader needs no look-up."""

    seeker_id: UUID
    contact_id: UUID
    interview_id: UUID | None = None
    kind: LeadKind


class Recorded(LeadEvent, Lead, type="lead.recorded"):
    """A conversation gave something to follow up: a referral, a promise, a posting, advice."""


class ActedOn(LeadFollowed, Action, type="lead.acted_on"):
    """The seeker followed it up."""


class CameToSomething(LeadFollowed, Result, type="lead.came_to_something"):
    """It led somewhere."""


class CameToNothing(LeadFollowed, Reason, type="lead.came_to_nothing"):
    """It led nowhere."""


class ReportedBack(LeadFollowed, Report, type="lead.reported_back"):
    """The contact was told (S4: let them know)."""


class Dropped(LeadFollowed, Reason, type="lead.dropped"):
    """The seeker will not follow it up."""


class Record(Command, Lead, command="lead.record", creates=True):
    """Record what a conversation or a touchpoint gave the seeker to act on."""


class ActOn(Command, Action, command="lead.act_on"):
    """Record that the seeker followed it up."""


class ComeToSomething(Command, Result, command="lead.come_to_something"):
    """Record that it led somewhere.

    What came of a lead is recorded once. Where it led to a new contact, who gave it has introduced the two.
    """


class ComeToNothing(Command, Reason, command="lead.come_to_nothing"):
    """Record that it led nowhere.

    What came of a lead is recorded once.
    """


class ReportBack(Command, Report, command="lead.report_back"):
    """Record that who gave it was told what the seeker did, or what came of it."""


class Drop(Command, Reason, command="lead.drop"):
    """Drop the lead: the seeker will not follow it up.

    Its reminders end. It can't be taken up again, only recorded anew with an id of its own.
    """


EVENT_OF: dict[type[Command], type[Event]] = {
    Record: Recorded,
    ActOn: ActedOn,
    ComeToSomething: CameToSomething,
    ComeToNothing: CameToNothing,
    ReportBack: ReportedBack,
    Drop: Dropped,
}

MACHINE = Machine(
    "lead",
    {
        Recorded: Move({NEW}, "recorded"),
        ActedOn: Move({"recorded"}, "acted_on"),
        CameToSomething: Move({"recorded", "acted_on", "reported_back"}, "came_to_something"),
        CameToNothing: Move({"recorded", "acted_on", "reported_back"}, "came_to_nothing"),
        ReportedBack: Move({"acted_on", "came_to_something", "came_to_nothing"}, "reported_back"),
        Dropped: Move({"recorded", "acted_on"}, "dropped"),
    },
    commands=EVENT_OF,
    setbacks={"dropped"},
    leads_on={
        **{each: {"dropped": "record it anew with lead.record"} for each in (ActedOn, CameToSomething, CameToNothing)},
        ReportedBack: {
            "recorded": "record lead.act_on, lead.come_to_something or lead.come_to_nothing first",
            "dropped": "tell them all the same, and record that with relationship.record_touchpoint",
        },
    },
)
"""A promise may come true without the seeker acting; who reported what they did may report again what came of it."""

KINDS_OF: dict[str, frozenset[str]] = {
    "person": frozenset({"referral", "promised_introduction"}),
    "resource": frozenset({"resource"}),
}
"""Field → the kinds of lead that it goes with."""


@immutable
class State:
    status: str = NEW
    lead: Recorded | None = None
    result: bool = False
    """Whether it is known what came of it."""

    @property
    def seeker_id(self) -> UUID | None:
        return self.lead.seeker_id if self.lead else None

    @property
    def referrer_id(self) -> UUID | None:
        """Who gave it, where it leads to a person: whoever is met by it is met through them."""
        return self.lead.contact_id if self.lead and self.lead.kind in KINDS_OF["person"] else None

    def introduced(self, lead_id: UUID, contact_id: UUID) -> list[On]:
        """What it comes to when the contact it led to is introduced to the seeker; nothing new once that is known."""
        if self.lead is None or self.result or self.status not in MACHINE.moves[CameToSomething].sources:
            return []
        return [On(Stream("lead", lead_id), CameToSomething(**_whose(self.lead), new_contact_id=contact_id))]


def evolve(state: State | None, event: Event) -> State:
    state = state or State()
    state = replace(state, status=MACHINE.next(state.status, event))
    match event:
        case Recorded():
            return replace(state, lead=event)
        case CameToSomething() | CameToNothing():
            return replace(state, result=True)
        case _:
            return state


def decide(command: Command, state: State | None, context: Context) -> list[Event | On]:
    check_occurrence(context)
    state = state or State()
    event = EVENT_OF[type(command)]
    MACHINE.require(state.status, event)
    if isinstance(command, Record):
        _check_record(command, context)
        return [Recorded(**said(command))]
    if isinstance(command, ComeToSomething | ComeToNothing) and state.result:
        raise refusal("already_done", "what came of it is recorded", what="the result")
    lead = state.lead
    assert lead is not None, "a lead that stands somewhere was recorded"
    require_remembered(context, command, [lead.contact_id])
    followed = event(**said(command) | _whose(lead))
    if isinstance(command, ComeToSomething):
        return [followed, *_introduction(command, lead, context)]
    return [followed]


def _whose(lead: Recorded) -> dict[str, Any]:
    return {name: getattr(lead, name) for name in LeadFollowed.model_fields}


def acted_on_by_asking(lead_id: UUID, state: State, contact_ids: Collection[UUID]) -> list[On]:
    """To ask somebody for the conversation that follows up a lead to a person is to act on it; to ask only who gave it
    is not."""
    to_act_on = state.status in MACHINE.moves[ActedOn].sources
    if state.lead is None or state.referrer_id is None or not to_act_on or set(contact_ids) == {state.referrer_id}:
        return []
    return [On(Stream("lead", lead_id), ActedOn(**_whose(state.lead)))]


def _check_record(command: Record, context: Context) -> None:
    require_seeker(context, command.seeker_id)
    require_contact(context, command.contact_id)
    for name, kinds in KINDS_OF.items():
        if getattr(command, name) is not None and command.kind not in kinds:
            raise refusal("not_for_this_kind", f"a {command.kind} has no {name}", field=f"/{name}", name=name)
    if command.interview_id is None:
        return
    interview = context.other("interview", command.interview_id)
    if interview is None:
        raise refusal("unknown_interview", f"there is no interview {command.interview_id}", field="/interview_id")
    if interview.seeker_id != command.seeker_id:
        raise refusal("not_of_this_seeker", "the interview is another seeker's", field="/interview_id")
    # Who says no may know somebody else to ask.
    if command.contact_id not in (*interview.contact_ids, *interview.former_ids):
        raise refusal("not_a_contact_of_this_interview", "the contact took no part", field="/contact_id")


def _introduction(command: ComeToSomething, lead: Recorded, context: Context) -> list[On]:
    """A promise that was kept makes an edge of the network: who gave the lead introduced the new contact."""
    if command.new_contact_id is None:
        return []
    if lead.kind not in KINDS_OF["person"]:
        # Else what the seeker wrote of an opening or a piece of advice would be about somebody who can be forgotten.
        raise refusal(
            "not_for_this_kind",
            f"a {lead.kind} leads to no new contact",
            field="/new_contact_id",
            name="new_contact_id",
        )
    if command.new_contact_id == lead.contact_id:
        raise refusal("own_introducer", "the new contact is who gave the lead", field="/new_contact_id")
    require_contact(context, command.new_contact_id, field="/new_contact_id")
    relationship = relationship_id(lead.seeker_id, command.new_contact_id)
    tie = context.other("relationship", relationship)
    if tie is not None and tie.introduction == "made":
        return []
    made = introduction_made(
        context, lead.seeker_id, command.new_contact_id, lead.contact_id, lead_id=context.stream.id
    )
    return [On(Stream("relationship", relationship), made)]


def also(command: Command, state: State | None, context: Context) -> Iterator[Stream]:
    if isinstance(command, Record):
        yield Stream("seeker", command.seeker_id)
        yield Stream("contact", command.contact_id)
        if command.interview_id is not None:
            yield Stream("interview", command.interview_id)
    elif isinstance(command, ComeToSomething) and command.new_contact_id and state and state.lead:
        lead = state.lead
        yield from chain_streams(lead.seeker_id, dict.fromkeys([lead.contact_id, command.new_contact_id]))
    elif state and state.lead:
        yield from told_streams(command, [state.lead.contact_id])


def next_move(state: State) -> str | None:
    """The next polite move, a key of `moves.MOVES`."""
    if state.status == "recorded":
        promised = state.lead is not None and state.lead.kind == "promised_introduction"
        return "await_promise" if promised else "act"
    if state.status in {"came_to_something", "came_to_nothing"}:
        return "report_back"
    if state.status == "acted_on" or (state.status == "reported_back" and not state.result):
        return "record_result"
    return None


DECIDER = Decider("lead", evolve, decide, also)
