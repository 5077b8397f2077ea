"""Waiting for whichever comes first."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import Any

_AGAIN = 1.0
"""Seconds after which a task that goes on is cancelled again."""


async def first_of(*waits: Awaitable[object], timeout: float | None = None) -> None:
    """Return when the first of `waits` is done, or after `timeout` seconds; the others are given up.

    What they answer or raise is not looked at.
    """
    tasks = [asyncio.ensure_future(each) for each in waits]
    try:
        await asyncio.wait(tasks, timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()


async def end(task: asyncio.Task[Any]) -> None:
    """Cancel a task until it has ended, however. Once may not be enough: a wait of a library's that is over at that
    very moment takes the cancellation for its own (`asyncio.wait_for` before Python 3.12), and the task goes on."""
    while not task.done():
        task.cancel()
        await asyncio.wait([task], timeout=_AGAIN)
    if not task.cancelled():
        task.exception()  # which is of no importance any more, and seen
