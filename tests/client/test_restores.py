"""What a restore undid."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from shared.client import (
    Forked,
    Incoming,
    Mark,
    MemoryStore,
    Page,
    Patterns,
)
from shared.client.testing import MemoryHistory, Trial, an_event
from tests.client.messages import held
from tests.client.trials import FIRST, Taker, some


async def test_a_consumer_stops_when_it_has_seen_what_a_restore_undid(taker: Taker) -> None:
    """Given a log that was restored to position 2 and grew again, when its next event reaches a consumer that had come
    to 4, then the consumer stops and says what to do; after that is done as `Forked` tells, it goes on.
    """
    trial = Trial(taker.handlers, history=some(1, 2, 3, 4))
    await trial.give(*some(1, 2, 3, 4))
    trial.history.events = [*some(1, 2), *(held(position, epoch=2) for position in (3, 4, 5))]
    trial.history.epoch = 2
    with pytest.raises(Forked, match="position 4 of epoch 1"):
        await trial.give(held(5, epoch=2))
    assert taker.took == [1, 2, 3, 4]

    mark = await trial.store.load()
    assert mark is not None
    async with trial.store.unit() as unit:
        await unit.save(mark.back_to(2, 2).saved())
    again = Trial(taker.handlers, store=trial.store, history=trial.history)
    await again.give(held(5, epoch=2))
    assert taker.took == [1, 2, 3, 4, 3, 4, 5]


@pytest.mark.parametrize("head", [9, 12])
async def test_a_consumer_stops_when_a_second_restore_went_back_beyond_the_first(taker: Taker, head: int) -> None:
    """Given a consumer that has come to 11 in epoch 2, which began after 9, when the log was restored to 8, before
    that, and went on in an epoch above 2, then no event of it is taken for one that was handled, whether the log has
    reached 11 again or not.
    """
    store = MemoryStore(Mark(epoch=2, proven=11, saves=1))
    again = [held(position, epoch=4) for position in range(9, head + 1)]
    trial = Trial(taker.handlers, store=store, history=MemoryHistory([*some(*range(1, 9)), *again], epoch=4))
    for event in again:
        with pytest.raises(Forked):
            await trial.give(event)
    assert (taker.took, trial.counts.duplicates, store.mark) == ([], 0, Mark(epoch=2, proven=11, saves=1))


async def test_a_restore_that_undid_nothing_that_was_seen_stops_nobody(taker: Taker) -> None:
    """Given a log restored to position 2, when a consumer that had come to 2 hears of it, then it goes on; what is left
    in its queue of the abandoned history is parked, what is of the kept one is handled.
    """
    trial = Trial(taker.handlers, rules=replace(FIRST, wanted=Patterns(("*.#",))), history=some(1, 2, 3))
    await trial.give(*some(1))
    trial.history.events = [*some(1, 2), held(3, epoch=2), held(4, epoch=2)]
    trial.history.epoch = 2
    await trial.give(held(4, epoch=2), held(3), held(2))
    await trial.worker.audit()
    assert taker.took == [1, 4, 2, 3]
    assert [each.reason for each in trial.parked] == ["abandoned"]


async def test_what_is_left_of_an_abandoned_history_beyond_the_logs_end_is_parked(taker: Taker) -> None:
    """Given a log restored to position 2, of which 3 is all that came since, when a consumer whose mark was set to that
    point finds 5 and 6 of the abandoned history before it in its queue, then they are parked, and it goes on.
    """
    history = MemoryHistory([*some(1, 2), held(3, epoch=2)], epoch=2)
    trial = Trial(taker.handlers, rules=FIRST, store=MemoryStore(Mark(epoch=2, proven=2, saves=1)), history=history)
    await trial.give(*some(5, 6), held(3, epoch=2))
    assert taker.took == [3]
    assert [each.reason for each in trial.parked] == ["abandoned", "abandoned"]
    mark = await trial.store.load()
    assert mark is not None
    assert (mark.proven, mark.has(5)) == (3, False)


async def test_what_was_put_aside_before_a_restore_that_undid_it_stops_the_consumer(taker: Taker) -> None:
    """Given a log that was restored to before an event that waits for another attempt, and grew again, when its message
    is gone, then what is at its place now is not taken for it.
    """
    history = MemoryHistory([held(1), held(2, epoch=2), held(3, epoch=2)], epoch=2)
    trial = Trial(taker.handlers, store=MemoryStore(Mark(epoch=1, proven=2, begun={2: 1})), history=history)
    await trial.worker.miss(0)
    with pytest.raises(Forked):
        await trial.worker.recover()
    assert taker.took == []


async def test_what_was_replayed_before_a_restore_that_undid_it_is_parked(taker: Taker) -> None:
    """Given a consumer whose mark was set back to where a log was restored to, when it finds in its queue what was
    replayed to it before that, then it handles what the log still has, and parks what is of the lost time.
    """
    history = MemoryHistory([*some(1, 2), held(3, epoch=2)], epoch=2)
    trial = Trial(taker.handlers, rules=FIRST, store=MemoryStore(Mark(epoch=2, proven=2, saves=1)), history=history)
    first, second, lost = (Incoming(each.body, {**each.headers, "replay": True}) for each in (*some(1, 2), held(5)))
    asked = []
    ask = history.page

    async def page(after: int, **which: Any) -> Page:
        asked.append(after)
        return await ask(after, **which)

    history.page = page  # type: ignore[assignment, method-assign]
    await trial.give(first, second, lost, held(3, epoch=2))
    assert taker.took == [1, 2, 3]
    assert [each.reason for each in trial.parked] == ["abandoned"]
    assert asked == [0, 4], "the first two are of one page"


async def test_a_command_that_was_sent_again_after_a_restore_is_not_what_it_led_to_before(taker: Taker) -> None:
    """Given a lost event and the one that its command led to when it was sent again after the restore, of the same id
    and at the same position, when the consumer finds both in its queue, then it handles the later one.
    """
    id = "5a0c8c0e-0000-4000-8000-000000000003"
    again = an_event("interview.held", {"minutes": 30}, position=3, id=id, epoch=2)
    trial = Trial(taker.handlers, rules=replace(FIRST, wanted=Patterns(("*.#",))), history=some(1, 2))
    await trial.give(*some(1, 2))
    trial.history.events, trial.history.epoch = [*some(1, 2), again, held(4, epoch=2)], 2
    await trial.give(held(4, epoch=2), an_event("interview.held", {"minutes": 25}, position=3, id=id), again)
    await trial.worker.audit()
    assert taker.took == [1, 2, 4, 3]
    assert [each.reason for each in trial.parked] == ["abandoned"]


async def test_what_was_replayed_before_a_restore_is_not_handled_by_who_has_not_heard_of_it(taker: Taker) -> None:
    """Given a consumer that has come to where a log was restored to, and does not know of that, when what was replayed
    of the lost time is the first that it finds, then it is parked."""
    history = MemoryHistory([*some(1, 2), held(3, epoch=2)], epoch=2)
    trial = Trial(taker.handlers, rules=FIRST, store=MemoryStore(Mark(epoch=1, proven=2, saves=1)), history=history)
    lost = held(5)
    await trial.give(Incoming(lost.body, {**lost.headers, "replay": True}), held(3, epoch=2))
    assert taker.took == [3]
    assert [each.reason for each in trial.parked] == ["abandoned"]
