"""Long work of one query, cut up: answers are made on the event loop that also folds and fires."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from typing import TypeVar

Item = TypeVar("Item")

AT_ONCE = 200
"""Items between two turns of others: some milliseconds, where each is decoded."""


async def in_turns(items: Iterable[Item]) -> AsyncIterator[Item]:
    """The items, with a turn for all other tasks now and then: firing may hold the log's head while it waits for one.

    What is done for each item belongs into `items`, such as `map(MODEL.decode, bodies)`, or into the loop over this.
    """
    for number, item in enumerate(items, 1):
        yield item
        if number % AT_ONCE == 0:
            await asyncio.sleep(0)
