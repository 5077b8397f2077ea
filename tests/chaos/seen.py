"""What clients saw, and nothing else: written down by the load generator as lines of JSON, read by the checker."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, TextIO
from uuid import UUID

from tests.chaos.lives import Wish


@dataclass(frozen=True, slots=True)
class SeenEvent:
    """One event as an answer tells of it."""

    position: int
    event_id: UUID
    type: str
    stream: str
    version: int


@dataclass(frozen=True, slots=True)
class Answer:
    """What an accepted command was answered, without the mark that says whether it was a repetition."""

    position: int
    events: tuple[SeenEvent, ...]

    @classmethod
    def of(cls, document: dict[str, Any]) -> Answer:
        """From the answer's JSON document."""
        return cls(
            document["position"],
            tuple(
                SeenEvent(each["position"], UUID(each["event_id"]), each["type"], each["stream"], each["version"])
                for each in document["events"]
            ),
        )


@dataclass(frozen=True, slots=True)
class Said:
    """What a client said in a command."""

    body: dict[str, Any]
    at: datetime | None
    """When it happened; None: it left that to the service."""
    stream: str
    expected: int | None = None
    """The version that the stream must have; None: whichever it has."""
    shows: dict[str, Any] = field(default_factory=dict)
    """What the stream's document says once the command is executed."""


Command = tuple[str, UUID]
"""Tenant and command id: two tenants may use the same id."""


@dataclass(frozen=True, slots=True)
class Outdated:
    """A command that was refused, since its stream had another version than it named. It may come again with that."""

    command: Command
    stream: str
    expected: int
    at: datetime
    """When its client had heard."""


@dataclass(frozen=True, slots=True)
class Look:
    """What a query for the document of a command's stream was answered, other than that it is to be asked again."""

    command: Command
    wanted: int
    """The position that the document was to be of, at least: the command's."""
    status: int
    position: int | None
    """That it says it is of."""
    shown: dict[str, Any]
    """Of what the command shows, what the document says."""


@dataclass(slots=True)
class Seen:
    """All that the clients of a run were told."""

    accepted: dict[Command, Answer] = field(default_factory=dict)
    via: Counter[str] = field(default_factory=Counter)
    """How many of them each way brought."""
    said: dict[Command, Said] = field(default_factory=dict)
    """In commands that were or may have been executed; the last, where a command came again with another version."""
    wrongly: dict[Command, str] = field(default_factory=dict)
    """Commands that ended otherwise than they must → how."""
    refused: dict[Command, str] = field(default_factory=dict)
    """→ code, of those that can't have been executed."""
    handed_over: dict[Command, datetime] = field(default_factory=dict)
    """Commands that the broker confirmed to who waits for no answer → when it began to be sent them."""
    unknown: set[Command] = field(default_factory=set)
    """Sent, and never answered so that it is clear whether they were executed."""
    outdated: list[Outdated] = field(default_factory=list)
    looks: list[Look] = field(default_factory=list)
    repeated: list[tuple[Command, Answer | str]] = field(default_factory=list)
    """What commands were answered when they were sent once more; the code, where that was a refusal."""
    due: dict[UUID, datetime] = field(default_factory=dict)
    """Notification → when it falls due, by commands that were accepted."""
    needless: dict[UUID, int] = field(default_factory=dict)
    """Notification → position of the first accepted command that made it needless or put it off."""
    perhaps: set[UUID] = field(default_factory=set)
    """Notifications that commands were to make needless of which it is unknown whether they were executed."""
    ended_by: dict[UUID, dict[Command, str]] = field(default_factory=dict)
    """Notification → commands of both kinds, and what they are, such as `interview/thank`."""
    put_off: set[UUID] = field(default_factory=set)
    """Those of them whose time comes after the run."""

    @property
    def commands(self) -> int:
        return len(self.accepted) + len(self.refused) + len(self.handed_over) + len(self.unknown)


class Journal:
    """Writes what was seen, a line at a time, so that a reader has all of it at any moment."""

    def __init__(self, file: TextIO) -> None:
        self._file = file

    def accepted(self, wish: Wish, answer: dict[str, Any], via: str) -> None:
        arms = {str(id): at.isoformat() for id, at in wish.arms.items()}
        wrongly = f"was accepted, not refused ({wish.must_be_refused})" if wish.must_be_refused else None
        self._write("accepted", wish, arms=arms, answer=answer, via=via, wrongly=wrongly, **_said(wish), **_ended(wish))

    def refused(self, wish: Wish, code: str) -> None:
        foreseen = code == wish.must_be_refused or code in wish.may_be_refused
        self._write("refused", wish, code=code, wrongly=None if foreseen else f"was refused ({code})")

    def outdated(self, wish: Wish, at: datetime) -> None:
        """It was refused for the version that it named, and is asked again with another."""
        self._write("outdated", wish, stream=wish.stream, expected=wish.expected, when=at.isoformat())

    def failed(self, wish: Wish, status: int) -> None:
        """It was answered with neither an acceptance nor a refusal, and not that the service waits for PostgreSQL."""
        self._write("failed", wish, wrongly=f"was answered with status {status}")

    def handed_over(self, wish: Wish, at: datetime) -> None:
        self._write("handed over", wish, when=at.isoformat(), **_said(wish))

    def unknown(self, wish: Wish) -> None:
        self._write("unknown", wish, **_said(wish), **_ended(wish))

    def looked(self, wish: Wish, wanted: int, status: int, document: dict[str, Any]) -> None:
        item = document.get("item", {})
        shown = {name: item.get(name) for name in wish.shows}
        self._write("looked", wish, wanted=wanted, status=status, position=document.get("position"), shown=shown)

    def repeated(self, wish: Wish, answer: dict[str, Any]) -> None:
        self._write("repeated", wish, answer=answer)

    def refused_again(self, wish: Wish, code: str) -> None:
        self._write("refused again", wish, code=code)

    def _write(self, kind: str, wish: Wish, **more: Any) -> None:
        entry = {"kind": kind, "tenant": wish.tenant, "id": str(wish.command_id), **more}
        self._file.write(json.dumps(entry) + "\n")
        self._file.flush()


def _said(wish: Wish) -> dict[str, Any]:
    at = None if wish.at is None else wish.at.isoformat()
    return {"body": wish.body, "at": at, "stream": wish.stream, "expected": wish.expected, "shows": wish.shows}


def _ended(wish: Wish) -> dict[str, Any]:
    ends, by = [str(id) for id in wish.ends], f"{wish.category}/{wish.verb}"
    return {"ends": ends, "by": by, "puts_off": wish.puts_off}


def read(journal: Path) -> Seen:
    """All that stands in a journal."""
    with journal.open() as lines:
        return fold(json.loads(line) for line in lines)


def fold(entries: Iterable[dict[str, Any]]) -> Seen:
    seen = Seen()
    for entry in entries:
        command = (entry["tenant"], UUID(entry["id"]))
        ends = [UUID(id) for id in entry.get("ends", ())]
        for id in ends:
            seen.ended_by.setdefault(id, {})[command] = entry["by"]
        if entry.get("puts_off"):
            seen.put_off.update(ends)
        if wrongly := entry.get("wrongly"):
            seen.wrongly[command] = wrongly
        if "body" in entry:
            at = None if entry["at"] is None else datetime.fromisoformat(entry["at"])
            seen.said[command] = Said(entry["body"], at, entry["stream"], entry["expected"], entry["shows"])
        match entry["kind"]:
            case "accepted":
                answer = Answer.of(entry["answer"])
                if command in seen.accepted:  # to another client, who sent the same
                    seen.repeated.append((command, answer))
                seen.accepted.setdefault(command, answer)
                seen.via[entry["via"]] += 1
                seen.due |= {UUID(id): datetime.fromisoformat(at) for id, at in entry["arms"].items()}
                for id in ends:
                    seen.needless.setdefault(id, answer.position)
            case "refused":
                seen.refused[command] = entry["code"]
            case "outdated":
                when = datetime.fromisoformat(entry["when"])
                seen.outdated.append(Outdated(command, entry["stream"], entry["expected"], when))
            case "looked":
                told = (entry["wanted"], entry["status"], entry["position"], entry["shown"])
                seen.looks.append(Look(command, *told))
            case "failed":
                pass  # it was asked again
            case "handed over":
                seen.handed_over[command] = datetime.fromisoformat(entry["when"])
            case "unknown":
                seen.unknown.add(command)
                seen.perhaps.update(ends)
            case "repeated":
                seen.repeated.append((command, Answer.of(entry["answer"])))
            case "refused again":
                seen.repeated.append((command, entry["code"]))
            case kind:
                raise ValueError(f"a journal has no entries {kind!r}")
    return seen
