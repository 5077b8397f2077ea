"""What `make bench` writes and shows."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.bench import report
from tests.bench.rounds import Result

MISSED = Result("append", 20_000.0, "events/s", "pgbench", 10_500.0, 1.9, "≥ 2", False, 5, (1.5, 2.2))
OF_A_FIGURE = Result("p99", 0.009, "s", "the figure 0.06 s", None, 0.15, "≤ 1", True, 5, (0.1, 0.2))


def test_results_are_a_list_of_objects(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Given results, when they are written, then each row of the file has what the table shows, and the machine."""
    monkeypatch.setattr(report, "RESULTS", tmp_path / "not there yet")

    path = report.write("append", [MISSED, OF_A_FIGURE], "2 cores")

    first, second = json.loads(path.read_text())
    assert path.name == "append.json"
    assert first == {
        "name": "append",
        "value": 20_000.0,
        "unit": "events/s",
        "against": "pgbench",
        "limit_or_peer_value": 10_500.0,
        "ratio": 1.9,
        "goal": "≥ 2",
        "met": False,
        "rounds": 5,
        "spread": [1.5, 2.2],
        "machine": "2 cores",
    }
    assert second["limit_or_peer_value"] is None


def test_a_missed_goal_is_shown_as_missed(capsys: pytest.CaptureFixture[str]) -> None:
    """Given a goal that was missed and one that was met, when they are shown, then each line says which, and a figure
    that nobody measured is a dash."""
    report.show([MISSED, OF_A_FIGURE])

    lines = capsys.readouterr().out.splitlines()
    [missed] = [line for line in lines if "pgbench" in line]
    [met] = [line for line in lines if "figure" in line]
    assert "20,000 events/s" in missed
    assert "not met" in missed
    assert "not met" not in met
    assert "–" in met
