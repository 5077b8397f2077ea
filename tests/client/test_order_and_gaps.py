"""Events in order and once, and what was missed, without a broker."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from shared.client import (
    Mark,
    MemoryStore,
    Page,
    Patterns,
    Rules,
    Unavailable,
)
from shared.client.patterns import EVERYTHING
from shared.client.testing import MemoryHistory, Trial
from shared.client.worker import MOST_UNPROVEN
from tests.client.messages import held
from tests.client.trials import FIRST, Taker, some


async def test_events_are_handled_in_order_and_once(taker: Taker) -> None:
    """Given duplicates, of the batch and of an earlier one, then each event is handled once."""
    trial = Trial(taker.handlers)
    await trial.give(*some(1, 2, 2))
    await trial.give(*some(1, 3))
    assert taker.took == [1, 2, 3]
    assert trial.counts.duplicates == 2


async def test_a_gap_is_healed_before_what_follows(taker: Taker) -> None:
    """Given that the broker lost 2 to 4, when 5 comes, then they are read from the history, and handled before it."""
    trial = Trial(taker.handlers, history=some(1, 2, 3, 4, 5, 6))
    await trial.give(*some(1, 5))
    assert taker.took == [1, 2, 3, 4, 5]
    assert trial.counts.healed == 3


async def test_what_was_lost_at_the_end_is_found_when_nothing_new_comes(taker: Taker) -> None:
    """Given that 2 and 3 were lost and nothing follows, then the second look finds them; duplicates are nothing new."""
    trial = Trial(taker.handlers, history=some(1, 2, 3))
    await trial.give(*some(1))
    await trial.worker.look()
    assert taker.took == [1]
    await trial.give(*some(1))
    await trial.worker.look()
    await trial.give(*some(2, 3))
    assert taker.took == [1, 2, 3]


async def test_what_came_since_the_last_look_may_be_on_its_way(taker: Taker) -> None:
    """Given that 2 was lost, and 3 recorded between two looks, then the second one leaves 3 to the broker."""
    trial = Trial(taker.handlers, history=some(1, 2))
    await trial.give(*some(1))
    await trial.worker.look()
    trial.history.events += some(3)
    await trial.worker.look()
    assert taker.took == [1, 2]


async def test_what_comes_without_gaps_needs_no_history(taker: Taker, monkeypatch: pytest.MonkeyPatch) -> None:
    """Given that the history is away, then looks go by for as long as new events come; one on quiet has to wait, and
    what was lost meanwhile is found once the history is back."""
    trial = Trial(taker.handlers)

    async def away(*_: Any) -> Page:
        raise Unavailable("the feed")

    with monkeypatch.context() as patch:
        patch.setattr(trial.history, "page", away)
        for position in (1, 2):
            await trial.give(*some(position))
            await trial.worker.look()
        with pytest.raises(Unavailable):
            await trial.worker.look()
    trial.history.events = [*some(1, 2, 3)]
    for _ in range(2):
        await trial.worker.look()
    assert taker.took == [1, 2, 3]


async def test_looks_survive_a_restore_that_undid_nothing_that_was_seen(taker: Taker) -> None:
    """Given a look at a log that was then restored to an earlier point, when the consumer had not come to that, then it
    goes on."""
    trial = Trial(taker.handlers, history=some(1, 2, 3))
    await trial.give(*some(1))
    await trial.worker.look()
    trial.history.events = [*some(1, 2)]
    await trial.worker.look()
    assert taker.took == [1, 2]


@pytest.fixture
def later(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Moves the worker's clock on."""
    now = [0.0]
    monkeypatch.setattr("shared.client.worker.monotonic", lambda: now[0])

    def add(seconds: float) -> None:
        now[0] += seconds

    return add


@pytest.mark.parametrize(("in_order", "most"), [(False, 120), (True, 130)])
async def test_who_stands_by_leaves_to_the_other_what_that_may_have_in_hand(
    taker: Taker, later: Callable[[float], None], in_order: bool, most: float
) -> None:
    """Given an event that came to another process, then one that stands by handles nothing while that may be at it, nor
    after it has moved the mark; but at last it does what the log held when the mark began to stand still."""
    store = MemoryStore(Mark(epoch=1, proven=1, saves=1))
    trial = Trial(taker.handlers, rules=replace(FIRST, in_order=in_order), store=store, history=some(1))
    await trial.worker.look(standing_by=True)
    later(3600)  # nothing happens for long
    await trial.worker.look(standing_by=True)
    trial.history.events += some(2)
    await trial.worker.look(standing_by=True)
    for mark in (store.mark, Mark(epoch=1, proven=1, begun={2: 1}, saves=2)):
        store.mark = mark
        await trial.worker.look(standing_by=True)
        later(most - 1)
        await trial.worker.look(standing_by=True)
        assert taker.took == []
    trial.history.events += some(3)
    later(1)
    await trial.worker.look(standing_by=True)
    assert taker.took == [2]


async def test_looking_for_what_was_missed_ends_though_the_log_grows(taker: Taker) -> None:
    """Given a log that grows with every look at it, then the consumer reads up to where it ended at first, and goes
    back to the broker, which brings the rest.
    """

    class Growing(MemoryHistory):
        async def page(self, after: int, limit: int = 500, wanted: Patterns = EVERYTHING) -> Page:
            page = await super().page(after, 2, wanted)
            self.events += some(page.head + 1, page.head + 2)
            return page

    trial = Trial(taker.handlers, history=Growing(some(1, 2, 3, 4, 5)))
    await trial.worker.audit()
    assert taker.took == [1, 2, 3, 4, 5]
    await trial.give(*some(6))
    assert (taker.took[-1], trial.counts.healed) == (6, 5)


async def test_a_filtered_consumer_finds_what_it_missed(taker: Taker) -> None:
    """Given a consumer of one tenant, and a log of two, then positions between its events are no gap for it, and what
    the history shows of its own tenant is handled.
    """
    log = [held(position, tenant="mine" if position % 2 else "other") for position in range(1, 10)]
    rules = replace(FIRST, wanted=Patterns(("mine.interview.*",)))
    trial = Trial(taker.handlers, rules=rules, history=log)
    await trial.give(log[0], log[8])
    assert taker.took == [1, 9]
    await trial.worker.look()
    assert taker.took == [1, 9, 3, 5, 7]
    await trial.give(log[4])
    assert trial.counts.duplicates == 1


async def test_a_binding_of_an_earlier_release_brings_nothing_unwanted(taker: Taker) -> None:
    trial = Trial(taker.handlers, rules=replace(FIRST, wanted=Patterns(("mine.#",))))
    await trial.give(held(1, tenant="other"), held(2, tenant="mine"))
    assert (taker.took, trial.parked, trial.counts.unwanted) == ([2], [], 1)


async def test_in_order_a_filtered_consumer_misses_nothing_for_a_moment(taker: Taker) -> None:
    log = [held(position, tenant="mine" if position % 2 else "other") for position in range(1, 10)]
    rules = replace(FIRST, wanted=Patterns(("mine.#",)), in_order=True)
    trial = Trial(taker.handlers, rules=rules, history=log)
    await trial.give(log[0], log[8])
    assert taker.took == [1, 3, 5, 7, 9]


async def test_a_filtered_consumer_never_leaves_many_events_unproven(taker: Taker) -> None:
    """Given a stream of messages that never falls silent, then the history is asked all the same."""
    log = [held(2 * n) for n in range(1, MOST_UNPROVEN + 2)]
    rules = replace(FIRST, wanted=Patterns(("*.interview.held",)), batch=500)
    trial = Trial(taker.handlers, rules=rules, history=log)
    await trial.give(*(each for each in log if each is not log[10]))
    mark = await trial.store.load()
    assert mark is not None
    assert (len(taker.took), mark.done) == (MOST_UNPROVEN + 1, frozenset())


async def test_who_begins_now_is_not_told_the_past(taker: Taker) -> None:
    trial = Trial(taker.handlers, rules=Rules(begin="now"), history=some(1, 2))
    await trial.worker.load()
    trial.history.events += some(3)
    await trial.give(*some(2, 3))
    assert taker.took == [3]
