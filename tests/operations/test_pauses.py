"""Pauses between attempts."""

from __future__ import annotations

import pytest

from shared.operations import pauses
from shared.operations.pauses import Pauses


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Its one item is the monotonic clock."""
    now = [100.0]
    monkeypatch.setattr(pauses, "monotonic", lambda: now[0])
    return now


def test_they_grow_while_attempts_fail_at_once_and_begin_anew_after_one_that_lasted(clock: list[float]) -> None:
    waits = Pauses(2.0, first=0.5)
    told = []
    for lasted in (0.0, 1.0, 1.9, 0.0, 2.0, 0.0):
        waits.attempt()
        clock[0] += lasted
        told.append(waits.next())
        clock[0] += told[-1]
    assert told == [0.5, 1.0, 2.0, 2.0, 0.5, 1.0]


def test_what_has_lasted_may_be_told_apart_from_the_longest_pause(clock: list[float]) -> None:
    waits = Pauses(10.0, first=0.5, lasting=3.0)
    waits.attempt()
    assert [waits.next(), waits.next()] == [0.5, 1.0]
    clock[0] += 3.0
    assert waits.next() == 0.5


def test_who_knows_better_than_by_time_says_when_they_begin_anew(clock: list[float]) -> None:
    """Given a loop that does not tell when its attempts begin, then they may last: only its word makes pauses short."""
    waits = Pauses(2.0, first=0.5)
    told = []
    for goes_well in (False, False, False, True, False):
        clock[0] += 100.0
        if goes_well:
            waits.reset()
        told.append(waits.next())
    assert told == [0.5, 1.0, 2.0, 0.5, 1.0]
