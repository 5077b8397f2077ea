"""The database's clock, as a service may ask it without a round trip."""

from __future__ import annotations

import asyncio
import time
from datetime import datetime, timedelta

import asyncpg
import structlog

from shared.database.pool import UNAVAILABLE

EVERY = 30.0
"""Seconds between measurements. Between them monotonic clocks drift apart by some milliseconds at most."""
DRIFT = 0.0005
"""Seconds by which two monotonic clocks may drift apart in a second; real ones keep to a tenth of that."""

_CLOCK = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
logger = structlog.get_logger(__name__)


def monotonic() -> float:
    """Seconds that never go back. Where the system has such a clock, one that goes on while the machine is suspended:
    with one that stops, commands would be dated by the hour of going to sleep until the next measurement."""
    return time.clock_gettime(_CLOCK)


class DatabaseClock:
    """Time as `log.now()` tells it: measured now and then, carried on by this machine's monotonic clock.

    So a machine whose wall clock is wrong, or jumps, dates nothing wrongly, and all replicas share one time.
    """

    def __init__(self, pool: asyncpg.Pool[asyncpg.Record]) -> None:
        self._pool = pool
        self._told: datetime | None = None
        self._at = self._doubt = 0.0

    def now(self) -> datetime:
        """Raises `LookupError` before the first measurement."""
        if self._told is None:
            raise LookupError("the database's clock has not been read yet")
        return self._told + timedelta(seconds=monotonic() - self._at)

    async def measure(self) -> None:
        """Read the clock; it is taken to have been read in the middle of the round trip.

        What took long, because the database was frozen or far away, may be wrong by half of that: it does not replace
        what is known better.
        """
        before = monotonic()
        told = await self._pool.fetchval("SELECT log.now()")
        at, doubt = (before + monotonic()) / 2, (monotonic() - before) / 2
        if self._told is None or doubt <= self._doubt + DRIFT * (at - self._at):
            self._told, self._at, self._doubt = told, at, doubt

    async def follow(self, stop: asyncio.Event) -> None:
        """Measure again and again until told to stop; while PostgreSQL is away, time goes on without."""
        while not stop.is_set():
            try:
                await self.measure()
            except UNAVAILABLE as error:
                logger.info("the database's clock was not read", error=repr(error))
            try:
                await asyncio.wait_for(stop.wait(), timeout=EVERY)
            except TimeoutError:
                continue
