"""How rounds are measured and judged: what is told must be what came about."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.bench.live import too_slow
from tests.bench.rounds import Goal, Side, compare, measure, of_figure, percentile, times


def side(name: str, values: Iterator[float], asked: list[str]) -> Side:
    """Measures the next of `values`, and notes that it was asked."""

    async def measured() -> float:
        asked.append(name)
        return next(values)

    return measured


async def test_rounds_are_interleaved_and_every_other_begins_at_the_other_end() -> None:
    """Given two sides, when they are compared in two rounds, then they take turns; one before does not count."""
    asked: list[str] = []
    ours = side("ours", iter([1e9, 10.0, 20.0]), asked)
    theirs = side("theirs", iter([1e9, 5.0, 5.0]), asked)

    [result] = await compare("rate", ours, [("theirs", theirs, Goal(1))], unit="events/s", rounds=2)

    assert asked == ["theirs", "ours", "ours", "theirs", "theirs", "ours"]
    assert (result.value, result.limit_or_peer_value, result.rounds) == (15.0, 5.0, 2)


async def test_what_takes_minutes_is_not_warmed_up() -> None:
    """Given sides that need not be warm, when they are compared, then each is asked once for each round."""
    asked: list[str] = []
    sides = [side(name, iter([2.0, 2.0]), asked) for name in ("ours", "theirs")]

    await compare("rate", sides[0], [("theirs", sides[1], Goal(1))], unit="s", rounds=2, warm=False)

    assert asked == ["ours", "theirs", "theirs", "ours"]


async def test_the_ratio_is_that_of_rounds_not_of_medians() -> None:
    """Given a machine of which the speed changes from round to round, when both sides suffer alike, then the ratio is
    that of each round, and does not spread."""
    speeds = (1.0, 8.0, 1.0, 3.0)
    ours, theirs = (side("", iter([factor * speed for speed in speeds]), []) for factor in (6.0, 3.0))

    [result] = await compare("rate", ours, [("theirs", theirs, Goal(2.0))], unit="events/s", rounds=3)

    assert (result.ratio, result.spread, result.met) == (2.0, (2.0, 2.0), True)


async def test_the_spread_is_the_range_of_the_rounds() -> None:
    """Given rounds of different ratios, when they are judged, then their median counts, and the ends are told."""
    ours, theirs = side("", iter([0.0, 4.0, 1.0, 2.0]), []), side("", iter([1.0, 1.0, 1.0, 1.0]), [])

    [result] = await compare("rate", ours, [("theirs", theirs, Goal(2.5))], unit="events/s", rounds=3)

    assert (result.ratio, result.spread, result.met) == (2.0, (1.0, 4.0), False)


@pytest.mark.parametrize(
    ("goal", "met", "missed", "words"),
    [(Goal(0.4), 0.4, 0.39, "≥ 0.4"), (Goal(2.5, "at most"), 2.5, 2.51, "≤ 2.5")],
)
def test_a_goal_is_met_at_the_figure_itself(goal: Goal, met: float, missed: float, words: str) -> None:
    """Given a goal, when a ratio is exactly it, then it is met, and beyond it is not."""
    assert (goal.met(met), goal.met(missed), str(goal)) == (True, False, words)


async def test_a_figure_is_no_measurement() -> None:
    """Given a figure instead of another side, when ours is measured against it, then nothing is told to be theirs."""
    result = await measure("rate", side("", iter([1.0, 5_000.0]), []), 10_000, Goal(1), unit="events/s", rounds=1)

    assert (result.ratio, result.limit_or_peer_value, result.met) == (0.5, None, False)
    assert result.against == of_figure(10_000, Goal(1))[0] == "the figure 10,000"


def test_times_are_judged_by_the_median_round() -> None:
    """Given the times of some rounds, when they are judged, then one slow round does not miss what the others met."""
    result = times("lateness", [0.005, 0.009, 0.050], 0.010)

    assert (result.value, result.met, result.rounds) == (0.009, True, 3)
    assert result.spread == (0.5, 5.0)


@pytest.mark.parametrize(("share", "value"), [(0.0, 1), (0.5, 51), (0.99, 100), (1.0, 100)])
def test_percentiles(share: float, value: float) -> None:
    """Given the numbers 1 to 100 in any order, when a share is asked for, then so many do not exceed the answer."""
    numbers = [float((number * 37) % 100 + 1) for number in range(100)]

    assert percentile(numbers, share) == value


def test_what_came_about_too_slowly_meets_no_goal() -> None:
    """Given times within their goal, when they were not measured at the rate that they are of, then that is said, and
    the goal is not met."""
    result = times("live, p99", [0.02], 0.06)
    told = too_slow(result, 312.4)
    assert (result.met, told.met, told.value) == (True, False, result.value)
    assert told.name == "live, p99 (only 312 events/s came about)"
