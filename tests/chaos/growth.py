"""Whether anything grew that should not, by the second half of a soak: what is filled once is full by then."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from statistics import median

EVENTS = 10_000
"""Memory is told by so many, as what leaks does so for each event, or for each of some kind."""
MOST_MEMORY = 1.0
"""MB. Of a leak, a hundred bytes an event: at the load's 160 events/s it comes to 60 MB an hour."""


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
    "open files": Allowance(1.0, 5),
    # A table that is overwritten n times a second holds what came between two vacuums, which come once a minute.
    "dead tuples": Allowance(1.5, 2_000),
    # Of a table that grows, too, which is vacuumed each time a fifth of it is dead.
    "dead tuples (%)": Allowance(1.0, 20),
}
FEWEST = 8
"""Samples in which growth can be seen: two a quarter."""
LAG_SECONDS = 2.0
"""Lag, and what waits in a queue, is flat while it is no more than the events of so many seconds."""
EVENTS_PER_COMMAND = 2.0


def grown(samples: Sequence[Sample], rate: float) -> list[str]:
    """What grew, as sentences; `rate` is the load's, in commands a second.

    Raises ValueError for under `FEWEST` samples, and where the second half of them saw no event.
    """
    quarter = len(samples) // 4
    if len(samples) < FEWEST:
        raise ValueError(f"{len(samples)} samples are too few to see growth in: {FEWEST} at least")
    found = []
    for name in samples[-1].figures:
        kind = name.partition(": ")[2]
        if kind == "memory (MB)":
            slope = growth(samples, name)
            if slope > MOST_MEMORY:
                found.append(f"{name}: {slope:.1f} more for {EVENTS:,} events, {MOST_MEMORY:g} at most")
            continue
        early = median(each.figures.get(name, 0.0) for each in samples[quarter : 2 * quarter])
        late = median(each.figures[name] for each in samples[-quarter:])
        allowance = ALLOWED.get(kind)
        most = early * allowance.ratio + allowance.plus if allowance else rate * EVENTS_PER_COMMAND * LAG_SECONDS
        if late > most:
            found.append(f"{name}: {early:.0f} in the second quarter, {late:.0f} in the last, {most:.0f} at most")
    return found


def growth(samples: Sequence[Sample], name: str) -> float:
    """Of a figure over the second half, for so many `EVENTS`: the median of the slopes between all pairs of samples,
    which neither a peak nor a page that the allocator gives back moves."""
    points = [(each.events, each.figures[name]) for each in samples[len(samples) // 2 :]]
    pairs = ((early, late) for early, late in combinations(points, 2) if late[0] > early[0])
    return EVENTS * median((late[1] - early[1]) / (late[0] - early[0]) for early, late in pairs)
