"""Waiting, and giving up."""

from __future__ import annotations

import asyncio

import pytest

from shared.operations import waits


async def test_a_task_that_misses_a_cancellation_is_ended_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    """Given a task in which a library takes the first cancellation for its own, then it is cancelled again."""
    monkeypatch.setattr(waits, "_AGAIN", 0.01)
    missed = 0

    async def work() -> None:
        nonlocal missed
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            missed += 1
        await asyncio.Event().wait()

    task = asyncio.create_task(work())
    await asyncio.sleep(0)
    await waits.end(task)
    assert (missed, task.cancelled()) == (1, True)


async def test_how_a_task_ends_that_is_given_up_is_not_looked_at() -> None:
    async def fail() -> None:
        raise OSError

    task = asyncio.create_task(fail())
    await asyncio.wait([task])
    await waits.end(task)
