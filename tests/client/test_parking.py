"""What is parked, replayed, and moved back."""

from __future__ import annotations

from dataclasses import replace

import pytest
from pydantic import BaseModel

from shared.client import (
    CloudEvent,
    Handlers,
    Incoming,
    Mark,
    MemoryStore,
    Park,
    Patterns,
    Rules,
)
from shared.client.mark import MOST_PARKED
from shared.client.message import REPLAY
from shared.client.testing import MemoryHistory, Trial, an_event
from tests.client.messages import held
from tests.client.trials import FIRST, Taker, some


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


async def test_a_handler_may_park(taker: Taker) -> None:
    trial = Trial(taker.handlers)
    taker.fails = lambda event: Park("too_late", "the day is over")
    await trial.give(*some(1))
    assert [(each.reason, each.error) for each in trial.parked] == [("too_late", "the day is over")]


async def test_what_no_pattern_matches_is_not_handled_when_it_is_replayed(taker: Taker) -> None:
    """Given a consumer of one tenant, when all tenants' events are replayed to it, then it handles its own, and none of
    the others is handled, parked or kept in the mark."""
    others = [held(1, tenant="other"), an_event("lead.recorded", {}, position=2, tenant="other")]
    log = [*others, held(3)]
    trial = Trial(taker.handlers, rules=Rules(Patterns(("demo.#",)), "first"), history=log)
    await trial.give(*(replace(each, headers={REPLAY: True}) for each in log))
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


async def test_a_parked_message_that_was_moved_back_after_a_restore_is_handled_once(taker: Taker) -> None:
    """Given two copies of what was parked before a restore that kept it, when they are moved back, then it is handled
    once."""
    history = MemoryHistory([*some(1, 2), held(3, epoch=2)], epoch=2)
    store = MemoryStore(Mark(epoch=2, proven=2, parked={1: "failed"}, saves=1))
    moved = replace(held(1), headers={**held(1).headers, "reason": "failed"})
    await Trial(taker.handlers, rules=FIRST, store=store, history=history).give(moved, moved)
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
