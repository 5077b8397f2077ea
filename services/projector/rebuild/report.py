"""What a rebuild, a rollback or a verification found and did."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from services.projector.folding.changes import Parked, RowId
from services.projector.rebuild.comparing import Difference

TOLD = 100
"""Differences that a report tells of one by one, per model."""
HEALED = 10_000
"""Most rows that can be mended; beyond, the model wants a rebuild."""
Mode = Literal["rebuild", "rollback", "verify"]


class Refused(Exception):
    """It can't be done, or must not; nothing that is live was touched."""


class Busy(Refused):
    """Another rebuild, rollback or verification is at work."""


@dataclass(slots=True)
class Told:
    """What became of one model, or of the timers."""

    model: str
    version: int = 0
    live_version: int | None = None
    rows: int = 0
    differences: int = 0
    explained: dict[str, int] = field(default_factory=dict)
    first: list[Difference] = field(default_factory=list)

    @property
    def expected(self) -> bool:
        """Whether differences say nothing: there was nothing live, or of another version."""
        return self.live_version != self.version


@dataclass(slots=True)
class Report:
    mode: Mode
    position: int = 0
    """Where both sides stood when they were compared."""
    events: int = 0
    seconds: float = 0.0
    """Of folding."""
    whole_seconds: float = 0.0
    peak_bytes: int = 0
    """Of the largest process."""
    models: dict[str, Told] = field(default_factory=dict)
    failures: list[Parked] = field(default_factory=list)
    parked: int = 0
    """Streams of which neither side has what waits."""
    discarded: int = 0
    """Events that neither side has."""
    forked: bool = False
    switched: bool = False
    healed: int = 0
    ids: set[RowId] = field(default_factory=set)
    """The rows that differ, up to `HEALED` of them."""

    def tell(self, told: Told, difference: Difference) -> None:
        told.differences += 1
        if len(told.first) < TOLD:
            told.first.append(difference)
        if len(self.ids) <= HEALED:
            self.ids.add(difference.id)

    @property
    def unexplained(self) -> int:
        return sum(told.differences for told in self.models.values() if not (told.expected or self.forked))


@dataclass(slots=True)
class Situation:
    position: int
    epoch: int
    turn: int
    head: int
    head_epoch: int
    policies: str
    """The digest of those that pending timers were reckoned by."""

    @property
    def forked(self) -> bool:
        return self.epoch != self.head_epoch or self.position > self.head

    @property
    def target(self) -> int:
        return self.head if self.forked else self.position
