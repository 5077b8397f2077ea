"""Real servers for the tests: one private PostgreSQL and one private RabbitMQ per session, gone with it.

Each test gets a database and a virtual host of its own. Every worker of `make test` is a session, with a pair of
servers that no other knows: what a test does to them, kill or wipe, it does to its own worker alone.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Iterator, Mapping
from itertools import count

import pytest
import structlog
from hypothesis import HealthCheck, settings

from deploy.launcher.infrastructure import Infrastructure
from shared.database.migrate import migrate

_TEMPLATE = "kithlog_template"
_numbers = count(1)

# A law is judged by the same examples wherever and whenever it is tried, however slow the machine is.
settings.register_profile(
    "kithlog", deadline=None, derandomize=True, database=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("kithlog")


def pytest_configure(config: pytest.Config) -> None:
    if os.environ.get("INFRA") not in (None, "", "auto", "local"):
        raise pytest.UsageError(
            "the tests kill, freeze and wipe their servers, so they bring their own: without INFRA= they start them "
            "from RabbitMQ as it is installed, or as apt-get has it"
        )


@pytest.fixture(autouse=True)
def _own_logging() -> Iterator[None]:
    """What a test sets up, as a verb of the operators' tool does here, would log to a stream that is gone."""
    root = logging.getLogger()
    handlers, level, before = root.handlers, root.level, structlog.get_config()
    yield
    root.handlers, root.level = handlers, level
    structlog.configure(**before)


@pytest.fixture(scope="session", autouse=True)
def machine() -> Mapping[str, str]:
    """The environment as it was given, for what has to be fetched; the tests' own has no proxy in it, since none leads
    to what they start."""
    given = dict(os.environ)
    for name in given:
        if name.lower().endswith("_proxy"):
            del os.environ[name]
    return given


@pytest.fixture(scope="session")
def infra(machine: Mapping[str, str]) -> Iterator[Infrastructure]:
    """The servers of this session, to reach, and to kill, freeze and restart for a test that needs it."""
    with Infrastructure.start(mode="local", env=machine) as infrastructure:
        yield infrastructure


@pytest.fixture(scope="session")
def migrated_template(infra: Infrastructure) -> str:
    """The name of a migrated, empty database to copy from; copying is much faster than migrating."""
    url = infra.postgres.create_database(_TEMPLATE)
    asyncio.run(migrate(url))
    return _TEMPLATE


@pytest.fixture
def empty_database_url(infra: Infrastructure) -> Iterator[str]:
    """A database of this test's own in which nothing was migrated."""
    name = f"empty_{next(_numbers)}"
    yield infra.postgres.create_database(name)
    infra.postgres.drop_database(name)


@pytest.fixture
def database_url(infra: Infrastructure, migrated_template: str) -> Iterator[str]:
    """A migrated database of this test's own."""
    name = f"test_{next(_numbers)}"
    yield infra.postgres.create_database(name, template=migrated_template)
    infra.postgres.drop_database(name)


@pytest.fixture(scope="module")
def module_database_url(infra: Infrastructure, migrated_template: str) -> Iterator[str]:
    """A migrated database for all tests of a module, which write nothing: a copy costs more than many a test."""
    name = f"test_{next(_numbers)}"
    yield infra.postgres.create_database(name, template=migrated_template)
    infra.postgres.drop_database(name)


@pytest.fixture
def amqp_url(infra: Infrastructure) -> Iterator[str]:
    """A virtual host of this test's own."""
    name = f"test_{next(_numbers)}"
    yield infra.rabbitmq.create_vhost(name)
    infra.rabbitmq.delete_vhost(name)
