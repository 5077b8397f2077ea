"""The database's clock, as a service may ask it without a round trip."""

from __future__ import annotations

import asyncio

import asyncpg
import structlog

from shared.clock import MeasuredClock
from shared.database.pool import UNAVAILABLE

EVERY = 30.0
"""Seconds between measurements. Between them monotonic clocks drift apart by some milliseconds at most."""

logger = structlog.get_logger(__name__)


class DatabaseClock(MeasuredClock):
    """Time as `log.now()` tells it."""

    def __init__(self, pool: asyncpg.Pool[asyncpg.Record]) -> None:
        super().__init__(lambda: pool.fetchval("SELECT log.now()"))

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
