"""What waits for its next attempt, and is recovered."""

from __future__ import annotations

from dataclasses import replace

import pytest

from shared.client import (
    Mark,
    MemoryStore,
    Patterns,
)
from shared.client.testing import MemoryHistory, Trial
from tests.client.messages import held
from tests.client.trials import FIRST, Taker, some


async def test_what_waits_for_its_next_attempt_is_not_missing(taker: Taker) -> None:
    """Given a filtered consumer with an event that failed and comes again later, when it asks the history whether
    something is missing, then that is not tried before its time, and its attempts stay counted."""
    log = [held(position, tenant="mine" if position % 2 else "other") for position in range(1, 8)]
    trial = Trial(taker.handlers, rules=replace(FIRST, wanted=Patterns(("mine.#",))), history=log)
    taker.fails = lambda event: OSError("no") if event.position == 5 else None
    await trial.give(log[0], log[4])
    await trial.worker.look()
    await trial.worker.look()
    assert (taker.took, len(trial.waiting)) == ([1, 3, 7], 1)
    await trial.give_again()
    assert [each.headers["attempts"] for each in trial.waiting] == [2]


async def test_what_was_put_aside_is_recovered_when_the_broker_lost_it(taker: Taker) -> None:
    """Given an event that waits for another attempt, when its message is gone, then it is read from the history; as
    long as the broker holds it, it waits there.
    """
    trial = Trial(taker.handlers, rules=FIRST, history=MemoryHistory(some(1, 2)))
    taker.fails = lambda event: OSError("no") if event.position == 1 else None
    await trial.give(*some(1, 2))
    taker.fails = lambda event: None
    for held_by_the_broker, took in ((1, [2]), (0, [2, 1]), (0, [2, 1])):
        await trial.worker.miss(held_by_the_broker)
        await trial.worker.recover()
        assert taker.took == took


@pytest.mark.parametrize(("held_by_the_broker", "took"), [(1, [2]), (0, [1, 2])])
async def test_a_recovery_goes_on_where_it_was_broken_off(
    taker: Taker, held_by_the_broker: int, took: list[int]
) -> None:
    """Given two events that were lost, of which one has been put aside anew, then only the other one is got back; but
    both are, when that message was lost, too.
    """
    store = MemoryStore(Mark(epoch=1, proven=2, begun={1: 2, 2: 1}, lost=frozenset({2})))
    trial = Trial(taker.handlers, store=store, history=some(1, 2))
    await trial.worker.miss(held_by_the_broker)
    await trial.worker.recover()
    assert taker.took == took


async def test_what_was_put_aside_and_is_wanted_no_more_is_forgotten(taker: Taker) -> None:
    """Given an event that waits for another attempt, when the next release has no pattern for it and its message is
    gone, then nothing waits any more.
    """
    store = MemoryStore(Mark(epoch=1, proven=2, begun={1: 1}))
    rules = replace(FIRST, wanted=Patterns(("*.lead.*",)))
    trial = Trial(taker.handlers, rules=rules, store=store, history=some(1, 2))
    await trial.worker.miss(0)
    await trial.worker.recover()
    assert (taker.took, (store.mark or Mark()).begun) == ([], {})
