"""What PostgreSQL says, told apart: what passes, what operators have to mend, and what is at fault itself."""

from __future__ import annotations

import socket
from ssl import SSLCertVerificationError
from typing import Any

import asyncpg
import pytest

from shared.database import migrate as migrating
from shared.database.pool import Unfit, connect, is_away, open_pool, unfit


@pytest.mark.parametrize(
    ("error", "lacking"),
    [
        (asyncpg.InvalidPasswordError("password authentication failed"), "user"),
        (asyncpg.InvalidAuthorizationSpecificationError("no pg_hba.conf entry"), "user"),
        (asyncpg.InsufficientPrivilegeError("permission denied for schema log"), "rights"),
        (asyncpg.InvalidCatalogNameError("there is no such database"), "database"),
        (asyncpg.InvalidParameterValueError('role "kithlog_app" does not exist'), "role"),
        (asyncpg.InvalidSchemaNameError('schema "log" does not exist'), "release"),
        (asyncpg.UndefinedFunctionError("function log.append does not exist"), "release"),
        (asyncpg.InvalidParameterValueError("time zone not recognized"), None),
        (asyncpg.CharacterNotInRepertoireError("invalid byte sequence"), None),
        (asyncpg.CheckViolationError("violates check constraint"), None),
        (asyncpg.DataError("expected str, got int"), None),
        (asyncpg.DiskFullError("no space left on device"), None),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else "",
)
def test_only_what_no_argument_can_bring_about_is_of_the_session(error: Exception, lacking: Unfit | None) -> None:
    """Given an error, then it is known what keeps the session from working; what a value may be at fault for is not."""
    assert unfit(error) == lacking
    assert lacking is None or not is_away(error)


@pytest.mark.parametrize(
    ("error", "away"),
    [
        (ConnectionRefusedError(), True),
        (SSLCertVerificationError("certificate has expired"), True),
        (asyncpg.InterfaceError("connection is closed"), True),
        (asyncpg.IdleInTransactionSessionTimeoutError("terminating connection"), True),
        (asyncpg.DataError("expected str, got int"), False),
        (asyncpg.ClientConfigurationError("invalid DSN"), False),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else "",
)
def test_only_what_waiting_mends_is_waited_for(error: Exception, away: bool) -> None:
    """Given errors some of which are ValueErrors, too, then those of arguments and settings are not waited for; that a
    server's certificate has expired is."""
    assert is_away(error) == away


async def test_who_begins_with_a_wrong_password_ends(database_url: str) -> None:
    """Given a server that does not let it in, then opening a pool ends, to be heard, and does not wait for ever."""
    with pytest.raises(asyncpg.InvalidPasswordError):
        await open_pool(database_url.replace("@", "-not@", 1))


@pytest.mark.parametrize("opened_by", ["connect", "pool", "migrate"])
async def test_neither_side_waits_for_a_machine_that_has_vanished(
    database_url: str, monkeypatch: pytest.MonkeyPatch, opened_by: str
) -> None:
    """Given a session, whoever opened it, then server and client both look after half a minute of silence whether the
    other is there, and give it up, and data that nobody takes in, after a minute."""
    on_the_server: list[str] = []
    here: list[int] = []

    async def look(session: Any) -> list[int]:
        for name in ("keepalives_idle", "keepalives_interval", "keepalives_count", "user_timeout"):
            on_the_server.append(await session.fetchval(f"SHOW tcp_{name}"))
        own = session._transport.get_extra_info("socket")
        here.append(own.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE))
        for option in (socket.TCP_KEEPIDLE, socket.TCP_KEEPINTVL, socket.TCP_KEEPCNT, socket.TCP_USER_TIMEOUT):
            here.append(own.getsockopt(socket.IPPROTO_TCP, option))
        return []

    if opened_by == "connect":
        session = await connect(database_url)
        await look(session)
        await session.close()
    elif opened_by == "pool":
        async with await open_pool(database_url) as pool, pool.acquire() as pooled:
            await look(pooled)
    else:
        monkeypatch.setattr(migrating, "_apply", look)
        await migrating.migrate(database_url)
    assert on_the_server == ["30", "10", "3", "60000"]
    assert here == [1, 30, 10, 3, 60_000]
