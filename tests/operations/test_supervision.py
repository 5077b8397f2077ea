"""A background loop can't die unnoticed."""

from __future__ import annotations

import asyncio

import pytest

from shared.operations.supervision import Stopped, Supervised, unless_stopped


class Mortal:
    """A loop that dies as often as it is told to, then runs."""

    def __init__(self, deaths: int, *, of: BaseException | None = None) -> None:
        """`of`: what it dies of; None: it returns."""
        self.deaths, self.of, self.starts = deaths, of, 0
        self.runs, self.stopped = asyncio.Event(), False

    async def run(self, stop: asyncio.Event) -> None:
        self.starts += 1
        if self.starts <= self.deaths:
            if self.of is None:
                return
            raise self.of
        self.runs.set()
        await stop.wait()
        self.stopped = True


@pytest.mark.parametrize(
    ("of", "told"), [(None, "returned"), (ValueError("dead"), "ValueError"), (asyncio.CancelledError(), "cancelled")]
)
async def test_a_loop_that_dies_is_restarted_and_told_of(of: BaseException | None, told: str) -> None:
    """Given a loop that raises, returns unasked, or is cancelled by what it waits for, then it is started again, each
    death is heard of, and the check fails until it has run for a while."""
    mortal = Mortal(3, of=of)
    deaths: list[str] = []
    loop = Supervised("mortal", mortal.run, died=deaths.append, pause=0.001, steady_after=60)
    async with loop.running():
        await mortal.runs.wait()
        finding = await loop.check.probe()
        assert finding.state == "failing"
        assert told in finding.detail
    assert (mortal.starts, deaths) == (4, ["mortal"] * 3)
    assert mortal.stopped


async def test_a_loop_that_recovered_is_ready_again() -> None:
    mortal = Mortal(1, of=ValueError("dead"))
    loop = Supervised("mortal", mortal.run, pause=0.001, steady_after=0)
    async with loop.running():
        await mortal.runs.wait()
        assert (await loop.check.probe()).state == "ok"


async def test_while_it_is_down_it_is_not_ready() -> None:
    """Given a loop between death and restart, then it is failing however little it takes to be taken for steady."""
    died = asyncio.Event()
    loop = Supervised(
        "mortal", Mortal(1, of=ValueError("dead")).run, died=lambda _: died.set(), pause=60, steady_after=0
    )
    async with loop.running():
        await died.wait()
        assert (await loop.check.probe()).state == "failing"


async def test_a_loop_that_does_not_stop_is_cut_off() -> None:
    """Given a loop that ignores the wish to stop, then stopping goes on without it."""
    cut_off = False

    async def deaf(stop: asyncio.Event) -> None:
        nonlocal cut_off
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cut_off = True
            raise

    async with Supervised("deaf", deaf, patience=0.01).running():
        await asyncio.sleep(0)
    assert cut_off


async def test_work_ends_when_it_is_not_wanted_any_more() -> None:
    """Given work that waits, when stop comes first, then it is cancelled; else its answer or error comes through."""
    stop = asyncio.Event()

    async def answers() -> int:
        return 7

    async def raises() -> int:
        raise KeyError

    async def waits() -> int:
        stop.set()
        await asyncio.Event().wait()
        return 0

    assert await unless_stopped(stop, answers()) == 7
    with pytest.raises(KeyError):
        await unless_stopped(stop, raises())
    with pytest.raises(Stopped):
        await unless_stopped(stop, waits())
