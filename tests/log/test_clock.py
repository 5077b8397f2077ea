"""Services share the database's time."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import asyncpg
import pytest

from shared.database.clock import DatabaseClock
from shared.database.pool import connect, open_pool


async def test_a_service_tells_the_databases_time(database_url: str) -> None:
    """Given a database whose clock stands a year ahead, then so does the service's, and it goes on from there."""
    owner = await connect(database_url, server_settings={"role": "none"})
    await owner.execute(
        "CREATE OR REPLACE FUNCTION log.now() RETURNS timestamptz LANGUAGE sql "
        "AS $$ SELECT clock_timestamp() + interval '365 days' $$"
    )
    pool = await open_pool(database_url)
    clock = DatabaseClock(pool)
    with pytest.raises(LookupError, match="not been read"):
        clock.now()
    await clock.measure()
    first, second = clock.now(), clock.now()
    assert first <= second
    assert first - datetime.now(UTC) > timedelta(days=364)
    await pool.close()
    await owner.close()


NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)


@dataclass
class Database:
    """Answers what it is told to, and takes its time for it."""

    answer: Callable[[], Awaitable[datetime]]

    async def fetchval(self, query: str) -> datetime:
        return await self.answer()


@dataclass
class Monotonic:
    seconds: float = 0.0

    def __call__(self) -> float:
        return self.seconds


async def test_a_frozen_database_does_not_set_the_clock_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    """Given a clock that was read quickly, when the database freezes for six seconds while it answers the next time,
    then time goes on from the first reading: the second may be three seconds off, enough to refuse as of the future
    what a caller says has just happened. What is read quickly again counts again."""
    monotonic = Monotonic()
    monkeypatch.setattr("shared.clock.monotonic", monotonic)
    takes = 0.002

    async def answer() -> datetime:
        told = NOON + timedelta(seconds=monotonic.seconds + ahead)
        monotonic.seconds += takes
        return told

    ahead = 0.0
    clock = DatabaseClock(Database(answer))  # type: ignore[arg-type]
    await clock.measure()
    monotonic.seconds, takes = 30.0, 6.0
    await clock.measure()
    assert abs(clock.now() - (NOON + timedelta(seconds=36))) < timedelta(milliseconds=2)
    ahead, takes = 0.5, 0.004  # somebody has set the database's clock
    await clock.measure()
    assert abs(clock.now() - (NOON + timedelta(seconds=36.504))) < timedelta(milliseconds=3)


@pytest.mark.skipif(not hasattr(time, "CLOCK_BOOTTIME"), reason="no clock here goes on while the machine sleeps")
async def test_the_clock_goes_on_while_the_machine_sleeps(monkeypatch: pytest.MonkeyPatch) -> None:
    """Given a clock that was read, when the machine is suspended for eight hours, then time has gone on by as much as
    it wakes up: what a clock that stands still meanwhile said would date commands hours early until the next reading.
    """
    ticking = {time.CLOCK_MONOTONIC: 100.0, time.CLOCK_BOOTTIME: 100.0}
    monkeypatch.setattr(time, "clock_gettime", ticking.__getitem__)
    monkeypatch.setattr(time, "monotonic", lambda: ticking[time.CLOCK_MONOTONIC])

    async def answer() -> datetime:
        return NOON

    clock = DatabaseClock(Database(answer))  # type: ignore[arg-type]
    await clock.measure()
    ticking[time.CLOCK_BOOTTIME] += 8 * 3600
    assert clock.now() == NOON + timedelta(hours=8)


async def test_the_clock_goes_on_while_postgresql_is_away() -> None:
    """Given a clock that was read, when PostgreSQL starts anew and says that it can't be asked yet, then the loop that
    follows it lives on: the fault suite saw it die, and the service's readiness with it."""
    stop = asyncio.Event()

    async def answer() -> datetime:
        stop.set()
        raise asyncpg.CannotConnectNowError("the database system is starting up")

    clock = DatabaseClock(Database(answer))  # type: ignore[arg-type]
    await clock.follow(stop)
    with pytest.raises(LookupError):
        clock.now()
