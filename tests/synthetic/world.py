"""Some streams of one tenant, folded in memory: what deciders see, without log or service."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from shared.domain.catalogue import DECIDERS
from shared.domain.kernel import Command, Context, On, Stream
from shared.domain.occurrence import occurrence
from shared.replacing import replace


def seeing(states: Mapping[Stream, Any], command: Command, context: Context) -> Context:
    """The context with all that the decider asks for."""
    decider, state = DECIDERS[context.stream.category], states.get(context.stream)
    while further := decider.further(command, state, context):
        context = replace(context, others={**context.others, **{each: states.get(each) for each in further}})
    return context


class World:
    """Judges commands by the deciders, and remembers the states that follow."""

    def __init__(self, tenant: str = "tenant") -> None:
        self.tenant = tenant
        self.states: dict[Stream, Any] = {}

    def record(self, events: Iterable[On]) -> None:
        """What has happened, unjudged."""
        for on in events:
            evolve = DECIDERS[on.stream.category].evolve
            self.states[on.stream] = evolve(self.states.get(on.stream), on.event)

    def judge(self, stream: Stream, command: Command, at: datetime, now: datetime | None = None) -> list[On]:
        """The events that would follow, each with its stream. Raises `Refusal`.

        As in the service, only streams that `also` names may be read or written beside the command's own.
        """
        decider, state = DECIDERS[stream.category], self.states.get(stream)
        now = now or at
        context = seeing(self.states, command, Context(self.tenant, stream, occurrence(at, now), now))
        events = [
            each if isinstance(each, On) else On(stream, each) for each in decider.decide(command, state, context)
        ]
        assert {on.stream for on in events} <= {stream, *context.others}, "written to a stream that was not loaded"
        return events

    def execute(self, stream: Stream, command: Command, at: datetime, now: datetime | None = None) -> list[On]:
        """Judge, and remember what follows."""
        events = self.judge(stream, command, at, now)
        self.record(events)
        return events
