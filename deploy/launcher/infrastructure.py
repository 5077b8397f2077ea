"""PostgreSQL and RabbitMQ for one run, from wherever this machine can have them."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from deploy.launcher import amqp, sql
from deploy.launcher.docker import docker_services
from deploy.launcher.failure import LaunchFailure
from deploy.launcher.folders import RunFolder, cache_folder
from deploy.launcher.mode import Mode, decide
from deploy.launcher.postgres import LocalPostgres
from deploy.launcher.postgres_binaries import find_postgres
from deploy.launcher.rabbitmq import LocalRabbitMQ
from deploy.launcher.rabbitmq_binaries import find_rabbitmq
from deploy.launcher.report import say
from shared.broker.topology import COMMANDS

PREFERRED_POSTGRES_PORT = 15432
PREFERRED_RABBITMQ_PORT = 15673


@dataclass(frozen=True, slots=True)
class Infrastructure:
    """What runs, and how to reach it."""

    mode: Mode
    database_url: str  # in modes docker and local: the superuser's way into the database "kithlog"
    amqp_url: str
    banner: str  # one line: what is in use, with versions; no passwords
    run: RunFolder  # where the logs of the run are; gone with it
    _local: tuple[LocalPostgres, LocalRabbitMQ] | None = None

    @property
    def postgres(self) -> LocalPostgres:
        """The server itself, to stop, kill and freeze. LaunchFailure unless mode is local."""
        return self._own()[0]

    @property
    def rabbitmq(self) -> LocalRabbitMQ:
        """The node itself, to stop, kill, wipe and freeze. LaunchFailure unless mode is local."""
        return self._own()[1]

    def refuse_used(self) -> None:
        """LaunchFailure where the servers hold anything already: the services would write to it, and take the commands
        that others have sent to it."""
        used = []
        if sql.has_tables(self.database_url):
            used.append(f"the database at {_place(self.database_url)} has tables")
        if amqp.has_queue(self.amqp_url, COMMANDS):
            used.append(f"the virtual host at {_place(self.amqp_url)} has Kithlog's queues")
        if used:
            raise LaunchFailure(
                f"DATABASE_URL and AMQP_URL are set, and {' and '.join(used)}: nothing was done. INFRA=external uses "
                "them nevertheless, INFRA=local or INFRA=docker leaves them alone"
            )

    def _own(self) -> tuple[LocalPostgres, LocalRabbitMQ]:
        if self._local is None:
            raise LaunchFailure(f"servers of mode {self.mode} are not the launcher's to handle; use mode local")
        return self._local

    @staticmethod
    @contextlib.contextmanager
    def start(
        mode: str = "auto",
        workdir: Path | None = None,
        env: Mapping[str, str] | None = None,
        preferred_ports: bool = False,
    ) -> Iterator[Infrastructure]:
        """Brings both up, and down at the end, whatever happens. LaunchFailure when one does not come up.

        ``workdir`` is the folder in which the run's private folder is made; ``env`` is used instead of the
        process's environment (``DATABASE_URL``, ``AMQP_URL``, ``KITHLOG_CACHE``, ``KITHLOG_POSTGRES``,
        ``KITHLOG_RABBITMQ``, ``PATH``); without ``preferred_ports`` every port is one that happens to be
        free.
        """
        env = os.environ if env is None else env
        chosen = decide(mode, env)
        run = RunFolder.create(workdir)
        try:
            started = {"external": _external, "docker": _docker, "local": _local}[chosen]
            with started(env, run, preferred_ports) as infrastructure:
                yield infrastructure
        finally:
            run.remove()


@contextlib.contextmanager
def _local(env: Mapping[str, str], run: RunFolder, preferred_ports: bool) -> Iterator[Infrastructure]:
    cache = cache_folder(env)
    rabbitmq_port = PREFERRED_RABBITMQ_PORT if preferred_ports else None
    postgres_port = PREFERRED_POSTGRES_PORT if preferred_ports else None
    rabbitmq = LocalRabbitMQ(find_rabbitmq(env, cache), run, env, rabbitmq_port)
    postgres = LocalPostgres(find_postgres(env, cache), run, env, postgres_port)
    with contextlib.ExitStack() as ends:
        ends.callback(postgres.stop)
        # Its data goes with the run: an orderly end would take six seconds and save nothing.
        ends.callback(rabbitmq.abandon)
        say("starting PostgreSQL and RabbitMQ (some seconds) …")
        # The slow one first; the other is up long before it.
        rabbitmq.launch()
        postgres.start()
        rabbitmq.wait_ready()
        banner = _banner(
            "local",
            f"PostgreSQL {postgres.version} ({postgres.origin}) on port {postgres.port}",
            f"RabbitMQ {rabbitmq.version} ({rabbitmq.origin}) on port {rabbitmq.port}",
        )
        local = (postgres, rabbitmq)
        yield Infrastructure("local", postgres.database_url, rabbitmq.amqp_url, banner, run, local)


@contextlib.contextmanager
def _external(env: Mapping[str, str], run: RunFolder, preferred_ports: bool) -> Iterator[Infrastructure]:
    del preferred_ports  # the ports are given
    database_url, amqp_url = env.get("DATABASE_URL", ""), env.get("AMQP_URL", "")
    if not (database_url and amqp_url):
        raise LaunchFailure("INFRA=external needs DATABASE_URL and AMQP_URL")
    yield Infrastructure("external", database_url, amqp_url, _reached("external", database_url, amqp_url), run)


@contextlib.contextmanager
def _docker(env: Mapping[str, str], run: RunFolder, preferred_ports: bool) -> Iterator[Infrastructure]:
    with docker_services(env, run, preferred_ports) as (database_url, amqp_url):
        yield Infrastructure("docker", database_url, amqp_url, _reached("docker", database_url, amqp_url), run)


def _reached(mode: Mode, database_url: str, amqp_url: str) -> str:
    """The banner for servers that others started. LaunchFailure when one does not let us in."""
    try:
        postgres = f"PostgreSQL {sql.server_version(database_url)} at {_place(database_url)}"
    except Exception as error:
        raise LaunchFailure(f"PostgreSQL at {_place(database_url)}: {_reason(error)}") from error
    try:
        rabbitmq = f"RabbitMQ {amqp.server_version(amqp_url)} at {_place(amqp_url)}"
    except Exception as error:
        raise LaunchFailure(f"RabbitMQ at {_place(amqp_url)}: {_reason(error)}") from error
    return _banner(mode, postgres, rabbitmq)


def _banner(mode: Mode, postgres: str, rabbitmq: str) -> str:
    return f"INFRA={mode} · {postgres} · {rabbitmq}"


def _place(url: str) -> str:
    """Host, port and path of a URL, without user and password."""
    parts = urlsplit(url)
    return parts.netloc.rpartition("@")[2] + parts.path


def _reason(error: Exception) -> str:
    return str(error) or type(error).__name__
