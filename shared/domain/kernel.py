"""The few notions that every category of stream is built from.

An *event* is a fact in the past tense, a *command* a wish to add some. A *decider* judges a command
against the folded state of the streams it concerns and answers with events, or refuses. `decide` may
refuse, `evolve` never does: what is in the log has happened.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, ClassVar, Generic, Literal, TypeVar
from uuid import UUID

from pydantic import BaseModel, ConfigDict

from shared.immutable import immutable

NEW = "new"
"""The status of a stream without events."""


class Event(BaseModel):
    """The payload of one event; subclasses name their stored type and schema version.

    `class Held(InterviewEvent, type="interview.held")`. The type is what the log stores for ever: it never
    follows a rename of the class, and never changes meaning.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", ser_json_timedelta="iso8601", use_attribute_docstrings=True)

    type: ClassVar[str] = ""
    schema_version: ClassVar[int] = 1

    def __init_subclass__(cls, type: str = "", version: int = 1, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if type:
            if type in EVENTS:
                raise TypeError(f"event type {type!r} is declared twice: {EVENTS[type]} and {cls}")
            cls.type, cls.schema_version = type, version
            EVENTS[type] = cls


class Command(BaseModel):
    """The body of one command; subclasses name it `<category>.<verb>`, its stream being of that category.

    The name is called `type`, as for events, because `name` is a field of several bodies. `creates` tells that
    the command may be the first of its stream.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", str_strip_whitespace=True, use_attribute_docstrings=True)

    type: ClassVar[str] = ""
    category: ClassVar[str] = ""
    creates: ClassVar[bool] = False

    def __init_subclass__(cls, command: str = "", creates: bool = False, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if command:
            if command in COMMANDS:
                raise TypeError(f"command {command!r} is declared twice: {COMMANDS[command]} and {cls}")
            cls.type, cls.category, cls.creates = command, command.partition(".")[0], creates
            COMMANDS[command] = cls


EVENTS: dict[str, type[Event]] = {}
"""Stored type → class, filled by the declarations; complete once `shared.domain.catalogue` is imported."""

COMMANDS: dict[str, type[Command]] = {}
"""Command name → class, likewise."""


@immutable
class Stream:
    """Which stream of a tenant: one per thing that has a life of its own."""

    category: str
    id: UUID

    def __str__(self) -> str:
        return f"{self.category}/{self.id}"


@immutable
class On:
    """An event for another stream than the command's own, appended in the same transaction."""

    stream: Stream
    event: Event


class Refusal(Exception):
    """A command that may not happen. Nothing was written.

    `code` is stable and part of the contract, `detail` says what was wrong, `remedy` what would be right,
    `field` names the culprit in the body as a JSON pointer, where there is one. `kind` tells callers how to take it:
    `conflict` (not now), `invalid` (never so), `missing` (no such thing).
    """

    def __init__(
        self,
        code: str,
        detail: str,
        *,
        remedy: str,
        field: str | None = None,
        kind: Literal["conflict", "invalid", "missing"] = "conflict",
    ) -> None:
        super().__init__(f"{code}: {detail}")
        self.code, self.detail, self.remedy, self.field, self.kind = code, detail, remedy, field, kind


@immutable
class Context:
    """What enters with a command besides its body."""

    tenant: str
    stream: Stream
    at: datetime
    """When it happened outside; see `occurrence`."""
    now: datetime
    """When it is written down."""
    actor: str = "unknown"
    others: Mapping[Stream, Any] = field(default_factory=dict)
    """Folded states of the streams that the decider's `also` asked for; None for one without events."""

    def other(self, category: str, id: UUID) -> Any:
        return self.others[Stream(category, id)]


S = TypeVar("S")


def _no_others(command: Any, state: Any, context: Context) -> Iterable[Stream]:
    return ()


@dataclass(frozen=True)
class Decider(Generic[S]):
    """How one category of stream lives.

    `decide(command, state, context)` returns events (for its own stream) and `On`s (for others); it raises
    `Refusal`. `evolve(state, event)` folds one event. `also(command, state, context)` names further streams whose
    states `decide` must see; an append is judged on the versions of all of them. Where some follow from what others
    hold, it names them as soon as `context.others` has those: ask `further` until it knows of none.
    """

    category: str
    evolve: Callable[[S | None, Event], S]
    decide: Callable[[Any, S | None, Context], list[Event | On]]
    also: Callable[[Any, S | None, Context], Iterable[Stream]] = _no_others

    def further(self, command: Any, state: S | None, context: Context) -> list[Stream]:
        """What `also` names and `context.others` lacks."""
        return [each for each in self.also(command, state, context) if each not in context.others]

    def fold(self, events: Iterable[Event], state: S | None = None) -> S | None:
        for event in events:
            state = self.evolve(state, event)
        return state


@dataclass(frozen=True, slots=True)
class Move:
    """One row of a state machine: from which states an event may follow, and the state it leads to.

    `to=None` stays where it is; so does an event with one of the values of `unless`, by field.
    """

    sources: Collection[str]
    to: str | None = None
    unless: Mapping[str, Sequence[str]] = field(default_factory=dict)

    def leads(self, event: Event) -> str | None:
        """The state that this very event leads to; None: it stays."""
        if any(getattr(event, name) in values for name, values in self.unless.items()):
            return None
        return self.to


class Machine:
    """A category's states and what may happen in each: the table that a reader, `decide` and the diagrams share."""

    def __init__(
        self,
        category: str,
        moves: Mapping[type[Event], Move],
        *,
        first: str = NEW,
        commands: Mapping[type[Command], type[Event]] | None = None,
        setbacks: Collection[str] = (),
        leads_on: Mapping[type[Event], Mapping[str, str]] | None = None,
    ) -> None:
        """`first` is where a stream stands after an event that stays where it is, coming first; a stream that may begin
        so is never unknown. `commands` are those that lead to the events: a refusal names the way by them, though none
        through `setbacks`, states that nobody goes to for the sake of another. `leads_on` says in words what gets on
        where that is more or other than the way."""
        self.category, self.moves, self.first = category, moves, first
        self.commands, self.setbacks, self.leads_on = commands or {}, setbacks, leads_on or {}

    def next(self, status: str, event: Event) -> str:
        """The status after `event`; never refuses, since the event has happened."""
        move = self.moves.get(type(event))
        if move is None:
            return status
        return move.leads(event) or (self.first if status == NEW else status)

    def require(self, status: str, event: type[Event]) -> None:
        """Refuse unless `event` may follow in `status`; the refusal names the states in which it may, and by which
        commands one gets there, where that is known.

        Raises `Refusal` with code `unknown_<category>`, `already_exists`, `already_done` or `out_of_order`.
        """
        move = self.moves[event]
        if status in move.sources:
            return
        what = event.type
        if status == NEW == self.first:
            way = self.way(status, move.sources)
            raise Refusal(
                f"unknown_{self.category}",
                f"there is no {self.category} with this id",
                remedy=f"record {way[0]} first, or correct the id" if way else "correct the id: no command begins one",
                kind="missing",
            )
        if set(move.sources) == {NEW}:
            raise Refusal(
                "already_exists",
                f"this {self.category} exists already (status {status})",
                remedy="use a new id, or repeat the first command with its own Idempotency-Key to get its answer",
            )
        leads_on = self.leads_on.get(event, {}).get(status)
        if status == move.to and leads_on is None:
            told = f"this {self.category} is {status} already"
            raise Refusal("already_done", told, remedy=f"{what} needs no repetition: leave it")
        leads_on = leads_on or self._leads_on(status, move)
        allowed = ", ".join(sorted(set(move.sources) - {NEW})) or NEW
        raise Refusal(
            "out_of_order",
            f"{what} can't follow: this {self.category} is {status}",
            remedy=f"{leads_on + '; ' if leads_on else ''}{what} may follow while the {self.category} is: {allowed}",
        )

    def _leads_on(self, status: str, move: Move) -> str | None:
        """What to do about an event that can't follow, by the table alone."""
        if move.to not in self.setbacks and any(self.way(source, {status}) for source in move.sources):
            return f"the {self.category} is past that: leave it"
        way = [] if {move.to, status} <= set(self.setbacks) else self.way(status, move.sources)
        return ", then ".join([f"record {way[0]} first", *way[1:]]) if way else None

    def way(self, status: str, goals: Collection[str]) -> list[str]:
        """The commands that lead from one state to the nearest of others, step by step; none where no way is known."""
        ways: dict[str, list[str]] = {status: []}
        left = [status]
        for here in left:
            for there, names in self._steps(here).items():
                if there not in ways:
                    ways[there] = [*ways[here], " or ".join(names)]
                    left.append(there)
                    if there in goals:
                        return ways[there]
        return []

    def _steps(self, here: str) -> dict[str, list[str]]:
        """The states that are one command away, and by which."""
        steps: dict[str, list[str]] = {}
        for command, event in self.commands.items():
            move = self.moves.get(event)
            # A part of a stream may begin with any command that the stream takes.
            begins = here != NEW or command.creates or command.category != self.category
            if move is not None and here in move.sources and begins:
                there = move.to or (self.first if here == NEW else here)
                if there not in self.setbacks:
                    steps.setdefault(there, []).append(command.type)
        return steps

    def mermaid(self) -> str:
        """The table as a Mermaid state diagram, edges that share their ends merged into one."""
        edges: dict[tuple[str, str], list[str]] = {}
        for event, move in self.moves.items():
            name = event.type.partition(".")[2]
            for source in sorted(move.sources):
                stays = self.first if source == NEW else source
                edges.setdefault((source, move.to or stays), []).append(name)
                for values in move.unless.values():
                    edges.setdefault((source, stays), []).append(f"{name} ({', '.join(values)})")
        lines = ["stateDiagram-v2"]
        for (source, target), names in edges.items():
            start = "[*]" if source == NEW else source
            lines.append(f"    {start} --> {target}: {', '.join(names)}")
        return "\n".join(lines) + "\n"
