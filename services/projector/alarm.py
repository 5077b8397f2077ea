"""Wakes the firing loop when what the fold has just written concerns it."""

from __future__ import annotations

import asyncio
from datetime import datetime


class Alarm:
    """Between the fold and the firing of one process; what another process folds is found by looking now and then."""

    def __init__(self) -> None:
        self._rung = asyncio.Event()
        self._before: datetime | None = None
        self._moved = self._wants_moves = False

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
