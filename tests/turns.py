"""Whether work leaves others their turns at the event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

Answer = TypeVar("Answer")


@contextmanager
def another_task() -> Iterator[Callable[[], int]]:
    """Tells how often another task has had its turn by now."""
    turns = 0

    async def other() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    task = asyncio.create_task(other())
    try:
        yield lambda: turns
    finally:
        task.cancel()


async def with_turns(work: Awaitable[Answer]) -> tuple[Answer, int]:
    """What comes of the work, and how often another task has had its turn meanwhile."""
    with another_task() as turns:
        return await work, turns()
