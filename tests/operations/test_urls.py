"""Addresses in the settings: what nobody can reach is refused at the start, with no piece of a password."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import asyncpg
import pytest
from fastapi import FastAPI
from typer.testing import CliRunner

from services.cli.main import app
from services.cli.settings import OperatorSettings
from services.cli.terminal import USAGE, meaning
from services.command.app import create_app as create_command_app
from services.projector.app import create_app as create_projector_app
from shared.operations.settings import Settings
from shared.operations.urls import UNREADABLE

DATABASE, AMQP = "KITHLOG_DATABASE_URL", "KITHLOG_AMQP_URL"
CUT_SHORT = [
    (DATABASE, "postgresql://kithlog:sec/ret@h/x"),
    (DATABASE, "postgresql://kithlog:sec#ret@h/x"),
    (DATABASE, "postgresql://kithlog:sec?ret@h/x"),
    (DATABASE, "postgresql://kithlog:sec@ret@h/x"),
    (DATABASE, "postgresql://kithlog:sec[ret@h/x"),
    (DATABASE, "postgresql://kithlog:8421/ret@h/x"),
    (DATABASE, "postgresql://kithlog:8421?ret@h/x"),
    (AMQP, "amqp://kithlog:sec/ret@h/"),
    (AMQP, "amqp://kithlog:sec#ret@h/"),
    (AMQP, "amqp://kithlog:sec\\ret@h/"),
    (AMQP, "amqp://kithlog:sec?ret@h/"),
    (AMQP, "amqp://kithlog:8421/ret@h/"),
    (AMQP, "amqp://kithlog:8421?ret@h/"),
]
"""By a letter of the password, which the rest of it follows; digits alone would do for a port."""
WITHOUT_A_PLACE = [
    (DATABASE, "postgresql://h:99999/x"),
    (DATABASE, "postgresql://h:0/x"),
    (DATABASE, "postgresql://h:5432,other:port/x"),
    (DATABASE, "postgresql://h,/x"),
    (DATABASE, "postgresql://[::1/x"),
    (DATABASE, "postgresql:///x?host=h:port"),
    (DATABASE, "postgresql:///x?host=h&port=99999"),
    (DATABASE, "postgresql:///x?host"),
    (DATABASE, "postgresql:///x?port=5432,"),
    (AMQP, "amqp://h:99999"),
    (AMQP, "amqp://h:port/"),
    (AMQP, "amqp://[::1/"),
    (AMQP, "amqp://"),
    (AMQP, "amqp://kithlog:8421@/"),
]
USABLE = [
    (DATABASE, "postgresql://"),
    (DATABASE, "postgres://kithlog@h/x"),
    (DATABASE, "postgresql://kithlog:%23%2F%3F%40%5B@h:5432/x?sslmode=verify-full"),
    (DATABASE, "postgresql://kithlog:secret@one:1,[::2]:2,three/x?target_session_attrs=any"),
    (DATABASE, "postgresql://%2Fvar%2Frun%2Fpostgresql/x"),
    (DATABASE, "postgresql:///x?host=/var/run/postgresql&port=5432"),
    (DATABASE, "postgresql:///x?host=one,two&port=1,2&user=kithlog@h"),
    (AMQP, "amqp://h"),
    (AMQP, "amqp://kithlog:%23%2F%3F@h:5672/%2F"),
    (AMQP, "amqps://kithlog:sec@ret@[::1]:5671/other?heartbeat=10"),
]


@pytest.mark.parametrize("create_app", [create_command_app, create_projector_app])
@pytest.mark.parametrize(("variable", "url"), [*CUT_SHORT, *WITHOUT_A_PLACE])
def test_a_service_does_not_start_with_an_address_that_can_not_be_read(
    monkeypatch: pytest.MonkeyPatch, create_app: Callable[[], FastAPI], variable: str, url: str
) -> None:
    """Given an address without a host or a port, or one that a password cuts short, then the service ends at once, with
    a line that says how to write it and holds no piece of it."""
    monkeypatch.setenv(variable, url)
    with pytest.raises(SystemExit) as ended:
        create_app()
    assert str(ended.value) == f"kithlog: settings can't be used: {variable}: {UNREADABLE}"


@pytest.mark.parametrize("words", ["log stats", "doctor"])
@pytest.mark.parametrize(("variable", "url"), [*CUT_SHORT, *WITHOUT_A_PLACE])
def test_a_verb_is_not_begun_with_such_an_address(words: str, variable: str, url: str) -> None:
    said = CliRunner().invoke(app, words.split(), env={variable: url})
    assert (said.exit_code, said.stdout) == (2, "")
    assert said.stderr == f"kithlog: settings can't be used: {variable}: {UNREADABLE}\n"


@pytest.mark.parametrize(("variable", "url"), USABLE)
def test_what_the_clients_can_read_is_taken(monkeypatch: pytest.MonkeyPatch, variable: str, url: str) -> None:
    """Given several hosts, folders of socket files, or letters that are written as they have to be, then that is used
    as it is."""
    monkeypatch.setenv(variable, url)
    assert url in (Settings().database_url, Settings().amqp_url)
    assert OperatorSettings().database_url == Settings().database_url


def test_an_unknown_way_of_encrypting_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(DATABASE, "postgresql://kithlog:secret@h/x?sslmode=bogus")
    with pytest.raises(SystemExit, match=f"{DATABASE}: sslmode must be one of disable, allow, prefer, require"):
        create_command_app()


def test_what_only_the_driver_understands_is_told_as_a_setting() -> None:
    """Given an address with something that only asyncpg finds to be wrong, when a verb connects, then the code is 2."""

    async def connect() -> None:
        await asyncpg.connect(
            "postgresql://kithlog:secret@127.0.0.1:1/x?ssl_min_protocol_version=TLSv9&sslmode=require"
        )

    with pytest.raises(asyncpg.ClientConfigurationError) as error:
        asyncio.run(connect())
    ended = meaning(error.value)
    assert ended is not None
    assert (ended.code, f"{DATABASE} can't be used" in str(ended), "secret" in str(ended)) == (USAGE, True, False)
