"""Where time enters. Everything else receives it."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Protocol

DRIFT = 0.0005
"""Seconds by which two monotonic clocks may drift apart in a second; real ones keep to a tenth of that."""
_CLOCK = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


def monotonic() -> float:
    """Seconds that never go back. Where the system has such a clock, one that goes on while the machine is suspended:
    with one that stops, what is carried on by it would be dated by the hour of going to sleep until it is read again.
    """
    return time.clock_gettime(_CLOCK)


class Clock(Protocol):
    def now(self) -> datetime:
        """The present instant, aware, in UTC."""
        ...


class SystemClock:
    def now(self) -> datetime:
        return datetime.now(UTC)


class MeasuredClock:
    """A clock elsewhere: read now and then, and carried on by this process's monotonic clock.

    So a machine whose wall clock is wrong, or jumps, dates nothing wrongly, and all who read that clock share one time.
    """

    def __init__(self, read: Callable[[], Awaitable[datetime]]) -> None:
        self._read = read
        self._told: datetime | None = None
        self._at = self._doubt = 0.0

    def now(self) -> datetime:
        """Raises `LookupError` before the first measurement."""
        if self._told is None:
            raise LookupError("the clock has not been read yet")
        return self._told + timedelta(seconds=monotonic() - self._at)

    async def measure(self) -> None:
        """Read the clock; it is taken to have been read in the middle of the round trip. Raises what reading raises.

        What took long, because whoever has the clock was frozen or is far away, may be wrong by half of that: it does
        not replace what is known better.
        """
        before = monotonic()
        told = await self._read()
        at, doubt = (before + monotonic()) / 2, (monotonic() - before) / 2
        if self._told is None or doubt <= self._doubt + DRIFT * (at - self._at):
            self._told, self._at, self._doubt = told, at, doubt
