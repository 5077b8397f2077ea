"""Some streams of one tenant, folded in memory: what deciders see, without log or service."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from shared.domain.catalogue import DECIDERS
from shared.domain.kernel import Command, Context, On, Stream
from shared.domain.occurrence import occurrence


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
        alone = Context(self.tenant, stream, occurrence(at, now), now)
        others = {other: self.states.get(other) for other in decider.also(command, state, alone)}
        context = Context(self.tenant, stream, alone.at, now, others=others)
        events = [
            each if isinstance(each, On) else On(stream, each) for each in decider.decide(command, state, context)
        ]
        assert {on.stream for on in events} <= {stream, *others}, "written to a stream that was not loaded"
        return events

    def execute(self, stream: Stream, command: Command, at: datetime, now: datetime | None = None) -> list[On]:
        """Judge, and remember what follows."""
        events = self.judge(stream, command, at, now)
        self.record(events)
        return events
