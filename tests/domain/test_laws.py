"""What holds for every history, however it came about."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from shared import codec
from shared.domain import contact, interview, lead, programme, relationship, seeker
from shared.domain.catalogue import DECIDERS, EVENTS
from shared.domain.identity import relationship_id
from shared.domain.kernel import NEW, Command, Event, Machine, On, Refusal, Stream
from shared.domain.personal import personal_fields
from tests.domain.scenario import ADDED, ANA, BEN, INTERVIEW, LEAD, NOW, PROGRAMME, REGISTERED, SEEKER
from tests.domain.strategies import models
from tests.synthetic.world import World

few = settings(max_examples=20, suppress_health_check=list(HealthCheck))
OURS = {name: each for name, each in EVENTS.items() if not name.startswith("notification.")}
ANY_EVENT = st.sampled_from(sorted(OURS)).flatmap(lambda name: models(OURS[name]))
CATEGORIES: dict[str, tuple[Machine, dict[type[Command], Any], UUID]] = {
    "seeker": (seeker.MACHINE, seeker.EVENT_OF, SEEKER),
    "contact": (contact.MACHINE, contact.EVENT_OF, ANA),
    "relationship": (relationship.MACHINE, dict(relationship.EVENT_OF), relationship_id(SEEKER, ANA)),
    "interview": (interview.MACHINE, dict(interview.EVENT_OF), INTERVIEW),
    "lead": (lead.MACHINE, lead.EVENT_OF, LEAD),
    "programme": (programme.MACHINE, programme.EVENT_OF, PROGRAMME),
}
REPEATABLE = {
    "seeker.correct_details",
    "seeker.change_goals",
    "seeker.write_introduction",
    "seeker.change_preferences",
    "seeker.record_verdict",
    "seeker.record_outcome",
    "contact.correct_details",
    "contact.offer_hours",
    "relationship.ask_referral",
    "relationship.record_touchpoint",
    "relationship.snooze",
    "interview.follow_up",
    "interview.agree_loosely",
    "interview.offer_times",
    "interview.record_research",
    "interview.set_objectives",
    "interview.choose_questions",
    "interview.take_notes",
    "interview.record_reflection",
    "programme.assign_coach",
}
"""Commands that may sensibly come twice; every other one is refused the second time."""


@pytest.mark.parametrize("name", sorted(OURS))
def test_every_event_round_trips(name: str) -> None:
    """Given any event, when it is stored and read, then it is the same, whatever its fields hold."""

    @few
    @given(models(OURS[name]))
    def law(event: Event) -> None:
        assert type(event).model_validate_json(codec.encode(event)) == event

    law()


@few
@given(st.lists(ANY_EVENT, max_size=12))
def test_evolve_never_refuses(events: list[Event]) -> None:
    """Given any events in any order, when a category folds them, then a state comes out."""
    for decider in DECIDERS.values():
        state: Any = None
        for event in events:
            state = decider.evolve(state, event)
            assert isinstance(state.status, str)


@pytest.mark.parametrize("name", sorted(OURS))
def test_what_is_forgotten_can_still_be_read(name: str) -> None:
    """Given an event whose personal texts are gone, when it is read, then it is still an event of its type."""

    @settings(few, max_examples=5)
    @given(models(OURS[name]))
    def law(event: Event) -> None:
        body = event.model_dump(mode="json", exclude_none=True)
        for field in personal_fields(type(event)):
            if type(event).model_fields[field].is_required():
                body[field] = "(forgotten)"
            else:
                body.pop(field, None)
        type(event).model_validate(body)

    law()


def known_people() -> tuple[World, list[On]]:
    """A world with a seeker and two contacts, and its history."""
    history = [
        On(Stream("seeker", SEEKER), REGISTERED),
        On(Stream("contact", ANA), ADDED),
        On(Stream("contact", BEN), ADDED),
    ]
    world = World()
    world.record(history)
    return world, history


def wish(data: st.DataObject, world: World) -> tuple[Stream, Command]:
    """Any command that the state machine does not rule out, about the few people there are."""
    category = data.draw(st.sampled_from(sorted(CATEGORIES)), "category")
    machine, event_of, id = CATEGORIES[category]
    stream = Stream(category, id)
    status = getattr(world.states.get(stream), "status", NEW)
    possible = sorted(
        (command for command, event in event_of.items() if status in machine.moves[event].sources),
        key=lambda command: command.type,
    )
    kind = data.draw(st.sampled_from(possible or sorted(event_of, key=lambda command: command.type)), "kind")
    command = data.draw(models(kind), "command")
    people = {"seeker_id": SEEKER, "contact_id": ANA, "contact_ids": (ANA,), "interview_id": None}
    update = {name: value for name, value in people.items() if name in kind.model_fields}
    for name in ("lead_id", "programme_id", "introduced_by", "coach_id"):
        if name in kind.model_fields and not kind.model_fields[name].is_required():
            update[name] = None
    return stream, command.model_copy(update=update)


def status_of(states: dict[Stream, Any], stream: Stream) -> str:
    return getattr(states.get(stream), "status", NEW)


@settings(few, max_examples=60, phases=[Phase.generate])
@given(st.data())
def test_any_accepted_history_folds(data: st.DataObject) -> None:
    """Given people, when wishes come at random, then what is accepted is what the state machines allow.

    A refusal changes nothing; folding the history afresh gives the same states; what happens once can't happen twice.
    """
    world, history = known_people()
    for _ in range(40):
        stream, command = wish(data, world)
        before = dict(world.states)
        events = accepted(world, stream, command)
        if events is None:
            assert world.states == before
            continue
        history += events
        check_moves(before, events)
        if command.type not in REPEATABLE:
            with pytest.raises(Refusal):
                world.judge(stream, command, NOW)
    again = World()
    again.record(history)
    assert again.states == world.states


def accepted(world: World, stream: Stream, command: Command) -> list[On] | None:
    """What followed; None for a refusal."""
    try:
        return world.execute(stream, command, NOW)
    except Refusal:
        return None


def check_moves(before: dict[Stream, Any], events: list[On]) -> None:
    """Each event may follow in the status that its stream had."""
    states = World()
    states.states = dict(before)
    for on in events:
        machine: Machine = CATEGORIES[on.stream.category][0]
        assert status_of(states.states, on.stream) in machine.moves[type(on.event)].sources
        states.record([on])
