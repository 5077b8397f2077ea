"""Services share the database's time."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

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
