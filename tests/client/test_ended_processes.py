"""What ends the process, and two of them at once."""

from __future__ import annotations

from dataclasses import replace

import pytest

from shared.client import (
    CloudEvent,
    Mark,
    MemoryStore,
)
from shared.client.failures import Stale
from shared.client.testing import Trial
from tests.client.messages import held
from tests.client.trials import FIRST, Killed, Taker, some


async def test_an_event_that_ends_the_process_is_known_by_its_mark(taker: Taker) -> None:
    """Given an event that ended the process at each attempt, when messages that were delivered often come, then it is
    parked, and the one that was behind it is not.
    """

    def kill(event: CloudEvent) -> None:
        if event.position == 2:
            raise Killed

    store, parked = MemoryStore(Mark(epoch=1, proven=1)), list[str]()
    taker.fails = kill
    often = [replace(each, headers={**each.headers, "x-delivery-count": 3}) for each in some(2, 3)]
    for _ in range(3):
        with pytest.raises(Killed):
            await Trial(taker.handlers, rules=FIRST, store=store).give(*often)
    trial = Trial(taker.handlers, rules=FIRST, store=store)
    await trial.give(*often)
    parked = [each.reason for each in trial.parked]
    assert (parked, taker.took) == (["no_answer"], [3])


@pytest.mark.parametrize("brought", [False, True])
async def test_nor_does_an_event_of_the_history_end_it_for_ever(taker: Taker, brought: bool) -> None:
    """Given an event that ends the process at each attempt, and that no message brings, be it that the consumer begins
    at the first of the log or that the broker has lost it, then it is parked after as many, and the others are not."""

    def kill(event: CloudEvent) -> None:
        if event.position == 2:
            raise Killed

    store, taker.fails, ended = MemoryStore(), kill, 0
    for deliveries in range(20):
        trial = Trial(taker.handlers, rules=FIRST, store=store, history=some(1, 2, 3))
        try:
            if brought:
                await trial.give(replace(held(3), headers={"x-delivery-count": deliveries}))
            else:
                await trial.worker.audit()
        except Killed:
            ended += 1
            continue
        break
    assert [each.reason for each in trial.parked] == ["no_answer"]
    assert (taker.took, ended) == ([1, 3], len(FIRST.delays) + 2)


async def test_two_processes_do_not_both_move_the_mark(taker: Taker) -> None:
    """Given two workers with the mark of one store, when the second saves what it read before, then it is refused, and
    goes on from what the first has saved.
    """
    store = MemoryStore()
    first, second = (Trial(taker.handlers, store=store) for _ in range(2))
    await first.worker.load()
    await second.worker.load()
    await first.give(*some(1))
    with pytest.raises(Stale):
        await second.give(*some(1))
    await second.give(*some(1, 2))
    assert (store.mark or Mark()).proven == 2
    assert second.counts.duplicates == 1
