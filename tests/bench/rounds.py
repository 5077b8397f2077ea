"""Measuring two sides in turn, so that a machine that slows down slows both."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import asdict, dataclass
from statistics import median
from typing import Any, Literal

Side = Callable[[], Awaitable[float]]
"""One measurement: a rate (per second), or a time (seconds)."""


@dataclass(frozen=True, slots=True)
class Goal:
    """What the ratio of ours to the other's should be: at least for rates, at most for times."""

    ratio: float
    kind: Literal["at least", "at most"] = "at least"

    def met(self, ratio: float) -> bool:
        return ratio >= self.ratio if self.kind == "at least" else ratio <= self.ratio

    def __str__(self) -> str:
        return f"{'≥' if self.kind == 'at least' else '≤'} {self.ratio:g}"


@dataclass(frozen=True, slots=True)
class Result:
    """One row of the table, and one object of the JSON file."""

    name: str
    value: float
    """Median of ours."""
    unit: str
    against: str
    limit_or_peer_value: float | None
    """Median of the other side; null where the goal is a figure of its own."""
    ratio: float
    """Median of the rounds' ratios, ours to the other's."""
    goal: str
    met: bool
    rounds: int
    spread: tuple[float, float]
    """Smallest and largest ratio of a round."""

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


async def compare(
    name: str,
    ours: Side,
    others: Sequence[tuple[str, Side | float, Goal]],
    *,
    unit: str,
    rounds: int,
    warm: bool = True,
) -> list[Result]:
    """Measure ours and each of the others once a round, after one round that does not count if they are to be `warm`.

    What starts processes of its own and takes minutes need not be. One of the others may be a figure.
    """
    measured: list[list[float]] = [[] for _ in range(1 + len(others))]
    for number in range(not warm, rounds + 1):
        sides = [ours, *(side for _, side, _ in others)]
        # Every other round begins at the other end: whatever the first leaves behind strikes both alike.
        order = list(enumerate(sides)) if number % 2 else list(enumerate(sides))[::-1]
        for index, side in order:
            value = side if isinstance(side, int | float) else await side()
            if number:
                measured[index].append(value)
    results = []
    for (against, other, goal), values in zip(others, measured[1:], strict=True):
        ratios = [own / its for own, its in zip(measured[0], values, strict=True)]
        results.append(
            Result(
                name=name,
                value=median(measured[0]),
                unit=unit,
                against=against,
                limit_or_peer_value=None if isinstance(other, int | float) else median(values),
                ratio=median(ratios),
                goal=f"{goal}",
                met=goal.met(median(ratios)),
                rounds=rounds,
                spread=(min(ratios), max(ratios)),
            )
        )
    return results


async def measure(
    name: str, ours: Side, figure: float, goal: Goal, *, unit: str, rounds: int, warm: bool = True
) -> Result:
    """Measure against a figure alone; else as `compare`."""
    [result] = await compare(name, ours, [of_figure(figure, goal)], unit=unit, rounds=rounds, warm=warm)
    return result


def of_figure(figure: float, goal: Goal) -> tuple[str, float, Goal]:
    """A figure among those that `compare` measures against."""
    return (f"the figure {figure:,g}", figure, goal)


def times(name: str, values: Sequence[float], most: float) -> Result:
    """Measured times in seconds, one a round, against the most that they should be."""
    ratios = [value / most for value in values]
    return Result(
        name=name,
        value=median(values),
        unit="s",
        against=f"the figure {most:g} s",
        limit_or_peer_value=None,
        ratio=median(ratios),
        goal="≤ 1",
        met=median(ratios) <= 1,
        rounds=len(values),
        spread=(min(ratios), max(ratios)),
    )


def percentile(values: Sequence[float], share: float) -> float:
    """The value that so large a share of them does not exceed."""
    return sorted(values)[min(len(values) - 1, int(len(values) * share))]
