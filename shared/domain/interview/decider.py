"""Which wishes about an interview may come true."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any
from uuid import UUID

from shared.domain.courtesy import Wording, check_wording
from shared.domain.interview import commands as c
from shared.domain.interview import events as e
from shared.domain.interview import places
from shared.domain.interview.machine import AGREED, EVENT_OF, FIXED, MACHINE, STANDING, State, evolve
from shared.domain.kernel import Command, Context, Decider, Event, On, Stream
from shared.domain.lead import acted_on_by_asking
from shared.domain.occurrence import check_occurrence
from shared.domain.people import (
    MOST_INTRODUCERS,
    chain,
    chain_streams,
    is_reachable,
    require_lead,
    require_reachable,
    require_remembered,
    require_seeker,
    told_streams,
)
from shared.domain.refusals import refusal
from shared.domain.values import said
from shared.replacing import replace

MOST_FOLLOW_UPS = 2
EARLY = timedelta(days=1)
"""People meet earlier than agreed, but not by more than this without agreeing anew."""

ANSWERS = (c.Accept, c.AgreeLoosely, c.OfferTimes, c.Schedule, c.Reschedule)
"""To what was called off before there was a yes, these lead by way of one."""

CONCERN_CONTACTS = (
    c.SendRequest,
    c.FollowUp,
    c.Accept,
    c.Decline,
    c.DropOut,
    c.Lapse,
    c.AgreeLoosely,
    c.OfferTimes,
    c.Reschedule,
    c.Cancel,
    c.Miss,
)


def decide(command: Command, state: State | None, context: Context) -> list[Event | On]:
    check_occurrence(context)
    state = state or State()
    if isinstance(command, ANSWERS) and state.status == "cancelled":
        _check_accepted(state)
    MACHINE.require(state.status, EVENT_OF[type(command)])
    require_remembered(context, command, state.contact_ids)
    match command:
        case c.Plan():
            _check_plan(command, context)
            return [e.Planned(**said(command))]
        case c.SendRequest():
            require_seeker(context, state.seeker_id, field=None)
            check_wording([("/intent", command.intent), ("/message", command.message)])
            return [_event(command, state), *places.take(context, state), *_acted_on(context, state)]
        case c.FollowUp():
            return [_followed_up(command, state, context), *places.spend(context, state, "follow_up")]
        case c.Accept():
            # The format is said even where it is not new: whether a time is to be found is up to it.
            event = _event(command, state, format=command.format or state.format)
            return [event, *places.take_again(context, state, welcome=True)]
        case c.Decline():
            _check_asked(state)
            return [_event(command, state), *places.free(context, state.contact_ids, "declined")]
        case c.DropOut():
            _check_take_part(command.contact_ids, state)
            require_remembered(context, command, command.contact_ids)
            return _dropped_out(command.contact_ids, state, context, command.why)
        case c.Lapse():
            _check_asked(state)
            return [_event(command, state), *places.free(context, state.contact_ids, "lapsed")]
        case c.Cancel():
            return _cancelled(command, state, context)
        case c.AgreeLoosely():
            event = _event(command, state, format=command.format or state.format)
            return [event, *places.take_again(context, state, welcome=True)]
        case c.OfferTimes():
            return [_event(command, state), *_ask_again(command.by == "seeker", state, context)]
        case c.Reschedule():
            return _rescheduled(command, state, context)
        case c.Start():
            _check_begun(context, state)
        case c.Hold():
            return _held(command, state, context)
        case c.Miss():
            _check_begun(context, state, early=timedelta())
            used = places.use(context, state.contact_ids, "missed") if command.by == "seeker" else []
            return [_event(command, state), *used]
        case c.Thank():
            _check_begun(context, state)
            return [_thanked(command, state)]
        case _:
            _check_preparation(command, state)
    return [_event(command, state)]


def _event(command: Command, state: State, **further: Any) -> e.InterviewEvent:
    """The command's event, telling whose interview it is."""
    whose = {"seeker_id": state.seeker_id, "contact_ids": state.contact_ids}
    return EVENT_OF[type(command)](**said(command) | whose | further)


def _check_plan(command: c.Plan, context: Context) -> None:
    require_seeker(context, command.seeker_id)
    _check_distinct(command.contact_ids)
    for contact_id in command.contact_ids:
        require_reachable(context, contact_id, field="/contact_ids")
    if command.lead_id is not None:
        require_lead(context, command.lead_id, command.seeker_id)
    if command.programme_id is not None:
        programme = context.other("programme", command.programme_id)
        if programme is None:
            raise refusal("unknown_programme", f"there is no programme {command.programme_id}", field="/programme_id")
        if command.seeker_id not in programme.participants:
            raise refusal("not_a_participant", "the seeker is not enrolled there", field="/programme_id")


def _check_distinct(contact_ids: tuple[UUID, ...]) -> None:
    if len(set(contact_ids)) < len(contact_ids):
        raise refusal("named_twice", "a contact is named twice", field="/contact_ids")


def _check_take_part(contact_ids: tuple[UUID, ...], state: State) -> None:
    _check_distinct(contact_ids)
    if strangers := set(contact_ids) - set(state.contact_ids):
        raise refusal(
            "not_a_contact_of_this_interview",
            f"took no part: {', '.join(sorted(map(str, strangers)))}",
            field="/contact_ids",
        )


def _dropped_out(
    contact_ids: tuple[UUID, ...], state: State, context: Context, why: str | None = None
) -> list[Event | On]:
    """Who takes no part has not given their time, however late it turns out."""
    if len(contact_ids) == len(state.contact_ids):
        raise refusal("nobody_left", "nobody else takes part", field="/contact_ids")
    whose = {"seeker_id": state.seeker_id, "contact_ids": state.contact_ids}
    event = e.DroppedOut(**whose, dropped_ids=contact_ids, why=why)
    return [event, *places.free(context, contact_ids, "declined")]


def _followed_up(command: c.FollowUp, state: State, context: Context) -> e.InterviewEvent:
    require_seeker(context, state.seeker_id, field=None)
    asked = tuple(contact_id for contact_id in state.contact_ids if is_reachable(context, contact_id))
    if not asked:
        require_reachable(context, state.contact_ids[0], field="/contact_ids")
    if state.follow_ups >= MOST_FOLLOW_UPS:
        raise refusal("enough_follow_ups", f"the request was followed up {state.follow_ups} times")
    check_wording([("/message", command.message)])
    asked_ids = asked if asked != state.contact_ids else None
    return _event(command, state, number=state.follow_ups + 1, asked_ids=asked_ids)


def _check_asked(state: State) -> None:
    if not state.asked:
        raise refusal("never_accepted", "it was called off before anybody was asked")


def _check_accepted(state: State) -> None:
    if not state.accepted:
        raise refusal("never_accepted", "it was called off before the contact accepted")


def _rescheduled(command: c.Reschedule, state: State, context: Context) -> list[Event | On]:
    if state.appointment is None:
        raise refusal("never_scheduled", "no time was agreed on before")
    event = _event(command, state)
    same = ("starts_at", "time_zone", "minutes", "format", "place")
    if state.status in STANDING and all(getattr(event, name) == getattr(state.appointment, name) for name in same):
        raise refusal("nothing_changes", "that is the appointment already")
    by_seeker = command.asked_by == "seeker"
    burden = places.spend(context, state, "new_time") if by_seeker else []
    return [event, *burden, *_ask_again(by_seeker, state, context)]


def _ask_again(by_seeker: bool, state: State, context: Context) -> list[On]:
    """For another time, after it fell through."""
    again = places.take_again(context, state, welcome=not by_seeker)
    if by_seeker and state.gave_back:
        # Calling it off before asking for another time is no cheaper than asking for that.
        again += places.spend(context, state, "new_time", [on.stream.id for on in again])
    return again


def _cancelled(command: c.Cancel, state: State, context: Context) -> list[Event | On]:
    due = state.status in FIXED and state.starts_at is not None and context.at >= state.starts_at
    begun = due or state.status == "started"
    let_down_by = command.by if state.accepted and state.status != "missed" else None
    event = _event(command, state, asked=state.asked, let_down_by=let_down_by, late=begun)
    if begun and command.by == "seeker":
        # Whoever was kept waiting has given their time, whatever it is called.
        return [event, *places.use(context, state.contact_ids, "missed")]
    return [event, *places.free(context, state.contact_ids, "cancelled")]


def _check_begun(context: Context, state: State, early: timedelta = EARLY) -> None:
    if state.starts_at is not None and context.at < state.starts_at - early:
        raise refusal(
            "before_it_began",
            f"it is to begin at {state.starts_at.isoformat()}, and this is said to be of {context.at.isoformat()}",
            field="/occurred_at",
        )


def _held(command: c.Hold, state: State, context: Context) -> list[Event | On]:
    absent: list[Event | On] = []
    if command.contact_ids is not None:
        _check_take_part(command.contact_ids, state)
        missing = tuple(each for each in state.contact_ids if each not in command.contact_ids)
        if missing:
            absent = _dropped_out(missing, state, context)
            state = replace(state, contact_ids=tuple(each for each in state.contact_ids if each not in missing))
    format = command.format or state.format
    if state.status in AGREED and format != "email":
        raise refusal("held_before_scheduled", "the conversation was never scheduled")
    if state.status not in AGREED:
        _check_begun(context, state)
    overran = command.minutes is not None and state.minutes is not None and command.minutes > state.minutes
    event = _event(
        command,
        state,
        format=format,
        overran=overran,
        introduced_by=_introducers(context, state),
    )
    return [*absent, event, *places.use(context, state.contact_ids, "held", command.minutes)]


def _introducers(context: Context, state: State) -> tuple[UUID, ...]:
    """Through whom the seeker came here: whoever introduced them, and who gave the lead that this follows up."""
    hops = chain(context, state.seeker_id, state.contact_ids)
    if (referrer_id := _referrer(context, state)) is not None:
        hops = (*hops, referrer_id, *chain(context, state.seeker_id, [referrer_id]))
    return tuple(dict.fromkeys(each for each in hops if each not in state.contact_ids))[:MOST_INTRODUCERS]


def _referrer(context: Context, state: State) -> UUID | None:
    """Who gave the lead that the interview follows up, where that is one to a person; none until it is loaded."""
    lead = None if state.lead_id is None else context.others.get(Stream("lead", state.lead_id))
    return None if lead is None else lead.referrer_id


def _acted_on(context: Context, state: State) -> list[On]:
    if state.lead_id is None:
        return []
    return acted_on_by_asking(state.lead_id, context.other("lead", state.lead_id), state.contact_ids)


def _thanked(command: c.Thank, state: State) -> e.Thanked:
    thanked = command.contact_ids or state.unthanked
    _check_take_part(thanked, state)
    if not thanked or not set(thanked).isdisjoint(state.thanked):
        raise refusal("already_thanked", "they were thanked already", field="/contact_ids")
    return e.Thanked(
        seeker_id=state.seeker_id,
        contact_ids=state.contact_ids,
        how=command.how,
        note=command.note,
        thanked_ids=thanked,
        complete=set(state.unthanked) <= set(thanked),
    )


def _check_preparation(command: Command, state: State) -> None:
    match command:
        case c.Prepare() if state.prepared:
            raise refusal("already_done", "it is prepared", what="the preparation")
        case c.SetObjectives():
            check_wording((f"/objectives/{at}", text) for at, text in enumerate(command.objectives))
        case c.ChooseQuestions():
            check_wording(question_wordings(command))
        case c.RecordResearch() | c.TakeNotes() if not command.model_fields_set:
            raise refusal("nothing_changes", "there is nothing in it")


def question_wordings(command: c.ChooseQuestions) -> Iterator[Wording]:
    """Every question with its place in the body."""
    for name, questions in (("questions", command.questions), ("reserve", command.reserve)):
        for at, question in enumerate(questions):
            yield f"/{name}/{at}/text", question.text


def also(command: Command, state: State | None, context: Context) -> Iterator[Stream]:
    if isinstance(command, c.Plan):
        yield Stream("seeker", command.seeker_id)
        yield from (Stream("contact", contact_id) for contact_id in dict.fromkeys(command.contact_ids))
        if command.lead_id is not None:
            yield Stream("lead", command.lead_id)
        if command.programme_id is not None:
            yield Stream("programme", command.programme_id)
    elif state is None:
        return
    elif isinstance(command, c.Hold):
        yield from chain_streams(state.seeker_id, state.contact_ids)
        if state.lead_id is not None:
            yield Stream("lead", state.lead_id)
        if (referrer_id := _referrer(context, state)) is not None:
            yield from chain_streams(state.seeker_id, [referrer_id])
    elif isinstance(command, CONCERN_CONTACTS):
        if isinstance(command, c.SendRequest | c.FollowUp):
            yield Stream("seeker", state.seeker_id)
        if isinstance(command, c.SendRequest) and state.lead_id is not None:
            yield Stream("lead", state.lead_id)
        yield from (Stream("contact", contact_id) for contact_id in state.contact_ids)
    else:
        yield from told_streams(command, state.contact_ids)


DECIDER = Decider("interview", evolve, decide, also)
