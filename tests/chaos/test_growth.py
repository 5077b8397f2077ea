"""What a soak finds, and what it lets pass."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

import pytest

from tests.chaos.growth import Sample, grown

MEMORY = "command 1: memory (MB)"
STEADY = {MEMORY: 90.0, "projector 1: open files": 30.0, "log.head: dead tuples": 900.0,
          "read.row: dead tuples (%)": 10.0,
          "relay: lag (events)": 20.0, "kithlog.projector: messages": 5.0}  # fmt: skip


def samples(growing: str | None = None, by: float = 0.0) -> list[Sample]:
    """Forty moments; one figure grows from each to the next."""
    return [
        Sample(
            800 * moment, {name: value + (by * moment if name == growing else 0.0) for name, value in STEADY.items()}
        )
        for moment in range(40)
    ]


def of_memory(after: Callable[[int], float]) -> list[Sample]:
    """Ten minutes of 160 events/s, looked at each five seconds; `after` so many events a process holds so many MB."""
    return [Sample(events, {MEMORY: after(events)}) for events in range(800, 96_800, 800)]


def test_what_stays_flat_is_not_reported() -> None:
    """Given figures that stay where they are, when they are judged, then nothing grew."""
    assert grown(samples(), rate=100) == []


@pytest.mark.parametrize(
    ("name", "by"),
    [
        (MEMORY, 0.2),
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


@pytest.mark.parametrize("bytes_an_event", [120, 200, 1_000])
def test_a_leak_is_found_under_noise(bytes_an_event: int) -> None:
    """Given a process that keeps something of each event, when its memory goes up and down beside that, then that is
    told, however little of what it holds it comes to in ten minutes."""
    noise = Random(1)
    [found] = grown(of_memory(lambda events: 100 + events * bytes_an_event / 1e6 + noise.uniform(-2, 2)), rate=80)
    assert found.startswith(MEMORY)


@pytest.mark.parametrize(
    "after",
    [
        lambda events: 90 + min(events, 45_000) / 1_500,
        lambda events: 115 + Random(events).uniform(-4, 4),
        lambda events: 115 + (40 if events in (60_000, 84_800) else 0),
        lambda events: 130 - (8 if events > 70_000 else 0),
    ],
    ids=["filled in the first half", "noise", "peaks", "given back"],
)
def test_memory_that_does_not_grow_with_events_is_no_leak(after: Callable[[int], float]) -> None:
    """Given a process whose caches fill while it is young, or whose memory varies, when it is judged, then it holds."""
    assert grown(of_memory(after), rate=80) == []


def test_a_soak_without_events_proves_nothing() -> None:
    """Given a second half in which nothing happened, when it is judged, then that is an error and not a pass."""
    with pytest.raises(ValueError, match="median"):
        grown([Sample(1, {MEMORY: 90.0})] * 40, rate=80)


def test_a_soak_that_is_too_short_proves_nothing() -> None:
    """Given fewer samples than growth could show in, when they are judged, then that is an error and not a pass."""
    with pytest.raises(ValueError, match="too few"):
        grown(samples()[:7], rate=100)
