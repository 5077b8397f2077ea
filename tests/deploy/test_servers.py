"""The private servers: what survives a kill, what a wipe removes, how a given server is taken."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from urllib.parse import urlsplit

import aiormq
import asyncpg
import pytest

from deploy.launcher.failure import LaunchFailure
from deploy.launcher.infrastructure import Infrastructure
from deploy.launcher.sql import fetch_value

QUEUE = "kept"


@pytest.fixture
def vhost_url(infra: Infrastructure) -> Iterator[str]:
    yield infra.rabbitmq.create_vhost("servers")
    infra.rabbitmq.delete_vhost("servers")


@pytest.fixture(autouse=True)
def restored(infra: Infrastructure) -> Iterator[None]:
    """Whatever a test did to the servers, the next one finds them up."""
    yield
    infra.postgres.resume()
    infra.postgres.start()
    infra.rabbitmq.start()


def password_of(url: str) -> str:
    return urlsplit(url).password or ""


def test_what_was_committed_survives_a_kill_of_the_database(infra: Infrastructure, empty_database_url: str) -> None:
    """Given a committed row, when every process of the server is killed and it starts again, then the row is there."""
    fetch_value(empty_database_url, "CREATE TABLE kept AS SELECT 42 AS n")
    infra.postgres.kill()
    with pytest.raises(ConnectionRefusedError):
        fetch_value(empty_database_url, "SELECT 1")
    infra.postgres.start()
    assert fetch_value(empty_database_url, "SELECT n FROM kept") == 42


async def test_a_paused_database_answers_only_when_it_is_resumed(
    infra: Infrastructure, empty_database_url: str
) -> None:
    """Given an open connection, when the server is paused, then a query waits; when it is resumed, it is answered."""
    connection = await asyncpg.connect(empty_database_url)
    infra.postgres.pause()
    query = asyncio.create_task(connection.fetchval("SELECT 1"))
    done, _ = await asyncio.wait([query], timeout=0.3)
    assert not done
    infra.postgres.resume()
    assert await query == 1
    await connection.close()


def test_a_database_can_be_copied_from_a_template(infra: Infrastructure) -> None:
    template = infra.postgres.create_database("original")
    fetch_value(template, "CREATE TABLE copied AS SELECT 7 AS n")
    copy = infra.postgres.create_database("copy", template="original")
    assert fetch_value(copy, "SELECT n FROM copied") == 7
    infra.postgres.drop_database("copy")
    infra.postgres.drop_database("original")


def test_nobody_enters_the_database_without_the_password(infra: Infrastructure) -> None:
    url = infra.database_url.replace(password_of(infra.database_url), "guess")
    with pytest.raises(asyncpg.InvalidPasswordError):
        fetch_value(url, "SELECT 1")


@pytest.mark.parametrize(("name", "value"), [("PGSSLMODE", "require"), ("PGHOST", "elsewhere"), ("PGPASSWORD", "no")])
def test_what_is_exported_for_another_database_does_not_keep_from_this_one(
    infra: Infrastructure, monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    """Given PostgreSQL's own variables in the environment, then the URL says all that they could."""
    monkeypatch.setenv(name, value)
    assert fetch_value(infra.database_url, "SELECT 1") == 1


def test_the_database_is_durable(infra: Infrastructure) -> None:
    """The tests run against the settings that promise durability, not against faster ones."""
    settings = [fetch_value(infra.database_url, f"SHOW {name}") for name in ("fsync", "synchronous_commit")]
    assert settings == ["on", "on"]


async def declare_and_fill(url: str) -> None:
    connection = await aiormq.connect(url)
    channel = await connection.channel()
    await channel.queue_declare(QUEUE, durable=True, arguments={"x-queue-type": "classic"})
    properties = aiormq.spec.Basic.Properties(delivery_mode=2)
    await channel.basic_publish(b"kept", routing_key=QUEUE, properties=properties)
    await connection.close()


async def waiting(url: str) -> int | None:
    """How many messages wait in the queue; None where there is no such queue."""
    connection = await aiormq.connect(url)
    try:
        channel = await connection.channel()
        declared = await channel.queue_declare(QUEUE, passive=True)
        return declared.message_count
    except aiormq.exceptions.ChannelNotFoundEntity:
        return None
    finally:
        await connection.close()


async def test_a_broker_that_was_killed_keeps_its_messages_and_one_that_was_wiped_does_not(
    infra: Infrastructure, vhost_url: str
) -> None:
    """Given a durable queue with a persistent message, when the node is killed and started, then it is there;

    when the node is wiped and started, then it is gone, while user, port and virtual host are as before.
    """
    await declare_and_fill(vhost_url)
    await asyncio.to_thread(infra.rabbitmq.settle)

    infra.rabbitmq.kill()
    await asyncio.to_thread(infra.rabbitmq.start)
    assert await waiting(vhost_url) == 1

    infra.rabbitmq.wipe()
    await asyncio.to_thread(infra.rabbitmq.start)
    assert await waiting(vhost_url) is None


def test_the_broker_knows_no_guest(infra: Infrastructure) -> None:
    """The user with the password that everybody knows does not exist."""
    users = infra.rabbitmq.ctl("list_users", "--silent", "--no-table-headers")
    assert [line.split()[0] for line in users.splitlines()] == ["kithlog"]


def test_given_servers_are_used_and_named_without_their_passwords(infra: Infrastructure) -> None:
    """Given both URLs, then mode external uses them as they are, and the banner names versions, not secrets."""
    env = {"DATABASE_URL": infra.database_url, "AMQP_URL": infra.amqp_url}
    with Infrastructure.start("auto", env=env) as given:
        assert (given.mode, given.database_url, given.amqp_url) == (
            "external",
            infra.database_url,
            infra.amqp_url,
        )
        assert f"PostgreSQL {infra.postgres.version} at 127.0.0.1:{infra.postgres.port}" in given.banner
        assert f"RabbitMQ {infra.rabbitmq.version} at 127.0.0.1:{infra.rabbitmq.port}" in given.banner
        assert password_of(infra.database_url) not in given.banner
        assert password_of(infra.amqp_url) not in given.banner
        with pytest.raises(LaunchFailure, match="not the launcher's to handle"):
            given.postgres.kill()


@pytest.mark.parametrize(("name", "who"), [("DATABASE_URL", "PostgreSQL"), ("AMQP_URL", "RabbitMQ")])
def test_a_given_server_that_does_not_let_us_in_is_a_clear_failure(infra: Infrastructure, name: str, who: str) -> None:
    """Given a wrong password, then the failure names the server and not the password; no other mode is tried."""
    env = {"DATABASE_URL": infra.database_url, "AMQP_URL": infra.amqp_url}
    env[name] = env[name].replace(password_of(env[name]), "guess")
    with pytest.raises(LaunchFailure, match=f"{who} at 127.0.0.1") as failure, Infrastructure.start(env=env):
        pass
    assert "guess" not in str(failure.value)
