"""Whether anything grew that should not: the second quarter of a soak beside its last."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median


@dataclass(frozen=True, slots=True)
class Sample:
    """Figures of one moment, by name; what comes after the colon says of what kind they are."""

    events: int
    """In the log."""
    figures: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Allowance:
    """By how much the median of the last quarter may exceed that of the second."""

    ratio: float
    plus: float


ALLOWED = {
    # Allocators keep what they had; a leak shows over any length that is worth a soak.
    "memory (MB)": Allowance(1.05, 5),
    "open files": Allowance(1.0, 5),
    # A table that is overwritten n times a second holds what came between two vacuums, which come once a minute.
    "dead tuples": Allowance(1.5, 2_000),
    # Of a table that grows, too, which is vacuumed each time a fifth of it is dead.
    "dead tuples (%)": Allowance(1.0, 20),
}
LAG_SECONDS = 2.0
"""Lag, and what waits in a queue, is flat while it is no more than the events of so many seconds."""
EVENTS_PER_COMMAND = 2.0


def grown(samples: Sequence[Sample], rate: float) -> list[str]:
    """What grew, as sentences; `rate` is the load's, in commands a second. Raises ValueError for under 8 samples."""
    quarter = len(samples) // 4
    if quarter < 2:
        raise ValueError(f"{len(samples)} samples are too few to see growth in: 8 at least")
    found = []
    for name in samples[-1].figures:
        early = median(each.figures.get(name, 0.0) for each in samples[quarter : 2 * quarter])
        late = median(each.figures[name] for each in samples[-quarter:])
        allowance = ALLOWED.get(name.partition(": ")[2])
        most = early * allowance.ratio + allowance.plus if allowance else rate * EVENTS_PER_COMMAND * LAG_SECONDS
        if late > most:
            found.append(f"{name}: {early:.0f} in the second quarter, {late:.0f} in the last, {most:.0f} at most")
    return found
