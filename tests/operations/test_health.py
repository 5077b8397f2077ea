"""Readiness depends on movement, and no check can hang or break it."""

from __future__ import annotations

import asyncio

import pytest

from shared.operations.health import OK, Check, Finding, Health, Movement


class Watched:
    """A log and a loop that follows it, with a clock that the test moves."""

    def __init__(self) -> None:
        self.head = self.place = 0
        self.now = 0.0
        self.seen: list[tuple[int, int]] = []
        self.movement = Movement(
            self.read, stalled_after=30, observe=lambda *seen: self.seen.append(seen), time=lambda: self.now
        )

    async def read(self) -> tuple[int, int]:
        return self.head, self.place

    async def at(self, now: float, *, head: int, place: int) -> str:
        self.now, self.head, self.place = now, head, place
        return (await self.movement.probe()).state


async def test_being_behind_is_no_fault_while_it_moves() -> None:
    """Given a loop far behind that moves a little between looks, then it is fine, however long it takes."""
    watched = Watched()
    for minute in range(100):
        assert await watched.at(minute * 60, head=1_000_000 + minute, place=minute) == "ok"
    assert watched.seen[-1] == (1_000_099, 99)


async def test_standing_still_while_behind_is() -> None:
    """Given a loop that stands still while the log grows, then it is failing once it did so for long enough, and fine
    again when it moves."""
    watched = Watched()
    assert await watched.at(0, head=10, place=5) == "ok"
    assert await watched.at(29, head=11, place=5) == "ok"
    assert await watched.at(30, head=12, place=5) == "failing"
    assert await watched.at(31, head=12, place=6) == "ok"
    assert await watched.at(60, head=12, place=6) == "ok"
    assert await watched.at(61, head=12, place=6) == "failing"


async def test_rest_is_not_standing_still() -> None:
    """Given a loop at the head for hours, when the log grows, then its time to move begins then."""
    watched = Watched()
    assert await watched.at(0, head=5, place=5) == "ok"
    assert await watched.at(7200, head=5, place=5) == "ok"
    assert await watched.at(7201, head=6, place=5) == "ok"
    assert await watched.at(7230, head=6, place=5) == "ok"
    assert await watched.at(7231, head=6, place=5) == "failing"


async def test_a_place_beyond_the_head_fails_at_once() -> None:
    """Given a database that was restored to an earlier point, then the loop that is ahead of it is failing."""
    assert await Watched().at(0, head=5, place=6) == "failing"


async def test_one_failing_check_makes_it_unready_and_is_named() -> None:
    async def fine() -> Finding:
        return OK

    async def broken() -> Finding:
        raise ConnectionRefusedError("nobody there")

    readiness = await Health([Check("a", fine), Check("b", broken)]).look()
    assert not readiness.ready
    assert readiness.to_dict() == {
        "status": "unready",
        "checks": {
            "a": {"state": "ok", "detail": ""},
            "b": {"state": "failing", "detail": "ConnectionRefusedError: nobody there"},
        },
    }


async def test_a_check_that_hangs_is_not_waited_for() -> None:
    """Given a check that never answers, then readiness does, and says which it was."""

    async def hangs() -> Finding:
        await asyncio.Event().wait()
        return OK

    readiness = await Health([Check("a", hangs)], patience=0.01).look()
    assert readiness.findings["a"].state == "failing"


async def test_nor_for_its_being_cancelled() -> None:
    """Given a check that hangs while it is cancelled, too, as one does that asks a silent server, then readiness
    answers all the same."""
    over = asyncio.Event()

    async def hangs() -> Finding:
        try:
            await asyncio.Event().wait()
        finally:
            await over.wait()
        return OK

    async with asyncio.timeout(30):
        readiness = await Health([Check("a", hangs)], patience=0.01).look()
    over.set()
    assert readiness.findings["a"].detail == "no answer within 0.01 s"


async def test_a_degraded_service_is_ready() -> None:
    async def broken() -> Finding:
        raise OSError

    readiness = await Health([Check("broker", broken, otherwise="degraded")]).look()
    assert readiness.ready
    assert readiness.to_dict()["status"] == "degraded"


async def test_watching_ends_when_told_and_outlives_failures() -> None:
    """Given a database that is away at every other look, then watching goes on until it is told to stop."""
    looks = 0
    stop = asyncio.Event()

    async def read() -> tuple[int, int]:
        nonlocal looks
        looks += 1
        if looks == 6:
            stop.set()
        if looks % 2:
            raise OSError
        return 1, 1

    await Movement(read, stalled_after=30).watch(stop, every=0.001)
    assert looks == 6


@pytest.mark.parametrize("ready", [True, False])
async def test_checks_may_be_replaced(ready: bool) -> None:
    async def first() -> Finding:
        return Finding("failing" if ready else "ok")

    async def second() -> Finding:
        return Finding("ok" if ready else "failing")

    health = Health([Check("a", first)])
    health.add(Check("a", second))
    assert (await health.look()).ready is ready
