"""The schema comes into being once, whoever starts first and whatever goes wrong on the way."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import TYPE_CHECKING
from urllib.parse import urlsplit, urlunsplit
from uuid import uuid4

import asyncpg
import pytest

from shared.database import migrate as module
from shared.database.migrate import Migration, MigrationChanged, RoleMissing, make_role, migrate, migrations
from shared.database.pool import ROLE, open_pool
from shared.log import Log
from tests.broker.events import an_append
from tests.projector.conftest import PATIENCE, until_blocked

if TYPE_CHECKING:
    Connection = asyncpg.Connection[asyncpg.Record]

ALL = [migration.number for migration in migrations()]
OF_THE_WHOLE = {
    "log.head", "log.relay_cursor", "log.operation", "log.replay", "read.checkpoint", "read.generation",
    "public.kithlog_migration",
}  # fmt: skip
"""Tables that are about the log or the read models as a whole, of which there is one for all tenants."""


@pytest.fixture
async def owner(empty_database_url: str) -> AsyncIterator[Connection]:
    connection = await asyncpg.connect(empty_database_url)
    yield connection
    await connection.close()


async def test_replicas_that_start_at_once_migrate_once(empty_database_url: str, owner: Connection) -> None:
    """Given an empty database and many replicas that are about to migrate it at the same moment, then each migration is
    applied by one of them, in order, and the others find it done."""
    holder = await asyncpg.connect(empty_database_url)
    await holder.execute("SELECT pg_advisory_lock($1)", module._LOCK)
    starting = [asyncio.create_task(migrate(empty_database_url)) for _ in range(6)]
    await until_blocked(owner, 6)
    await holder.close()
    done = await asyncio.gather(*starting)
    assert sorted(done) == [[], [], [], [], [], ALL]
    rows = await owner.fetch("SELECT number FROM public.kithlog_migration ORDER BY applied_at")
    assert [row["number"] for row in rows] == ALL
    assert await migrate(empty_database_url) == []


async def test_who_loses_the_connection_begins_again(empty_database_url: str, owner: Connection) -> None:
    """Given a start that waits for its turn to migrate, when PostgreSQL ends its session, then it is waited for, as one
    that is away: nothing has failed."""
    holder = await asyncpg.connect(empty_database_url)
    await holder.execute("SELECT pg_advisory_lock($1)", module._LOCK)
    starting = asyncio.create_task(migrate(empty_database_url))
    await until_blocked(owner, 1)
    ended = await owner.fetchval(WAITING)
    await owner.execute("SELECT pg_terminate_backend($1)", ended)
    async with asyncio.timeout(PATIENCE):
        while [pid for (pid,) in await owner.fetch(WAITING)] in ([], [ended]):  # noqa: ASYNC110 - no event tells of it
            await asyncio.sleep(0.01)
    await holder.close()
    assert await starting == ALL


WAITING = "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"


async def test_one_that_fails_leaves_nothing_half_done(
    empty_database_url: str, owner: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given a migration that fails in its middle, then those before it stay, nothing of it is there, and mended it is
    applied by the next start."""
    good = Migration(len(ALL) + 1, "next", "CREATE TABLE public.next (); CREATE TABLE public.next_but_one ()")
    bad = replace(good, sql="CREATE TABLE public.next (); SELECT 1 / 0")
    monkeypatch.setattr(module, "migrations", lambda: [*migrations(), bad])
    with pytest.raises(asyncpg.DivisionByZeroError):
        await migrate(empty_database_url)
    assert await owner.fetchval("SELECT max(number) FROM public.kithlog_migration") == len(ALL)
    monkeypatch.setattr(module, "migrations", lambda: [*migrations(), good])
    assert await migrate(empty_database_url) == [good.number]


async def test_what_waits_for_a_reader_holds_up_nobody(
    empty_database_url: str, owner: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given somebody who reads the log for long, as an export does, when a migration is to change a table of it, then
    whoever comes to that table after it gets through, and the migration is applied when the reader is done."""
    await migrate(empty_database_url)
    changing = Migration(len(ALL) + 1, "next", "ALTER TABLE log.event ADD COLUMN next text")
    monkeypatch.setattr(module, "migrations", lambda: [*migrations(), changing])
    monkeypatch.setattr(module, "_WAITING", "100ms")
    monkeypatch.setattr(module, "_PAUSES", (0.05,))
    reader = await asyncpg.connect(empty_database_url)
    async with reader.transaction():
        await reader.execute("SELECT FROM log.event")
        migrating = asyncio.create_task(migrate(empty_database_url))
        for _ in range(3):
            await until_blocked(owner)
            async with asyncio.timeout(PATIENCE):
                await owner.execute("SELECT FROM log.event")
        assert not migrating.done()
    assert await migrating == [changing.number]
    await reader.close()


async def test_an_edited_one_is_refused(empty_database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Given a database that was migrated, when the text of an applied migration is another, then that is said."""
    await migrate(empty_database_url)
    first, *others = migrations()
    monkeypatch.setattr(module, "migrations", lambda: [replace(first, sql=first.sql + "\n"), *others])
    with pytest.raises(MigrationChanged, match="write a new migration"):
        await migrate(empty_database_url)


async def test_the_tenant_is_in_the_key_of_every_row(empty_database_url: str, owner: Connection) -> None:
    """Given the schema, then each table whose rows are somebody's has a key with the tenant in it."""
    await migrate(empty_database_url)
    tables = await owner.fetch(
        """SELECT format('%s.%s', n.nspname, c.relname) AS name, EXISTS (
                      SELECT FROM pg_index i JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = ANY (i.indkey)
                      WHERE i.indrelid = c.oid AND i.indisunique AND a.attname = 'tenant') AS keyed
           FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
           WHERE c.relkind IN ('r', 'p') AND n.nspname IN ('log', 'read', 'public')"""
    )
    assert {table["name"] for table in tables if not table["keyed"]} == OF_THE_WHOLE


@pytest.fixture
async def user(empty_database_url: str, owner: Connection) -> AsyncIterator[str]:
    """A login without rights, in the database that is its own."""
    name = f"user_{uuid4().hex}"
    await owner.execute(f"CREATE ROLE {name} LOGIN PASSWORD 'secret'")
    yield name
    await owner.execute(f"DROP OWNED BY {name}; DROP ROLE {name}")


def as_user(url: str, name: str) -> str:
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=f"{name}:secret@{parts.hostname}:{parts.port}"))


async def test_a_user_who_may_make_roles_may_work_in_the_one_made(
    empty_database_url: str, owner: Connection, user: str
) -> None:
    """Given a user with CREATEROLE alone, which from PostgreSQL 16 on is given no way to use what it makes, then it can
    work in the role all the same, at the first start and at later ones."""
    await owner.execute(f"ALTER ROLE {user} CREATEROLE")
    role = f"{user}_app"
    connection = await asyncpg.connect(as_user(empty_database_url, user))
    try:
        for _ in range(2):
            await make_role(connection, role)
            await connection.execute(f"SET ROLE {role}; RESET ROLE")
    finally:
        await connection.execute(f"DROP ROLE {role}")
        await connection.close()


async def test_a_user_without_rights_works_in_the_role_that_was_granted(
    empty_database_url: str, owner: Connection, user: str
) -> None:
    """Given a user who may make no roles, then it is told what an administrator has to do, and once that is done it
    works."""
    role = f"{user}_app"
    connection = await asyncpg.connect(as_user(empty_database_url, user))
    try:
        with pytest.raises(RoleMissing) as missing:
            await make_role(connection, role)
        commands = str(missing.value).partition("administrator run ")[2]
        assert commands == f"CREATE ROLE {role} NOLOGIN; GRANT {role} TO {user}"
        await owner.execute(commands)
        await make_role(connection, role)
        await connection.execute(f"SET ROLE {role}")
    finally:
        await connection.close()
        await owner.execute(f"DROP ROLE IF EXISTS {role}")


async def test_no_superuser_is_needed(empty_database_url: str, owner: Connection, user: str) -> None:
    """Given a user whom the database belongs to and who was granted the role, and nothing else, then the schema comes
    into being, and commands can be written and read."""
    database = await owner.fetchval("SELECT current_database()")
    await make_role(owner, ROLE)
    await owner.execute(f'ALTER DATABASE "{database}" OWNER TO {user}; GRANT {ROLE} TO {user}')
    url = as_user(empty_database_url, user)
    try:
        assert await migrate(url) == ALL
        pool = await open_pool(url)
        async with Log.open(pool, url) as log:
            assert (await log.append(an_append(1))).position == 1
            assert len(await log.read(0, 10)) == 1
        await pool.close()
    finally:
        await owner.execute(f'ALTER DATABASE "{database}" OWNER TO CURRENT_USER')
