"""What time it is by the log, which is what notifications expire by."""

from __future__ import annotations

import logging
from datetime import datetime
from time import monotonic
from typing import Protocol

from shared.client import History, Unavailable
from shared.clock import MeasuredClock

EVERY = 30.0
"""Seconds between readings."""

logger = logging.getLogger(__name__)


class Clock(Protocol):
    async def now(self) -> datetime:
        """The present instant, aware. Raises `Unavailable` while it can't be known."""
        ...


class LogClock:
    """The log's clock, as the history feed tells it: this machine's may be wrong by hours, and so drop what has not
    expired, or hold back what is due.
    """

    def __init__(self, history: History) -> None:
        self._history = history
        self._clock = MeasuredClock(self._read)
        self._read_again_at = monotonic()

    async def now(self) -> datetime:
        """Raises `Unavailable` while the feed is away and has not told it before; later, time goes on without."""
        if monotonic() >= self._read_again_at:
            try:
                await self._clock.measure()
            except Unavailable as error:
                logger.info("the log's clock was not read: %s", error)
            # Where it failed, too: a feed that hangs is not to be waited for by each mail.
            self._read_again_at = monotonic() + EVERY
        try:
            return self._clock.now()
        except LookupError:
            self._read_again_at = monotonic()
            raise Unavailable("the history feed has not told the time yet") from None

    async def _read(self) -> datetime:
        return (await self._history.page(0, 1)).time
