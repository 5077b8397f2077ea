"""A log to fold, and what the loop told of it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import asyncpg

from services.projector.folding.read_model import Filed, ReadModel
from services.projector.live.observing import Silent
from shared.domain import contact
from shared.domain.kernel import Event
from shared.envelope import Recorded
from tests.projector.histories import history

if TYPE_CHECKING:
    Connection = asyncpg.Connection[asyncpg.Record]


HISTORY = history(seed=3, seekers=4)


class Heard(Silent):
    def __init__(self) -> None:
        self.kinds: list[str] = []
        self.sources: list[tuple[str, int]] = []
        self.reasons: list[str | None] = []

    def message(self, kind: str) -> None:
        self.kinds.append(kind)

    def folded(self, source: str, *, events: int, seconds: float) -> None:
        self.sources.append((source, events))

    def halted(self, reason: str | None) -> None:
        self.reasons.append(reason)

    async def halt(self) -> bool:
        return "unknown_event_type" in self.reasons


@dataclass(frozen=True, slots=True)
class Odd:
    text: str


class Unstorable(ReadModel[Odd]):
    """Makes a row that PostgreSQL does not take, of one contact."""

    name = "unstorable"
    row = Odd

    def keys(self, e: Recorded[Event]) -> Iterable[str]:
        return (str(e.stream_id),) if e.category == "contact" else ()

    def evolve(self, key: str, row: Odd | None, e: Recorded[Event]) -> Odd | None:
        return Odd("odd" if isinstance(e.data, contact.Added) and e.data.name == "Odd" else "even")

    def file(self, row: Odd) -> Filed:
        return Filed(state="\0" if row.text == "odd" else None)


async def folded(connection: Connection, position: int) -> bool:
    return (await connection.fetchval("SELECT max(position) FROM read.checkpoint") or 0) >= position
