"""What fails: when it comes again, and what counts as an attempt."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from itertools import count
from typing import Any

import pytest

from shared.client import (
    CloudEvent,
    Handlers,
    Incoming,
    Mark,
    MemoryStore,
    Unavailable,
    Unit,
)
from shared.client.failures import Stale
from shared.client.message import REPLAY
from shared.client.testing import Trial
from tests.client.messages import held
from tests.client.trials import FIRST, Killed, Taker, some


async def test_a_failing_event_comes_again_and_holds_up_nobody(taker: Taker) -> None:
    """Given an event that fails once, then those behind it are handled, and it is, too, when it comes again."""
    trial = Trial(taker.handlers, rules=FIRST)
    taker.fails = lambda event: OSError("no") if event.position == 2 else None
    await trial.give(*some(1, 2, 3))
    assert (taker.took, len(trial.waiting)) == ([1, 3], 1)
    taker.fails = lambda event: None
    await trial.give_again()
    await trial.give(*some(2))
    assert taker.took == [1, 3, 2]


async def test_where_very_many_fail_the_others_wait(taker: Taker, monkeypatch: pytest.MonkeyPatch) -> None:
    """Given that all events fail, then after so many that wait for their next attempt one is repeated in place, and the
    mark does not grow for ever; once they succeed, all are handled."""
    monkeypatch.setattr("shared.client.attempts.MOST_ASIDE", 2)
    trial = Trial(taker.handlers, rules=FIRST)
    taker.fails = lambda event: OSError("no") if not trial.pauses or event.position < 3 else None
    await trial.give(*some(1, 2, 3, 4))
    assert (taker.took, len(trial.waiting), trial.pauses) == ([3, 4], 2, [1])
    await trial.give_again()  # what waits already makes nothing grow
    assert (len(trial.waiting), trial.pauses) == (2, [1])
    taker.fails = lambda event: None
    await trial.give_again()
    assert (taker.took, trial.parked) == ([3, 4, 1, 2], [])


async def test_an_event_that_always_fails_is_parked_with_the_reason(taker: Taker) -> None:
    """Given two delays, then it is tried three times and parked; its position is behind the mark by then."""
    trial = Trial(taker.handlers, rules=FIRST)
    taker.fails = lambda event: OSError("no") if event.position == 1 else None
    await trial.give(*some(1, 2))
    await trial.give_again()
    await trial.give_again()
    assert (trial.waiting, taker.took) == ([], [2])
    assert [(each.reason, each.attempts, each.error) for each in trial.parked] == [("failed", 3, "OSError('no')")]
    await trial.give(*some(1))
    assert trial.counts.duplicates == 1


@pytest.mark.parametrize("said", [-9, 2**62])
async def test_attempts_that_nobody_made_are_none_too_many(taker: Taker, said: int) -> None:
    """Given a message with a number of attempts that can't be, when its event fails, then it has its end."""
    trial = Trial(taker.handlers, rules=FIRST)
    taker.fails = lambda event: OSError("no")
    await trial.give(replace(held(1), headers={"attempts": said}))
    assert [each.headers["attempts"] for each in trial.waiting] == ([1] if said < 0 else [])
    assert [each.attempts for each in trial.parked] == ([] if said < 0 else [len(FIRST.delays) + 1])


async def test_in_order_a_failing_event_is_repeated_in_place(taker: Taker) -> None:
    """Given order and two delays, then an event that always fails is tried at both, parked, and then comes the next."""
    trial = Trial(taker.handlers, rules=replace(FIRST, in_order=True, batch=10))
    taker.fails = lambda event: OSError("no") if event.position == 2 else None
    await trial.give(*some(1, 2, 3))
    assert (trial.pauses, trial.waiting, len(trial.parked)) == ([1, 10], [], 1)
    assert taker.took[-1] == 3


async def test_attempts_in_place_are_known_to_who_takes_over(taker: Taker) -> None:
    """Given order and an event that fails, when the process ends while it waits for the next attempt, then the one that
    comes after it makes those that are left."""

    class Ending(Trial[None]):
        async def _pause(self, seconds: float) -> None:
            raise Killed

    store, rules = MemoryStore(), replace(FIRST, in_order=True)
    taker.fails = lambda event: OSError("no")
    with pytest.raises(Killed):
        await Ending(taker.handlers, rules=rules, store=store).give(*some(1))
    second = Trial(taker.handlers, rules=rules, store=store)
    await second.give(*some(1))
    assert (second.pauses, [each.attempts for each in second.parked]) == ([10], [3])


async def test_a_handler_that_hangs_is_a_failed_attempt() -> None:
    """Given a handler that never returns, then it is cancelled and its event put aside; the next is handled."""
    handlers, took = Handlers[None](), list[int]()

    @handlers.otherwise
    async def hang(event: CloudEvent, within: None) -> None:
        if event.position == 1:
            await asyncio.Event().wait()
        took.append(event.position)

    trial = Trial(handlers, rules=replace(FIRST, handler_timeout=0.001))
    await trial.give(*some(1, 2))
    assert (took, len(trial.waiting)) == ([2], 1)


async def test_what_the_handler_needs_being_away_is_not_the_events_fault(taker: Taker) -> None:
    """Given that the handler says so, then nothing is counted or parked, and the same messages can be given again."""
    trial = Trial(taker.handlers)
    taker.fails = lambda event: Unavailable("database") if event.position == 2 else None
    with pytest.raises(Unavailable):
        await trial.give(*some(1, 2, 3))
    taker.fails = lambda event: None
    await trial.give(*some(1, 2, 3))
    assert (taker.took, trial.parked, trial.waiting) == ([1, 2, 3], [], [])


async def test_nor_that_of_one_that_was_delivered_often(taker: Taker) -> None:
    """Given messages that the broker had back again and again, and something the handler needs that is away for long,
    then no attempt is counted, and all is handled when it is back; of what was lost, too."""
    often = [replace(each, headers={**each.headers, "x-delivery-count": 3}) for each in some(2, 3)]
    store = MemoryStore(Mark(epoch=1, proven=1, begun={1: 1}))
    trial = Trial(taker.handlers, rules=FIRST, store=store, history=some(1, 2, 3))
    taker.fails = lambda event: Unavailable("database")
    await trial.worker.miss(0)
    for _ in range(10):
        with pytest.raises(Unavailable):
            await trial.give(*often)
        with pytest.raises(Unavailable):
            await trial.worker.recover()
    assert (store.mark or Mark()).begun == {1: 1}
    taker.fails = lambda event: None
    await trial.worker.recover()
    await trial.give(*often)
    assert (taker.took, trial.parked, trial.waiting) == ([1, 2, 3], [], [])


class Breaking(MemoryStore):
    """Its next units, so many, can't be committed."""

    def __init__(self, mark: Mark, error: Exception) -> None:
        super().__init__(mark)
        self.breaks, self._error = 0, error

    @asynccontextmanager
    async def unit(self) -> AsyncIterator[Unit[None]]:
        before = self.mark
        async with super().unit() as unit:
            yield unit
        if self.breaks:
            self.breaks -= 1
            self.mark = before
            raise self._error


@pytest.mark.parametrize(("error", "breaks"), [(Stale(), 1), (Stale(), 2), (OSError("gone"), 2), (OSError("gone"), 3)])
async def test_nor_is_a_store_that_breaks_while_it_is_handled(taker: Taker, error: Exception, breaks: int) -> None:
    """Given an event that was delivered often, and a store that breaks whenever it was handled, or that another process
    is faster, when this one goes on, then no attempt is counted, also where that could not be written down then."""
    store = Breaking(Mark(epoch=1, proven=1), error)
    trial = Trial(taker.handlers, rules=FIRST, store=store)
    often = [replace(held(2), headers={"x-delivery-count": 3}), held(3)]

    def fail(event: CloudEvent) -> None:
        store.breaks = breaks

    taker.fails = fail
    for _ in range(10):
        with pytest.raises(type(error)):
            await trial.give(*often)
    taker.fails = lambda event: None
    await trial.give(*often)
    assert (taker.took[-2:], trial.parked, trial.waiting) == ([2, 3], [], [])
    assert (store.mark or Mark()).begun == {}


async def until_ended(trial: Trial[Any], *messages: Incoming) -> int:
    """As the consumer does: what had no end is given again. How often it was in vain."""
    for times in count():
        assert times < 100
        try:
            await trial.give(*messages)
        except OSError:
            messages = messages[trial.worker.ended :]
        else:
            break
    return times


@pytest.mark.parametrize("careful", [False, True])
@pytest.mark.parametrize("batch", [1, 10])
async def test_an_event_that_breaks_a_store_which_works_is_parked(taker: Taker, batch: int, careful: bool) -> None:
    """Given an event at which the store breaks each time, and works right after, then that counts against the event
    once it has happened more often than there are delays; the others are handled, once."""
    store = Breaking(Mark(epoch=1), OSError("gone"))
    trial = Trial(taker.handlers, rules=replace(FIRST, batch=batch), store=store)

    def fail(event: CloudEvent) -> None:
        store.breaks = max(store.breaks, int(event.position == 2))

    taker.fails = fail
    messages = some(1, 2, 3)
    if careful:
        messages = [replace(each, headers={**each.headers, "x-delivery-count": 3}) for each in messages]
    assert await until_ended(trial, *messages) == len(FIRST.delays)
    assert ((store.mark or Mark()).proven, len(trial.waiting)) == (3, 1)
    for _ in FIRST.delays:
        await trial.give_again()
    assert [(each.reason, each.attempts) for each in trial.parked] == [("failed", 3)]
    assert (store.mark or Mark()).begun == {}


async def test_what_was_committed_though_the_store_broke_is_not_handled_again(taker: Taker) -> None:
    """Given a store that breaks right after it has committed a unit of several, then none of them is handled twice."""

    class Late(MemoryStore):
        @asynccontextmanager
        async def unit(self) -> AsyncIterator[Unit[None]]:
            async with super().unit() as unit:
                yield unit
            if taker.took == [1, 2, 3]:
                taker.took.append(0)
                raise OSError("gone")

    trial = Trial(taker.handlers, rules=replace(FIRST, batch=10), store=Late())
    assert await until_ended(trial, *some(1, 2, 3)) == 1
    assert taker.took == [1, 2, 3, 0]


async def test_what_had_its_end_is_told_when_what_is_behind_it_waits(taker: Taker) -> None:
    """Given messages of which the last needs what is away, behind one that is replayed, one that is no event and one
    that fails, then the worker tells how many had their end, so that none of them need be given again: it would be
    handled, parked or put aside once more."""
    trial = Trial(taker.handlers, rules=FIRST, history=some(1, 2, 3, 4))
    replayed = replace(held(1), headers={REPLAY: "again"})
    messages = [held(1), replayed, Incoming(b"no event", {}), held(2), held(3), held(4)]
    fails: dict[int, Exception] = {2: ValueError("for now"), 4: Unavailable("database")}
    taker.fails = lambda event: fails.get(event.position)
    with pytest.raises(Unavailable):
        await trial.give(*messages)
    assert trial.worker.ended == 5
    fails.clear()
    await trial.give(*messages[5:])
    assert trial.worker.ended == 1
    assert taker.took == [1, 1, 3, 4]
    assert (len(trial.parked), len(trial.waiting)) == (1, 1)
