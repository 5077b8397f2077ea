"""The schema is the sum of its migrations, applied in order, once, whoever starts first."""

from __future__ import annotations

import asyncio
import hashlib
import re
from contextlib import suppress
from dataclasses import dataclass
from importlib.resources import files
from itertools import chain, repeat

import asyncpg
import structlog

from shared.database.pool import ROLE, persist, reach

_LOCK = 0x6B697468  # "kith": the advisory lock that lets one replica migrate while others wait
_WAITING = "2s"
"""For how long a migration waits for a table. All that comes to the table meanwhile waits behind it: appends, too. An
autovacuum at work there is ended for it after PostgreSQL's `deadlock_timeout`, which is one second."""
_PAUSES = (0.5, 1.0, 2.0, 4.0, 8.0)
"""Seconds until it tries again, in which those get through; the last recurs."""
_NAME = re.compile(r"^(\d{4})_(\w+)\.sql$")
MAY_WORK = "CASE WHEN current_setting('server_version_num')::integer < 160000 THEN 'MEMBER' ELSE 'SET' END"
"""The privilege that `SET ROLE` takes."""
logger = structlog.get_logger(__name__)


class RoleMissing(Exception):
    """The services can't work in their role, and this user may not change that."""


class MigrationChanged(Exception):
    """An applied migration's text is not what it was: history of the schema is append-only, too."""


@dataclass(frozen=True, slots=True)
class Migration:
    number: int
    name: str
    sql: str

    @property
    def checksum(self) -> str:
        return hashlib.sha256(self.sql.encode()).hexdigest()


def migrations() -> list[Migration]:
    """All migrations of this release, by number. Raises `ValueError` when numbers are not 1, 2, 3 …"""
    found = []
    for entry in files("shared.database").joinpath("migrations").iterdir():
        if match := _NAME.match(entry.name):
            found.append(Migration(int(match[1]), match[2], entry.read_text(encoding="utf-8")))
    found.sort(key=lambda migration: migration.number)
    if [migration.number for migration in found] != list(range(1, len(found) + 1)):
        raise ValueError(f"migrations must be numbered without holes: {[m.number for m in found]}")
    return found


async def migrate(database_url: str) -> list[int]:
    """Apply what is missing, each migration in a transaction of its own; answers their numbers.

    Safe with several replicas starting at once; begins again when PostgreSQL goes away meanwhile. Raises
    `MigrationChanged` when an applied one was edited, and `RoleMissing`.
    """
    return await persist("postgresql", lambda: _migrate(database_url))


async def _migrate(database_url: str) -> list[int]:
    connection = await reach(database_url)
    try:
        await connection.execute("SELECT pg_advisory_lock($1)", _LOCK)
        await make_role(connection, ROLE)
        return await _apply(connection)
    finally:
        await connection.close(timeout=5)


async def make_role(connection: asyncpg.Connection[asyncpg.Record], role: str) -> None:
    """A role of the cluster that this user may work in: an administrator may have made and granted it beforehand.

    Raises `RoleMissing`.
    """
    try:
        if not await connection.fetchval("SELECT count(*) FROM pg_roles WHERE rolname = $1", role):
            with suppress(asyncpg.DuplicateObjectError, asyncpg.UniqueViolationError):
                await connection.execute(f"CREATE ROLE {role} NOLOGIN")
        # From PostgreSQL 16 on, who makes a role is a member of it, and may not work in it for that.
        if not await connection.fetchval(f"SELECT pg_has_role(current_user, $1, {MAY_WORK})", role):
            await connection.execute(f"GRANT {role} TO CURRENT_USER")
    except asyncpg.InsufficientPrivilegeError as error:
        user = await connection.fetchval("SELECT current_user")
        raise RoleMissing(
            f"{error}: give the user {user} CREATEROLE, or let an administrator run "
            f"CREATE ROLE {role} NOLOGIN; GRANT {role} TO {user}"
        ) from None


async def _apply(connection: asyncpg.Connection[asyncpg.Record]) -> list[int]:
    await connection.execute(
        """CREATE TABLE IF NOT EXISTS public.kithlog_migration (
               number integer PRIMARY KEY, name text NOT NULL, checksum text NOT NULL,
               applied_at timestamptz NOT NULL DEFAULT clock_timestamp())"""
    )
    rows = await connection.fetch("SELECT number, checksum FROM public.kithlog_migration")
    applied = {row["number"]: row["checksum"] for row in rows}
    done = []
    for migration in migrations():
        if migration.number in applied:
            if applied[migration.number] != migration.checksum:
                raise MigrationChanged(
                    f"migration {migration.number:04} ({migration.name}) was applied with another text: "
                    "write a new migration instead of editing it"
                )
            continue
        await _apply_one(connection, migration)
        logger.info("migration applied", number=migration.number, name=migration.name)
        done.append(migration.number)
    return done


async def _apply_one(connection: asyncpg.Connection[asyncpg.Record], migration: Migration) -> None:
    """However long somebody reads what it changes, as an export does: it waits for that, and others do not."""
    for pause in chain(_PAUSES, repeat(_PAUSES[-1])):
        with suppress(asyncpg.LockNotAvailableError):
            async with connection.transaction():
                await connection.execute(f"SET LOCAL lock_timeout = '{_WAITING}'")
                await connection.execute(migration.sql)
                await connection.execute(
                    "INSERT INTO public.kithlog_migration (number, name, checksum) VALUES ($1, $2, $3)",
                    migration.number,
                    migration.name,
                    migration.checksum,
                )
            return
        logger.warning("a migration waits for what others are reading", name=migration.name, pause=pause)
        await asyncio.sleep(pause)
