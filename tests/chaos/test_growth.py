"""What a soak finds, and what it lets pass."""

from __future__ import annotations

import pytest

from tests.chaos.growth import Sample, grown

STEADY = {"command 1: memory (MB)": 90.0, "projector 1: open files": 30.0, "log.head: dead tuples": 900.0,
          "read.row: dead tuples (%)": 10.0,
          "relay: lag (events)": 20.0, "kithlog.projector: messages": 5.0}  # fmt: skip


def samples(growing: str | None = None, by: float = 0.0) -> list[Sample]:
    """Forty moments; one figure grows from each to the next."""
    return [
        Sample(
            100 * moment, {name: value + (by * moment if name == growing else 0.0) for name, value in STEADY.items()}
        )
        for moment in range(40)
    ]


def test_what_stays_flat_is_not_reported() -> None:
    """Given figures that stay where they are, when they are judged, then nothing grew."""
    assert grown(samples(), rate=100) == []


@pytest.mark.parametrize(
    ("name", "by"),
    [
        ("command 1: memory (MB)", 1.0),
        ("projector 1: open files", 0.5),
        ("log.head: dead tuples", 200.0),
        ("read.row: dead tuples (%)", 2.0),
        ("relay: lag (events)", 20.0),
        ("kithlog.projector: messages", 20.0),
    ],
)
def test_what_grows_is_reported(name: str, by: float) -> None:
    """Given one figure that grows from sample to sample, when they are judged, then that one is named."""
    [found] = grown(samples(name, by), rate=100)
    assert found.startswith(name)


def test_a_soak_that_is_too_short_proves_nothing() -> None:
    """Given fewer samples than growth could show in, when they are judged, then that is an error and not a pass."""
    with pytest.raises(ValueError, match="too few"):
        grown(samples()[:7], rate=100)
