"""What fold and firing of one process have to know of each other.

The fold wakes the firing loop when what it has just written concerns that. And it gives way while the log's head is
held: both share one thread, so each answer that firing awaits with the head in hand, and all who append with it, would
else wait for a page to be decoded, folded or encoded.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from datetime import datetime

LONGEST_HOLD = 1.0
"""Seconds for which way is given: firing may have to wait for the head, behind somebody who is slow, or frozen."""


class Alarm:
    """Between the fold and the firing of one process; what another process folds is found by looking now and then."""

    def __init__(self) -> None:
        self._rung = asyncio.Event()
        self._before: datetime | None = None
        self._moved = self._wants_moves = False
        self._let_go = asyncio.Event()
        self._let_go.set()

    def set(self, before: datetime) -> None:
        """Ring from now on for a timer that is due before that."""
        self._rung.clear()
        self._before, self._moved, self._wants_moves = before, False, False

    def want_moves(self) -> None:
        """Ring for any move of the checkpoint since the alarm was set, too."""
        self._wants_moves = True
        if self._moved:
            self._rung.set()

    def moved(self, earliest: datetime | None) -> None:
        """The checkpoint moved; `earliest` is the first due time among the timers that were written with it."""
        self._moved = True
        soon = earliest is not None and (self._before is None or earliest < self._before)
        if soon or self._wants_moves:
            self._rung.set()

    def ring(self) -> None:
        self._rung.set()

    async def wait(self) -> None:
        await self._rung.wait()

    def hold(self) -> None:
        """The log's head is about to be held by this process. Until it lets go, the fold begins no stretch but that in
        which it decodes the rows that it has asked for."""
        self._let_go.clear()

    def let_go(self) -> None:
        self._let_go.set()

    async def until_let_go(self) -> None:
        """Return when this process does not hold the log's head, or has for long."""
        if not self._let_go.is_set():
            with suppress(TimeoutError):
                async with asyncio.timeout(LONGEST_HOLD):
                    await self._let_go.wait()
