"""What rings the firing loop, and what does not."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from datetime import UTC, datetime, timedelta

import pytest

from services.projector.live import alarm as alarms
from services.projector.live.alarm import Alarm

BEFORE = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
SOON, LATER = BEFORE - timedelta(seconds=1), BEFORE


@pytest.fixture
def alarm() -> Alarm:
    alarm = Alarm()
    alarm.set(BEFORE)
    return alarm


async def at_once(waiting: Awaitable[None]) -> bool:
    """Whether nobody has to wait for it."""
    try:
        async with asyncio.timeout(0):
            await waiting
    except TimeoutError:
        return False
    return True


async def rings(alarm: Alarm) -> bool:
    return await at_once(alarm.wait())


async def test_it_rings_for_a_timer_that_is_due_before_the_next_look(alarm: Alarm) -> None:
    """Given an alarm, when the checkpoint moves, then it rings for what is due by then, and for nothing later."""
    alarm.moved(None)
    alarm.moved(LATER)
    assert not await rings(alarm)
    alarm.moved(SOON)
    assert await rings(alarm)
    alarm.set(BEFORE)
    assert not await rings(alarm)


async def test_it_rings_for_any_move_where_moves_are_wanted(alarm: Alarm) -> None:
    """Given that any move is wanted, when the checkpoint moves, then it rings; once it is set anew, no more."""
    alarm.want_moves()
    assert not await rings(alarm)
    alarm.moved(None)
    assert await rings(alarm)
    alarm.set(BEFORE)
    alarm.moved(None)
    assert not await rings(alarm)


async def test_it_rings_for_a_move_since_it_was_set(alarm: Alarm) -> None:
    """Given a move since the alarm was set, when moves are wanted, then it rings: that may have been the one; a move
    from before says nothing."""
    alarm.moved(None)
    alarm.want_moves()
    assert await rings(alarm)
    alarm.moved(None)
    alarm.set(BEFORE)
    alarm.want_moves()
    assert not await rings(alarm)


async def test_it_can_be_rung(alarm: Alarm) -> None:
    alarm.ring()
    assert await rings(alarm)


async def given_way(alarm: Alarm) -> bool:
    """Whether the fold does not have to wait."""
    return await at_once(alarm.until_let_go())


async def test_way_is_given_while_the_head_is_held(alarm: Alarm) -> None:
    """Given an alarm, when firing holds the log's head, then the fold waits until it lets go, however often it says."""
    assert await given_way(alarm)
    alarm.hold()
    assert not await given_way(alarm)
    waiting = asyncio.create_task(alarm.until_let_go())
    await asyncio.sleep(0)
    alarm.let_go()
    alarm.let_go()
    await waiting
    assert await given_way(alarm)


async def test_way_is_not_given_for_ever(alarm: Alarm, monkeypatch: pytest.MonkeyPatch) -> None:
    """Given firing that waits for the head for long, then the fold goes on."""
    monkeypatch.setattr(alarms, "LONGEST_HOLD", 0.01)
    alarm.hold()
    await alarm.until_let_go()
