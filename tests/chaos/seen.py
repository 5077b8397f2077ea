"""What clients saw, and nothing else: written down by the load generator as lines of JSON, read by the checker."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, TextIO
from uuid import UUID


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


@dataclass(slots=True)
class Seen:
    """All that the clients of a run were told."""

    accepted: dict[UUID, Answer] = field(default_factory=dict)
    undated: set[UUID] = field(default_factory=set)
    """Accepted commands that did not say when it happened: the service did."""
    refused: dict[UUID, str] = field(default_factory=dict)
    """Command id → code, of those whose every attempt was refused."""
    unknown: set[UUID] = field(default_factory=set)
    """Sent, and never answered so that it is clear whether they were executed."""
    repeated: list[tuple[UUID, Answer]] = field(default_factory=list)
    """What accepted commands were answered when they were sent once more."""
    due: dict[UUID, datetime] = field(default_factory=dict)
    """Interview → when its thank-you falls due; of conversations that were acknowledged as held."""
    thanked: dict[UUID, int | None] = field(default_factory=dict)
    """Interview → position of the acknowledged thanks; None: sent, and it is not known whether it was executed."""

    @property
    def commands(self) -> int:
        return len(self.accepted) + len(self.refused) + len(self.unknown)


class Journal:
    """Writes what was seen, a line at a time, so that a reader has all of it at any moment."""

    def __init__(self, file: TextIO) -> None:
        self._file = file

    def accepted(self, command_id: UUID, answer: dict[str, Any], *, undated: bool) -> None:
        self._write("accepted", command_id, answer=answer, undated=undated)

    def refused(self, command_id: UUID, code: str) -> None:
        self._write("refused", command_id, code=code)

    def unknown(self, command_id: UUID) -> None:
        self._write("unknown", command_id)

    def repeated(self, command_id: UUID, answer: dict[str, Any]) -> None:
        self._write("repeated", command_id, answer=answer)

    def due(self, interview_id: UUID, at: datetime) -> None:
        self._write("due", interview_id, at=at.isoformat())

    def thanked(self, interview_id: UUID, position: int | None) -> None:
        self._write("thanked", interview_id, position=position)

    def _write(self, kind: str, id: UUID, **more: Any) -> None:
        self._file.write(json.dumps({"kind": kind, "id": str(id), **more}) + "\n")
        self._file.flush()


def read(journal: Path) -> Seen:
    """All that stands in a journal."""
    with journal.open() as lines:
        return fold(json.loads(line) for line in lines)


def fold(entries: Iterable[dict[str, Any]]) -> Seen:
    seen = Seen()
    for entry in entries:
        id = UUID(entry["id"])
        match entry["kind"]:
            case "accepted":
                seen.accepted[id] = Answer.of(entry["answer"])
                if entry["undated"]:
                    seen.undated.add(id)
            case "refused":
                seen.refused[id] = entry["code"]
            case "unknown":
                seen.unknown.add(id)
            case "repeated":
                seen.repeated.append((id, Answer.of(entry["answer"])))
            case "due":
                seen.due[id] = datetime.fromisoformat(entry["at"])
            case "thanked":
                seen.thanked[id] = entry["position"]
            case kind:
                raise ValueError(f"a journal has no entries {kind!r}")
    return seen
