"""Long work cut up, so that all else on the event loop goes on: heartbeats, the relay's lead, folding and firing."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from time import monotonic
from typing import TypeVar

Item = TypeVar("Item")

AT_ONCE = 200
"""Items between two turns of others: some milliseconds, where each is decoded."""
A_WHILE = 0.02
"""Seconds after which others have their turn, however few items that took: judging one long message takes as long."""


async def in_turns(items: Iterable[Item]) -> AsyncIterator[Item]:
    """The items, with a turn for all other tasks now and then: firing may hold the log's head while it waits for one.

    What is done for each item belongs into `items`, such as `map(MODEL.decode, bodies)`, or into the loop over this.
    """
    began = monotonic()
    for number, item in enumerate(items, 1):
        yield item
        if number % AT_ONCE == 0 or monotonic() - began >= A_WHILE:
            await asyncio.sleep(0)
            began = monotonic()
