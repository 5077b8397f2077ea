"""Appending, against other event stores on the same server. Where one can't be had, it says so and leaves it out."""

from __future__ import annotations

import asyncio
from urllib.parse import unquote, urlsplit

import asyncpg

from shared.database.pool import open_pool
from shared.log import Log
from tests.bench import getting
from tests.bench.append import EVENTS, callers
from tests.bench.pgbench import pgbench
from tests.bench.rounds import Goal, Result, Side, compare
from tests.bench.servers import Bench

CALLERS = 256
_FUNCTIONS = (
    "types/message", "functions/message-store-version", "functions/hash-64", "functions/acquire-lock",
    "functions/category", "functions/is-category", "functions/id", "functions/cardinal-id", "functions/stream-version",
    "functions/write-message", "indexes/messages-id", "indexes/messages-category", "indexes/messages-stream",
)  # fmt: skip
_WRITE_MESSAGE = """
SELECT write_message(gen_random_uuid()::text,
                     'category' || floor(random() * {categories}) || '-' || gen_random_uuid(),
                     'Held', '{body}'::jsonb, NULL, -1);
"""
"""It locks the category that it writes to: writers into one wait for each other, those into several hardly do."""


async def run(bench: Bench) -> list[Result]:
    against: list[tuple[str, Side, Goal]] = []
    for find in (_eventsourcing, _message_db):
        try:
            against += await find(bench)
        except getting.Missing as missing:
            print(f"left out: {missing}")
    if not against:
        return []
    url = await bench.database("peers")
    pool = await open_pool(url)
    async with Log.open(pool, url) as log:

        async def ours() -> float:
            return await callers(log, CALLERS, bench.scaled(EVENTS))

        results = await compare(f"append, {CALLERS} callers", ours, against, unit="events/s", rounds=bench.rounds)
    await pool.close()
    return results


async def _eventsourcing(bench: Bench) -> list[tuple[str, Side, Goal]]:
    python = await asyncio.to_thread(getting.eventsourcing_python)
    env = postgres_variables(await bench.database("eventsourcing"))

    def side(kind: str) -> Side:
        return lambda: asyncio.to_thread(getting.run_peer, python, ["append", kind, str(bench.scaled(3000))], env)

    name = "eventsourcing, PostgreSQL recorder, best of 1, 8, 32 threads"
    return [(name, side("default"), Goal(25)), (f"{name}, database functions", side("functions"), Goal(8))]


async def _message_db(bench: Bench) -> list[tuple[str, Side, Goal]]:
    folder = await asyncio.to_thread(getting.message_db)
    url = await bench.database("message_db")
    connection = await asyncpg.connect(url)
    # The server's own gen_random_uuid stands in for the extension that it comes from elsewhere.
    for name in ("schema/message-store", "tables/messages"):
        await connection.execute((folder / f"{name}.sql").read_text())
    database = urlsplit(url).path[1:]
    await connection.execute(f'ALTER DATABASE "{database}" SET search_path = message_store, public')
    await connection.execute("SET search_path = message_store, public")
    for name in _FUNCTIONS:
        # CONCURRENTLY can't be used in a script that is sent as a whole.
        await connection.execute((folder / f"{name}.sql").read_text().replace("CONCURRENTLY", ""))
    await connection.close()

    def into(categories: int) -> Side:
        sql = _WRITE_MESSAGE.replace("{categories}", str(categories))

        async def best() -> float:
            rates = [await pgbench(url, clients=clients, seconds=bench.seconds, sql=sql) for clients in (1, 16)]
            return max(rate for rate, _ in rates)

        return best

    name = "message-db's write_message, best of 1, 16 clients"
    return [(f"{name}, one category", into(1), Goal(10)), (f"{name}, eight categories", into(8), Goal(10))]


def postgres_variables(url: str) -> dict[str, str]:
    """A database's URL as `eventsourcing` wants it."""
    place = urlsplit(url)
    return {
        "POSTGRES_DBNAME": place.path[1:],
        "POSTGRES_HOST": place.hostname or "",
        "POSTGRES_PORT": str(place.port),
        "POSTGRES_USER": unquote(place.username or ""),
        "POSTGRES_PASSWORD": unquote(place.password or ""),
    }
