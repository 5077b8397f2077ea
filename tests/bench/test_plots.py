"""Plots show what was measured: read back from the SVG that is written."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from xml.etree import ElementTree

import pytest

from tests.bench import growth, plots, report
from tests.bench.rounds import Result

SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture(autouse=True)
def results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder that results are written to."""
    monkeypatch.setattr(report, "RESULTS", tmp_path)
    return tmp_path


def texts(svg: ElementTree.Element) -> list[str]:
    return [text.text or "" for text in svg.iter(f"{SVG}text")]


def dots(svg: ElementTree.Element) -> list[tuple[float, float]]:
    """Across and up, where 0 is the bottom."""
    bottom = max(float(line.attrib["y1"]) for line in svg.iter(f"{SVG}line"))
    return [(float(dot.attrib["cx"]), bottom - float(dot.attrib["cy"])) for dot in svg.iter(f"{SVG}circle")]


def bars(svg: ElementTree.Element) -> list[float]:
    """Their heights, without the background."""
    return [float(bar.attrib["height"]) for bar in svg.iter(f"{SVG}rect") if "x" in bar.attrib]


def drawn(folder: Path, name: str) -> ElementTree.Element:
    return ElementTree.parse(folder / f"{name}.svg").getroot()


def test_lines_are_as_high_as_their_values(results: Path) -> None:
    """Given two series of which one is twice the other, when they are drawn, then so are their dots, from left to right
    in the order of x, whatever the order in which they are given."""
    plots.lines("rates", "Rates", {"one": [(1000, 20.0), (1, 10.0)], "twice": [(1, 20.0), (1000, 40.0)]}, "callers", "")

    svg = drawn(results, "rates")
    one, twice = dots(svg)[:2], dots(svg)[2:]
    assert len(list(svg.iter(f"{SVG}polyline"))) == 2
    assert [across for across, _ in one] == sorted(across for across, _ in one) == [across for across, _ in twice]
    assert [up for _, up in twice] == pytest.approx([2 * up for _, up in one], abs=0.2)
    assert {"one", "twice", "1", "1,000", "callers"} <= set(texts(svg))


def test_what_is_written_on_a_plot_is_text(results: Path) -> None:
    """Given names with signs that mean something in SVG, when they are drawn, then they are shown as they are."""
    plots.lines("signs", "a < b & c", {"<x>": [(1, 1.0)]}, "x & y", "µs")

    assert {"a < b & c", "<x>", "x & y", "µs"} <= set(texts(drawn(results, "signs")))


def test_a_histogram_counts_every_value_once(results: Path) -> None:
    """Given ten values in the first bar and five in the last, when they are drawn, then these are half as high, and
    the bars between are empty."""
    plots.histogram("spread", "Spread", [0.0] * 10 + [23.9] * 5, "ms", bars=24)

    heights = bars(drawn(results, "spread"))
    assert len(heights) == 24
    assert heights[-1] == pytest.approx(heights[0] / 2, abs=0.1)
    assert sum(heights[1:-1]) == 0


def test_what_lies_far_beyond_is_in_the_last_bar(results: Path) -> None:
    """Given a thousand values and one a thousand times as large, when they are drawn, then the scale is theirs, and the
    last bar has one more."""
    plots.histogram("late", "Late", [float(value) for value in range(1000)] + [1e6], "ms", bars=10)

    heights = bars(drawn(results, "late"))
    assert max(heights) - min(heights) < 0.2 * max(heights)


@pytest.mark.parametrize("values", [[5.0], [5.0, 5.0, 5.0]])
def test_values_that_are_all_the_same_make_one_bar(results: Path, values: Sequence[float]) -> None:
    """Given one value, however often, when it is drawn, then one bar stands."""
    plots.histogram("same", "Same", values, "ms")

    assert len([height for height in bars(drawn(results, "same")) if height]) == 1


def test_the_cost_of_an_event_is_drawn_for_each_length_of_the_log(results: Path) -> None:
    """Given rates on a log of ten thousand against shorter ones, when the cost is drawn, then each length is one
    place, a higher rate is a lower cost, and what is no rate is left out."""

    def result(name: str, unit: str, value: float, against: str, other: float) -> Result:
        return Result(f"{name}, log of 10,000", value, unit, against, other, value / other, "≥ 1", True, 5, (1, 1))

    rows = [
        result("append", "events/s", 1_000, "a log of 100", 2_000),
        result("append", "events/s", 1_000, "a log of 1,000", 4_000),
        result("memory", "MB", 100, "a log of 100", 100),
    ]

    growth._plot(rows, 10_000, {"a log of 100": 100, "a log of 1,000": 1_000})

    svg = drawn(results, "growth")
    assert {"100", "1,000", "10,000", "append"} <= set(texts(svg))
    assert "memory" not in texts(svg)
    short, middle, long = (up for _, up in dots(svg))
    assert short == pytest.approx(2 * middle, abs=0.2)
    assert long == pytest.approx(4 * middle, abs=0.2)
