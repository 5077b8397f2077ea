"""Long work that leaves others their turns."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from shared.operations import turns
from shared.operations.turns import in_turns
from tests.turns import another_task


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Its one item is the monotonic clock."""
    now = [100.0]
    monkeypatch.setattr(turns, "monotonic", lambda: now[0])
    monkeypatch.setattr(turns, "A_WHILE", 2.0)
    return now


async def turns_before(work: Iterator[int]) -> list[int]:
    """How many turns another task has had by the time that it is each item's."""
    with another_task() as turns:
        return [turns() async for _ in in_turns(work)]


def lasting(clock: list[float], *seconds: float) -> Iterator[int]:
    """Items that take so long each."""
    for number, each in enumerate(seconds):
        clock[0] += each
        yield number


async def test_others_have_their_turn_after_so_many_items(clock: list[float], monkeypatch: pytest.MonkeyPatch) -> None:
    """Given items that take no time, then others wait for a few of them, however many there are."""
    monkeypatch.setattr(turns, "AT_ONCE", 3)
    assert await turns_before(lasting(clock, *[0.0] * 7)) == [0, 0, 0, 1, 1, 1, 2]


async def test_others_have_their_turn_after_a_while_however_few_the_items_are(clock: list[float]) -> None:
    """Given items that take their time, then others wait for no more of them than come to a while, or for one."""
    assert await turns_before(lasting(clock, 5.0, 1.0, 0.5, 0.5, 1.0, 0.0)) == [0, 1, 1, 1, 2, 2]
