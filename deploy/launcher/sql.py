"""One SQL statement, from code that is not asynchronous and may be called from code that is."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor

import asyncpg


def fetch_value(database_url: str, statement: str, timeout: float = 30.0) -> object:
    """Runs one statement on a connection of its own; the first column of the first row, None without rows."""

    async def run() -> object:
        connection = await asyncpg.connect(database_url, timeout=timeout)
        try:
            return await connection.fetchval(statement, timeout=timeout)
        finally:
            await connection.close(timeout=timeout)

    # In a thread of its own: the caller's thread may have a running event loop.
    with ThreadPoolExecutor(max_workers=1) as executor:
        return executor.submit(lambda: asyncio.run(run())).result()


def server_version(database_url: str) -> str:
    """Such as ``18.3``."""
    return str(fetch_value(database_url, "SHOW server_version")).split()[0]


def has_tables(database_url: str) -> bool:
    """Whether anybody has made a table in the database."""
    made = """SELECT EXISTS (SELECT FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
              WHERE c.relkind IN ('r', 'p') AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema')"""
    return bool(fetch_value(database_url, made))
