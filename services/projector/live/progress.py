"""How far this process has folded, for those that wait for it."""

from __future__ import annotations

import asyncio
from typing import Any


class Progress:
    """The committed checkpoint as this process last saw it; the database's may be further where another one folds."""

    def __init__(self) -> None:
        self.position = -1
        self._moved: asyncio.Future[None] | None = None

    def reach(self, position: int) -> None:
        """The checkpoint is committed at `position`; it goes back only with a restored or rebuilt database."""
        self.position = position
        if self._moved is not None:
            if not self._moved.done():
                self._moved.set_result(None)
            self._moved = None

    def forget(self) -> None:
        """What was seen is not to be relied on: a server that crashed may have lost the last moves."""
        self.position = -1

    async def moved(self, timeout: float, other: asyncio.Future[Any]) -> None:
        """Return at the next move, once `other` is done, or after `timeout` seconds."""
        if self._moved is None:
            self._moved = asyncio.get_running_loop().create_future()
        await asyncio.wait([self._moved, other], timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
