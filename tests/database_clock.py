"""The log's clock, standing still: the one clock of recorded time and of firing."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

import asyncpg

if TYPE_CHECKING:
    Connection = asyncpg.Connection[asyncpg.Record]


async def set_database_clock(owner: Connection, moment: datetime) -> None:
    await owner.execute(
        f"CREATE OR REPLACE FUNCTION log.now() RETURNS timestamptz LANGUAGE sql"
        f" VOLATILE PARALLEL SAFE RETURN '{moment.isoformat()}'::timestamptz"
    )
