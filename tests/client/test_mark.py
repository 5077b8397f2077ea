"""The mark's laws: whatever way events come, none is taken twice and none is passed over."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from shared.client import Mark
from shared.client.mark import LONGEST_REASON, MOST_PARKED


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


def test_no_more_is_kept_of_what_was_parked_than_can_be_saved_with_every_event() -> None:
    """Given one event more than that was parked, the last of them the first to be, then that of the lowest position is
    left out, and reasons are cut.
    """
    mark = Mark()
    for position in (MOST_PARKED + 1, *range(1, MOST_PARKED + 1)):
        mark = mark.parking(position, "too long " * 100)
    assert list(mark.parked) == list(range(2, MOST_PARKED + 2))
    assert {len(reason) for reason in mark.parked.values()} == {LONGEST_REASON}
    assert Mark.from_json(json.loads(json.dumps(mark.to_json()))) == mark


def test_a_mark_may_be_written_by_hand() -> None:
    """Given what an operator writes after a restore, then nothing is missing in it."""
    written = {"epoch": 2, "proven": 1234, "done": [], "begun": {}, "saves": 1}
    assert Mark.from_json(written) == Mark(epoch=2, proven=1234, saves=1)


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


def test_what_lies_before_a_restore_is_as_it_was() -> None:
    """Given a mark from beyond the point that the log was restored to, when it goes back there, then nothing of what
    came later is known, and of what came before it is known what had its end, and what had not."""
    mark = Mark(1, 90, frozenset({93, 105}), {89: 2, 105: 1}, frozenset({89, 105}), {80: "x", 104: "y"}, saves=7)
    back = mark.back_to(100, 2)
    assert back == Mark(2, 90, frozenset({93}), {89: 2}, frozenset({89}), {80: "x"}, saves=7)
    assert [back.has(position) for position in (89, 90, 93, 97, 101, 105)] == [False, True, True, False, False, False]
    assert back.top == 93
    assert Mark(1, 120).back_to(100, 3) == Mark(3, 100)
