"""Results as a table on the terminal, as JSON, and as plots."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

from tests.bench.rounds import Result

RESULTS = Path(__file__).parent / "results"


def write(part: str, results: Sequence[Result], machine: str) -> Path:
    """One JSON file for each part: a list of results, each with what it was measured on."""
    RESULTS.mkdir(parents=True, exist_ok=True)
    path = RESULTS / f"{part}.json"
    rows = [result.as_json() | {"machine": machine} for result in results]
    path.write_text(json.dumps(rows, indent=2, ensure_ascii=False) + "\n")
    return path


def show(results: Iterable[Result]) -> None:
    table = Table(title="Ours against the other, medians; spread is the ratio's range over the rounds")
    for column in ("what", "ours", "against", "theirs", "ratio", "spread", "goal", ""):
        table.add_column(column, justify="right" if column in ("ours", "theirs", "ratio", "spread") else "left")
    for each in results:
        theirs = "–" if each.limit_or_peer_value is None else _figure(each.limit_or_peer_value)
        table.add_row(
            each.name, f"{_figure(each.value)} {each.unit}", each.against, theirs, f"{each.ratio:.2f}",
            f"{each.spread[0]:.2f}–{each.spread[1]:.2f}", each.goal, "met" if each.met else "[bold]not met",
        )  # fmt: skip
    Console(width=150).print(table)


def _figure(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
