"""The database's clock, as a service may ask it without a round trip."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta
from time import monotonic

import asyncpg

EVERY = 30.0
"""Seconds between measurements. Between them monotonic clocks drift apart by some milliseconds at most."""


class DatabaseClock:
    """Time as `log.now()` tells it: measured now and then, carried on by this process's monotonic clock.

    So a machine whose wall clock is wrong, or jumps, dates nothing wrongly, and all replicas share one time.
    """

    def __init__(self, pool: asyncpg.Pool[asyncpg.Record]) -> None:
        self._pool = pool
        self._told: datetime | None = None
        self._at = 0.0

    def now(self) -> datetime:
        """Raises `LookupError` before the first measurement."""
        if self._told is None:
            raise LookupError("the database's clock has not been read yet")
        return self._told + timedelta(seconds=monotonic() - self._at)

    async def measure(self) -> None:
        """Read the clock; it is taken to have been read in the middle of the round trip."""
        before = monotonic()
        self._told = await self._pool.fetchval("SELECT log.now()")
        self._at = (before + monotonic()) / 2

    async def follow(self, stop: asyncio.Event) -> None:
        """Measure again and again until told to stop."""
        while not stop.is_set():
            await self.measure()
            try:
                await asyncio.wait_for(stop.wait(), timeout=EVERY)
            except TimeoutError:
                continue
