"""How a consumer wants its events, and what became of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from shared.client.patterns import EVERYTHING, Patterns


@dataclass(frozen=True, slots=True)
class Rules:
    """How a consumer wants its events."""

    wanted: Patterns = EVERYTHING
    begin: Literal["first", "now"] = "now"
    """Where a consumer begins that has no mark yet: at the first event of the log, or after the last one that is there
    when it first looks."""
    in_order: bool = False
    """Whether an event waits for those before it, failed ones too. Then a failing event is repeated in place, and all
    behind it wait until it was handled or parked. Otherwise it comes again later, after some of its successors."""
    delays: tuple[float, ...] = (1, 10, 60, 600)
    """Seconds before each further attempt; after the last it is parked."""
    handler_timeout: float = 60.0
    """Seconds after which a handler that hangs is cancelled, which counts as a failed attempt."""
    batch: int = 1
    """Most events in one unit of work. With more than one, all of a unit are handled again when one of them fails:
    take a store whose unit of work undoes what its handlers did."""

    @property
    def at_once(self) -> bool:
        """Whether what is missing has to be found before the next event is handled."""
        return self.wanted.everything or self.in_order


@dataclass(slots=True)
class Counts:
    """What became of the messages since the start."""

    handled: int = 0
    duplicates: int = 0
    healed: int = 0
    """Taken from the history: the broker had not brought them, or not yet."""
    unwanted: int = 0
    """Came although no pattern of this release matches: by a binding of an earlier one, or by a replay."""
    retried: int = 0
    parked: int = 0
