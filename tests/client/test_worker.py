"""What becomes of every kind of message, without a broker."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from itertools import count
from typing import Any

import httpx
import pytest
from pydantic import BaseModel

from shared.client import (
    CloudEvent,
    Forked,
    Handlers,
    HttpHistory,
    Incoming,
    Mark,
    MemoryStore,
    Page,
    Park,
    Patterns,
    Rules,
    Unavailable,
    Unit,
)
from shared.client.failures import Stale
from shared.client.mark import MOST_PARKED
from shared.client.patterns import EVERYTHING
from shared.client.testing import MemoryHistory, Trial, an_event
from shared.client.worker import MOST_UNPROVEN, REPLAY

FIRST = Rules(begin="first", delays=(1, 10))


def held(position: int, **attributes: Any) -> Incoming:
    return an_event("interview.held", {"minutes": 25}, position=position, **attributes)


def some(*positions: int) -> list[Incoming]:
    return [held(position) for position in positions]


class Taker:
    """A handler that remembers what it took, and fails as it is told."""

    def __init__(self) -> None:
        self.took: list[int] = []
        self.fails: Callable[[CloudEvent], Exception | None] = lambda event: None
        self.handlers: Handlers[None] = Handlers()
        self.handlers.on("interview.held")(self._take)

    async def _take(self, event: CloudEvent, within: None) -> None:
        if error := self.fails(event):
            raise error
        self.took.append(event.position)


@pytest.fixture
def taker() -> Taker:
    return Taker()


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
    monkeypatch.setattr("shared.client.worker.MOST_ASIDE", 2)
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


async def test_what_was_parked_is_known_without_the_broker_until_it_is_handled(taker: Taker) -> None:
    """Given an event that was parked, then the mark says so, with the reason, also when it is replayed in vain; once a
    replay was handled, no more.
    """
    trial = Trial(taker.handlers, rules=FIRST)
    taker.fails = lambda event: Park("too_late") if event.position == 1 else None
    await trial.give(*some(1, 2))
    again = replace(held(1), headers={REPLAY: "after the fix"})
    for _ in range(2):
        assert ((await trial.store.load()) or Mark()).parked == {1: "too_late"}
        await trial.give(again)
    taker.fails = lambda event: None
    await trial.give(again)
    assert (((await trial.store.load()) or Mark()).parked, taker.took) == ({}, [2, 1])


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


class Minutes(BaseModel):
    minutes: int


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        (Incoming(b"{not json"), "not_json"),
        (Incoming(b"\xff\xfe"), "not_json"),
        (Incoming(b"[]"), "not_a_cloudevent"),
        (Incoming(b'{"specversion":"1.0","type":"kithlog.interview.held.v1"}'), "not_a_cloudevent"),
        (an_event("interview.held", {}, position=2, time="yesterday"), "not_a_cloudevent"),
        (replace(held(2), body=held(2).body.replace(b"kithlog.interview", b"com.example")), "not_a_cloudevent"),
        (replace(held(2), headers={"position": 7}), "not_a_cloudevent"),
        (an_event("interview.invented", {}, position=2), "unknown_type"),
        (an_event("interview.held", {}, position=2, version=2), "newer_version"),
        (an_event("interview.held", {"minutes": "long"}, position=2), "unexpected_data"),
    ],
    ids=[
        "no JSON",
        "no UTF-8",
        "no object",
        "no id",
        "no time",
        "foreign",
        "two positions",
        "unknown",
        "newer",
        "data",
    ],
)
async def test_what_cannot_be_handled_is_parked_at_once(message: Incoming, reason: str) -> None:
    """Given a message that no repetition mends, then it is parked with the reason, and the next one is handled."""
    handlers, took = Handlers[None](), list[int]()

    @handlers.on("interview.held")
    async def take(event: CloudEvent, within: None) -> None:
        took.append(event.read(Minutes).minutes)

    trial = Trial(handlers, history=some(1, 2, 3))
    await trial.give(held(1), message, held(3))
    assert [(each.reason, each.message) for each in trial.parked] == [(reason, message)]
    # What came in a broken message is in the history; what is an event that can't be handled is not asked for again.
    assert took == ([25, 25, 25] if reason.startswith("not_") else [25, 25])


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


async def test_a_handler_may_park(taker: Taker) -> None:
    trial = Trial(taker.handlers)
    taker.fails = lambda event: Park("too_late", "the day is over")
    await trial.give(*some(1))
    assert [(each.reason, each.error) for each in trial.parked] == [("too_late", "the day is over")]


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


class Killed(BaseException):
    """The process ends."""


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


async def test_what_no_pattern_matches_is_not_handled_when_it_is_replayed(taker: Taker) -> None:
    """Given a consumer of one tenant, when all tenants' events are replayed to it, then it handles its own, and none of
    the others is handled, parked or kept in the mark."""
    trial = Trial(taker.handlers, rules=Rules(Patterns(("demo.#",)), "first"))
    others = [held(1, tenant="other"), an_event("lead.recorded", {}, position=2, tenant="other")]
    await trial.give(*(replace(each, headers={REPLAY: True}) for each in (*others, held(3))))
    assert (taker.took, trial.parked, trial.waiting) == ([3], [], [])
    assert (trial.counts.handled, trial.counts.unwanted) == (1, 2)
    assert ((await trial.store.load()) or Mark()).top == 0


async def test_a_replayed_message_is_handled_and_moves_no_mark(taker: Taker) -> None:
    trial = Trial(taker.handlers)
    await trial.give(*some(1, 2))
    before = (await trial.store.load()) or Mark()
    await trial.give(replace(held(1), headers={REPLAY: "again"}))
    after = (await trial.store.load()) or Mark()
    assert taker.took == [1, 2, 1]
    assert (after.proven, after.begun) == (before.proven, {})


async def test_a_parked_message_that_was_moved_back_is_handled(taker: Taker) -> None:
    """Given what was parked, when it is moved back to the queue with the headers that it has there, then it is handled,
    though it fails once more; what is of an abandoned history did not happen, and is parked again.
    """
    history = MemoryHistory([*some(1, 2), held(3, epoch=2)], epoch=2)
    store = MemoryStore(Mark(epoch=2, proven=2, parked={1: "failed"}, saves=1))
    trial = Trial(taker.handlers, rules=FIRST, store=store, history=history)
    failures: list[Exception] = [LookupError()]
    taker.fails = lambda event: failures.pop() if failures else None
    for message, reason in ((held(1), "failed"), (held(3), "abandoned")):
        await trial.give(replace(message, headers={**message.headers, "reason": reason, "attempts": 1}))
    assert (taker.took, [each.reason for each in trial.parked]) == ([], ["abandoned"])
    await trial.give_again()
    assert (taker.took, (store.mark or Mark()).parked) == ([1], {})


async def test_a_parked_message_that_was_moved_back_is_handled_once(taker: Taker) -> None:
    """Given two copies of what was parked, when they are moved back, and both are delivered once more for their
    acknowledgements were lost, then it is handled once.
    """
    store = MemoryStore(Mark(epoch=1, proven=2, parked={1: "failed"}, saves=1))
    moved = replace(held(1), headers={**held(1).headers, "reason": "failed"})
    for trial in (Trial(taker.handlers, store=store), Trial(taker.handlers, store=store)):
        await trial.give(moved, moved)
    assert taker.took == [1]


async def test_what_was_parked_and_then_undone_by_a_restore_is_not_handled(taker: Taker) -> None:
    """Given what was parked beyond the position to which the log was restored then, when it is moved back, then it is
    parked as of an abandoned history.
    """
    history = MemoryHistory([*some(1, 2), held(3, epoch=2)], epoch=2)
    store = MemoryStore(Mark(epoch=1, proven=5, parked={5: "failed"}, saves=1).back_to(2, 2).saved())
    trial = Trial(taker.handlers, rules=FIRST, store=store, history=history)
    await trial.give(replace(held(5), headers={**held(5).headers, "reason": "failed"}))
    assert (taker.took, [each.reason for each in trial.parked]) == ([], ["abandoned"])


def test_a_mark_takes_what_is_below_the_parked_that_it_keeps_to_be_parked() -> None:
    full = Mark(proven=9_000, parked=dict.fromkeys(range(5_000, 5_000 + MOST_PARKED), "failed"))
    assert [full.gave_up(position) for position in (4_999, 5_000, 8_000)] == [True, True, False]
    assert not Mark(proven=9, parked={5: "failed"}).gave_up(4)


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


async def test_who_begins_now_is_not_told_the_past(taker: Taker) -> None:
    trial = Trial(taker.handlers, rules=Rules(begin="now"), history=some(1, 2))
    await trial.worker.load()
    trial.history.events += some(3)
    await trial.give(*some(2, 3))
    assert taker.took == [3]


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


async def test_a_feed_that_is_none_is_waited_for() -> None:
    """Given something in the feed's place that answers to everything, then the history is away."""
    transport = httpx.MockTransport(lambda request: httpx.Response(200, text="<html>Please log in</html>"))
    async with HttpHistory("http://queries", transport=transport) as history:
        with pytest.raises(Unavailable, match="kithlog-position"):
            await history.page(0)


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (httpx.Response(409, json={"code": "forked", "position": 2}), Forked),
        (httpx.Response(409, json={"code": "conflict"}), Unavailable),
        (httpx.Response(409, text="Conflict"), Unavailable),
        (httpx.Response(409, json=["forked"]), Unavailable),
    ],
    ids=lambda each: getattr(each, "text", None),
)
async def test_only_the_feed_itself_says_that_the_log_was_restored(
    answer: httpx.Response, error: type[Exception]
) -> None:
    """Given a refusal that is a proxy's, then the history is away, and nothing is taken for lost."""
    async with HttpHistory("http://queries", transport=httpx.MockTransport(lambda request: answer)) as history:
        with pytest.raises(error):
            await history.page(7)


async def test_a_feed_that_does_not_know_a_type_is_asked_for_all() -> None:
    """Given a projector of a release that has no such type, then what it has of the others is read all the same."""
    told = {"kithlog-position": "7", "kithlog-head": "7", "kithlog-epoch": "1", "kithlog-time": "2026-03-02T12:00:00Z"}

    def answer(request: httpx.Request) -> httpx.Response:
        known = "interview.praised" not in request.url.params.get("types", "")
        return httpx.Response(200, headers=told) if known else httpx.Response(422, json={"code": "invalid_input"})

    async with HttpHistory("http://queries", transport=httpx.MockTransport(answer)) as history:
        wanted = Patterns(("demo.interview.held", "demo.interview.praised"))
        assert (await history.page(0, wanted=wanted)).position == 7


def test_patterns_ask_the_history_for_no_less_than_they_match() -> None:
    patterns = Patterns(("demo.notification.due", "demo.interview.*"))
    assert (patterns.tenant, patterns.types) == ("demo", ("interview.*", "notification.due"))
    assert [patterns.match(key) for key in ("demo.interview.held", "demo.lead.recorded", "acme.interview.held")] == [
        True,
        False,
        False,
    ]
    assert (Patterns(("demo.#",)).tenant, Patterns(("demo.#",)).types) == ("demo", None)
    assert (Patterns(("#.held", "demo.*.held")).tenant, Patterns(("*.*.held",)).types) == (None, None)
    with pytest.raises(ValueError, match="not patterns"):
        Patterns(("demo..held",))
