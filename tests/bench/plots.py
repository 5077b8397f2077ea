"""Plots as SVG, written by hand: a few bars or lines, axes and numbers."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from html import escape

from tests.bench import report

_WIDTH, _HEIGHT, _LEFT, _BOTTOM, _TOP = 640, 360, 80, 50, 40
_COLOURS = ("#1b6ca8", "#c8553d", "#588157", "#7b5ea7")
Points = Sequence[tuple[float, float]]


def lines(name: str, title: str, series: Mapping[str, Points], x: str, y: str) -> None:
    """One line for each of the series; the x values stand at equal distances, in the order of their size."""
    places = sorted({at for points in series.values() for at, _ in points})
    most = _round_above(max(value for points in series.values() for _, value in points))
    parts = _axes(title, x, y, [_figure(place) for place in places], most)
    for index, (label, points) in enumerate(series.items()):
        colour = _COLOURS[index % len(_COLOURS)]
        dots = [(_across(places.index(at), len(places)), _up(value / most)) for at, value in sorted(points)]
        joined = " ".join(f"{across:.1f},{up:.1f}" for across, up in dots)
        parts.append(f'<polyline points="{joined}" fill="none" stroke="{colour}" stroke-width="2"/>')
        parts += [f'<circle cx="{across:.1f}" cy="{up:.1f}" r="4" fill="{colour}"/>' for across, up in dots]
        parts.append(f'<text x="{_LEFT + 12}" y="{_TOP + 16 * (index + 1)}" fill="{colour}">{escape(label)}</text>')
    _write(name, parts)


def histogram(name: str, title: str, values: Sequence[float], unit: str, *, bars: int = 24) -> None:
    """How many of the values lie where, from the least to the 99.5th percentile; what is beyond is in the last bar."""
    ordered = sorted(values)
    least, most = ordered[0], ordered[int((len(ordered) - 1) * 0.995)]
    width = (most - least) / bars or 1.0
    counts = [0] * bars
    for value in ordered:
        counts[min(bars - 1, int((value - least) / width))] += 1
    labels = [_figure(least + width * bar) if bar % 4 == 0 else "" for bar in range(bars)]
    top = _round_above(max(counts))
    parts = _axes(title, unit, "how many", labels, top)
    for bar, number in enumerate(counts):
        up = _up(number / top)
        size = (_WIDTH - _LEFT - 20) / bars - 2
        across = _across(bar, bars) - size / 2
        parts.append(
            f'<rect x="{across:.1f}" y="{up:.1f}" width="{size:.1f}" height="{_up(0) - up:.1f}" fill="{_COLOURS[0]}"/>'
        )
    _write(name, parts)


def _axes(title: str, x: str, y: str, labels: Sequence[str], most: float) -> list[str]:
    parts = [
        f'<text x="{_LEFT}" y="22" font-weight="bold">{escape(title)}</text>',
        f'<text x="{_WIDTH / 2}" y="{_HEIGHT - 8}" text-anchor="middle">{escape(x)}</text>',
        f'<text transform="translate(16,{_HEIGHT / 2}) rotate(-90)" text-anchor="middle">{escape(y)}</text>',
    ]
    for quarter in range(5):
        up = _up(quarter / 4)
        parts.append(f'<line x1="{_LEFT}" y1="{up}" x2="{_WIDTH - 20}" y2="{up}" stroke="#ddd"/>')
        parts.append(f'<text x="{_LEFT - 6}" y="{up + 4}" text-anchor="end">{_figure(most * quarter / 4)}</text>')
    for place, label in enumerate(labels):
        across = _across(place, len(labels))
        parts.append(f'<text x="{across:.1f}" y="{_up(0) + 18}" text-anchor="middle">{escape(label)}</text>')
    return parts


def _round_above(value: float) -> float:
    """The next number whose quarters are round, too."""
    unit = 10.0 ** math.floor(math.log10(value or 1.0))
    return next(step * unit for step in (1, 1.2, 1.6, 2, 2.4, 3.2, 4, 6, 8, 10) if step * unit >= value)


def _across(place: int, places: int) -> float:
    return _LEFT + (place + 0.5) * (_WIDTH - _LEFT - 20) / places


def _up(share: float) -> float:
    return _HEIGHT - _BOTTOM - share * (_HEIGHT - _BOTTOM - _TOP)


def _figure(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def _write(name: str, parts: Sequence[str]) -> None:
    report.RESULTS.mkdir(parents=True, exist_ok=True)
    start = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" font-family="sans-serif" '
        'font-size="12">'
    )
    background = f'<rect width="{_WIDTH}" height="{_HEIGHT}" fill="white"/>'
    (report.RESULTS / f"{name}.svg").write_text("\n".join([start, background, *parts, "</svg>"]) + "\n")
