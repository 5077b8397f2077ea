"""What PostgreSQL says, told apart: what passes, what operators have to mend, and what is at fault itself."""

from __future__ import annotations

from ssl import SSLCertVerificationError

import asyncpg
import pytest

from shared.database.pool import Unfit, is_away, open_pool, unfit


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
