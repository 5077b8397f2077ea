"""How a relationship lives: the tie itself, and, beside it, the introduction that may have led to it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from typing import Any
from uuid import UUID

from shared.domain.courtesy import check_wording
from shared.domain.identity import relationship_id
from shared.domain.kernel import NEW, Command, Context, Decider, Event, Machine, Move, On, Stream
from shared.domain.occurrence import check_occurrence, is_over
from shared.domain.people import (
    chain_streams,
    chain_through,
    require_contact,
    require_lead,
    require_reachable,
    require_remembered,
    require_seeker,
)
from shared.domain.refusals import refusal
from shared.domain.relationship import commands as c
from shared.domain.relationship import events as e
from shared.domain.values import said
from shared.immutable import immutable
from shared.replacing import replace

ALIVE = {NEW, "open", "paused"}
ANY = {*ALIVE, "ended"}

EVENT_OF: dict[type[Command], type[Event]] = {
    c.AskReferral: e.ReferralAsked,
    c.RequestIntroduction: e.IntroductionRequested,
    c.RecordIntroduction: e.IntroductionMade,
    c.DeclineIntroduction: e.IntroductionDeclined,
    c.LapseIntroduction: e.IntroductionLapsed,
    c.Connect: e.Connected,
    c.StartKeepingInTouch: e.KeepInTouchStarted,
    c.ChangeCadence: e.CadenceChanged,
    c.RecordTouchpoint: e.TouchpointRecorded,
    c.Snooze: e.Snoozed,
    c.Pause: e.Paused,
    c.Resume: e.Resumed,
    c.End: e.Ended,
}

_KEEP = "to be reminded to keep in touch, record relationship.start_keeping_in_touch"

MACHINE = Machine(
    "relationship",
    {
        e.ReferralAsked: Move(ANY),
        e.IntroductionRequested: Move(ANY),
        e.IntroductionMade: Move(ANY),
        e.IntroductionDeclined: Move(ANY - {NEW}),
        e.IntroductionLapsed: Move(ANY - {NEW}),
        e.Connected: Move(ANY),
        e.TouchpointRecorded: Move(ANY),
        e.KeepInTouchStarted: Move(ANY, "open"),
        e.CadenceChanged: Move(ALIVE),
        e.Snoozed: Move({NEW, "open"}),
        e.Paused: Move({NEW, "open"}, "paused"),
        e.Resumed: Move({"paused"}, "open"),
        e.Ended: Move(ALIVE, "ended"),
    },
    first="open",
    commands=EVENT_OF,
    setbacks={"paused", "ended"},
    leads_on={
        e.Paused: {"paused": "to have it end on another day, record relationship.resume first"},
        e.Resumed: {
            **dict.fromkeys((NEW, "open"), f"it is not paused, so nothing has to be resumed; {_KEEP}"),
            "ended": _KEEP,
        },
    },
)
"""The tie. What happened is recorded even after the end: one may thank somebody whom one no longer writes to."""

INTRODUCTION = Machine(
    "introduction",
    {
        e.IntroductionRequested: Move({NEW, "declined", "lapsed"}, "requested"),
        e.IntroductionMade: Move({NEW, "requested", "declined", "lapsed"}, "made"),
        e.IntroductionDeclined: Move({"requested"}, "declined"),
        e.IntroductionLapsed: Move({"requested"}, "lapsed"),
    },
    commands=EVENT_OF,
    setbacks={"declined", "lapsed"},
    leads_on={
        e.IntroductionRequested: {
            "requested": "to ask another connector, record relationship.decline_introduction or "
            "relationship.lapse_introduction first"
        }
    },
)
"""The introduction of the seeker to the contact."""


@immutable
class State:
    status: str = NEW
    introduction: str = NEW
    connector_id: UUID | None = None
    connector: str | None = None
    introduced_by: tuple[UUID, ...] = ()
    networks: frozenset[str | None] = frozenset()
    """Where the two are connected."""
    cadence_days: int | None = None
    """Their own, where the seeker has set one."""
    keeping: bool = False
    """Whether they keep in touch by the seeker's own wish."""
    touched: bool = False


def evolve(state: State | None, event: Event) -> State:
    state = state or State()
    state = replace(
        state,
        status=MACHINE.next(state.status, event),
        introduction=INTRODUCTION.next(state.introduction, event),
    )
    match event:
        case e.IntroductionRequested():
            return replace(state, connector_id=event.connector_id, connector=event.connector)
        case e.IntroductionMade():
            return replace(state, introduced_by=event.introduced_by)
        case e.Connected():
            return replace(state, networks=state.networks | {event.network}, touched=True)
        case e.TouchpointRecorded() | e.ReferralAsked():
            return replace(state, touched=True)
        case e.KeepInTouchStarted():
            return replace(state, cadence_days=event.cadence_days, keeping=True)
        case e.CadenceChanged():
            return replace(state, cadence_days=event.cadence_days)
        case e.Ended():
            return replace(state, cadence_days=None, keeping=False)
        case _:
            return state


def decide(command: c.RelationshipCommand, state: State | None, context: Context) -> list[Event | On]:
    check_occurrence(context)
    state = state or State()
    event = EVENT_OF[type(command)]
    _check_pair(command, state, context)
    if event in INTRODUCTION.moves:
        INTRODUCTION.require(state.introduction, event)
    MACHINE.require(state.status, event)
    match command:
        case c.AskReferral():
            require_seeker(context, command.seeker_id)
            require_reachable(context, command.contact_id)
            check_wording([("/about", command.about)])
        case c.RequestIntroduction():
            require_seeker(context, command.seeker_id)
            require_reachable(context, command.contact_id)
            _check_connector(command, context)
            check_wording([("/intent", command.intent)])
        case c.RecordIntroduction():
            return _introduced(command, state, context)
        case c.DeclineIntroduction():
            if state.connector_id is not None:
                require_remembered(context, command, [state.connector_id])
            return [e.IntroductionDeclined(**said(command), connector_id=state.connector_id)]
        case c.Connect() if command.network in state.networks:
            raise refusal("already_done", "the two are connected there already", what="connecting")
        case c.StartKeepingInTouch() if state.status == "open" and state.keeping:
            raise refusal("already_done", "they keep in touch already", what="starting to keep in touch")
        case c.ChangeCadence() if command.cadence_days == state.cadence_days:
            raise refusal("nothing_changes", "the cadence is that already", field="/cadence_days")
        case c.Snooze() if command.until <= context.at:
            raise refusal("already_over", f"{command.until.isoformat()} is past", field="/until")
        case c.Pause(until=date() as until) if is_over(until, context.at):
            raise refusal("already_over", f"{until.isoformat()} is past", field="/until")
        case c.StartKeepingInTouch() if command.cadence_days is None:
            command = command.model_copy(update={"cadence_days": state.cadence_days})
    return [event(**said(command))]


def _check_pair(command: c.RelationshipCommand, state: State, context: Context) -> None:
    """The stream is the pair's own, and both are there. Who was forgotten may still be let go, without a word."""
    own = relationship_id(command.seeker_id, command.contact_id)
    if context.stream.id != own:
        raise refusal("wrong_relationship", f"{context.stream.id} is not the relationship of the two", id=own)
    if state.status == NEW:
        require_seeker(context, command.seeker_id)
    if isinstance(command, c.Pause | c.End):
        require_remembered(context, command, [command.contact_id])
    else:
        require_contact(context, command.contact_id)


def _check_connector(command: c.RequestIntroduction | c.RecordIntroduction, context: Context) -> None:
    if command.connector_id == command.contact_id:
        raise refusal("own_introducer", "the contact is named as their own connector", field="/connector_id")
    if command.connector_id is not None:
        check = require_reachable if isinstance(command, c.RequestIntroduction) else require_contact
        check(context, command.connector_id, field="/connector_id")
    elif command.connector is None:
        raise refusal("no_connector", "it is not said who introduces", field="/connector_id")


def _introduced(command: c.RecordIntroduction, state: State, context: Context) -> list[Event | On]:
    kept = None if command.lead_id is None else _kept_lead(command, command.lead_id, context)
    connector_id, connector = _connector(command, state, context)
    command = command.model_copy(update={"connector_id": connector_id, "connector": connector})
    _check_connector(command, context)
    made = introduction_made(
        context, command.seeker_id, command.contact_id, connector_id, connector, lead_id=command.lead_id
    )
    return [made, *(kept.introduced(command.lead_id, command.contact_id) if kept else [])]


def _kept_lead(command: c.RecordIntroduction, lead_id: UUID, context: Context) -> Any:
    lead = require_lead(context, lead_id, command.seeker_id)
    if lead.referrer_id is None:
        raise refusal("not_for_this_kind", "the lead leads to no new contact", field="/lead_id", name="lead_id")
    if lead.referrer_id == command.contact_id:
        raise refusal("own_introducer", "the contact is who gave the lead", field="/lead_id")
    return lead


def _connector(
    command: c.RequestIntroduction | c.RecordIntroduction, state: State, context: Context
) -> tuple[UUID | None, str | None]:
    """Who introduces: whoever is named, else who gave the lead, none until it is loaded, else the one who was asked."""
    if command.connector_id is not None or command.connector is not None:
        return command.connector_id, command.connector
    if isinstance(command, c.RecordIntroduction) and command.lead_id is not None:
        lead = context.others.get(Stream("lead", command.lead_id))
        return (None if lead is None else lead.referrer_id), None
    return state.connector_id, state.connector


def introduction_made(
    context: Context,
    seeker_id: UUID,
    contact_id: UUID,
    connector_id: UUID | None,
    connector: str | None = None,
    lead_id: UUID | None = None,
) -> e.IntroductionMade:
    """The event, with the whole chain. `context` must hold what `chain_streams` names."""
    return e.IntroductionMade(
        seeker_id=seeker_id,
        contact_id=contact_id,
        connector_id=connector_id,
        connector=connector,
        introduced_by=chain_through(context, seeker_id, connector_id, contact_id),
        lead_id=lead_id,
    )


def also(command: c.RelationshipCommand, state: State | None, context: Context) -> Iterator[Stream]:
    yield Stream("contact", command.contact_id)
    if state is None or isinstance(command, c.AskReferral | c.RequestIntroduction):
        yield Stream("seeker", command.seeker_id)
    if isinstance(command, c.DeclineIntroduction) and state is not None and state.connector_id is not None:
        yield Stream("contact", state.connector_id)
    if isinstance(command, c.RequestIntroduction | c.RecordIntroduction):
        if isinstance(command, c.RecordIntroduction) and command.lead_id is not None:
            yield Stream("lead", command.lead_id)
        connector_id, _ = _connector(command, state or State(), context)
        if connector_id is not None and connector_id != command.contact_id:
            yield from chain_streams(command.seeker_id, [connector_id])


def next_move(state: State) -> str | None:
    """The next polite move, a key of `moves.MOVES`."""
    if state.status in {NEW, "paused", "ended"}:
        return None
    if state.touched:
        return "keep_in_touch"
    match state.introduction:
        case "requested":
            return "await_introduction"
        case "declined" | "lapsed":
            return "ask_other_connector"
        case "made":
            return "write_to_contact"
        case _:
            return "keep_in_touch"


DECIDER = Decider("relationship", evolve, decide, also)
