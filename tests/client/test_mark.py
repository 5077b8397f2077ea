"""The mark's laws: whatever way events come, none is taken twice and none is passed over."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from shared.client import Mark


def test_a_failed_event_is_no_duplicate_when_it_comes_again() -> None:
    """Given the second of three events put aside, then it is wanted still, once, and the others are not."""
    mark = Mark().after(1, 0).put_aside(2, 1, attempts=1).after(3, 2)
    assert [mark.has(position) for position in (1, 2, 3, 4)] == [True, False, True, False]
    mark = mark.after(2, 1)
    assert (mark.proven, mark.begun, mark.has(2)) == (3, {}, True)


def test_a_gap_is_kept_open_until_the_history_has_closed_it() -> None:
    """Given events 1, 4 and 5 of a filtered consumer, then 2 and 3 are open until the history has shown up to 4."""
    mark = Mark().after(1, 0).after(4, 3).after(5, 4)
    assert (mark.proven, mark.done, mark.has(3)) == (1, frozenset({4, 5}), False)
    mark = mark.proved(4, epoch=2)
    assert (mark.proven, mark.done, mark.has(3), mark.epoch) == (4, frozenset({5}), True, 2)


@given(st.lists(st.integers(1, 30), max_size=60), st.sets(st.integers(1, 30)))
def test_every_event_is_taken_once_in_any_order(arrivals: list[int], fails_once: set[int]) -> None:
    """Given events in any order, repeated, some failing at first: handled is exactly what came, what failed twice."""
    mark, handled, failed = Mark(), list[int](), set[int]()
    for position in arrivals:
        mark = Mark.from_json(mark.to_json())
        if mark.has(position):
            continue
        if position in fails_once - failed:
            failed.add(position)
            mark = mark.put_aside(position, position - 1, 1)
        else:
            handled.append(position)
            mark = mark.after(position, position - 1)
    assert len(handled) == len(set(handled))
    assert {position for position in range(1, 31) if mark.has(position)} == set(handled)
    assert set(mark.begun) == failed - set(handled)
