"""PostgreSQL's own timeline, by which it names its WAL.

Each recovery from the archive to a point in time begins one that the archive knows nothing of yet, and so does a
stand-by that takes over; a restart does not.
"""

from __future__ import annotations

from typing import Any

import asyncpg

UNTOLD = (asyncpg.InsufficientPrivilegeError, asyncpg.FeatureNotSupportedError, asyncpg.UndefinedFunctionError)
"""What a server says that does not tell it, such as some that are operated by others."""

_QUERY = """
SELECT CASE WHEN NOT pg_is_in_recovery()
       THEN ('x' || left(pg_walfile_name(pg_current_wal_lsn()), 8))::bit(32)::bigint END
"""
# `pg_control_checkpoint` tells that of the last checkpoint, which may be from before.


async def timeline_of(connection: Any) -> int | None:
    """That of the server that a session is with; None: it is still in recovery. Raises what is in `UNTOLD`."""
    timeline: int | None = await connection.fetchval(_QUERY)
    return timeline
