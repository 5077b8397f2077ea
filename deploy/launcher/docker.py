"""PostgreSQL and RabbitMQ in containers, by the same compose file that people use by hand."""

from __future__ import annotations

import contextlib
import secrets
import signal
from collections.abc import Iterator, Mapping
from pathlib import Path

from deploy.launcher import amqp, sql
from deploy.launcher.child import Child
from deploy.launcher.failure import LaunchFailure
from deploy.launcher.folders import RunFolder
from deploy.launcher.mode import compose_command
from deploy.launcher.ports import LOOPBACK, pick
from deploy.launcher.report import say

_COMPOSE_FILE = Path(__file__).parents[2] / "docker-compose.yml"
_UP_TIMEOUT = 600.0  # it may have to fetch two images
_DOWN_TIMEOUT = 90.0
_PREFERRED = {"KITHLOG_POSTGRES_PORT": 15432, "KITHLOG_RABBITMQ_PORT": 15673}


@contextlib.contextmanager
def docker_services(env: Mapping[str, str], run: RunFolder, preferred_ports: bool) -> Iterator[tuple[str, str]]:
    """Both servers in a Compose project of this run; their URLs. All of it is removed at the end."""
    compose = compose_command(env)
    if compose is None:
        raise LaunchFailure("INFRA=docker: no Docker engine answers (docker info), or Compose is missing")
    ports = {name: pick(port if preferred_ports else None) for name, port in _PREFERRED.items()}
    passwords = {name: secrets.token_urlsafe(24) for name in ("KITHLOG_POSTGRES_PASSWORD", "KITHLOG_RABBITMQ_PASSWORD")}
    # Passwords in a file of the run, not on a command line that everybody on the machine can read.
    env_file = run.path / "compose.env"
    env_file.touch(0o600)
    env_file.write_text("".join(f"{name}={value}\n" for name, value in {**ports, **passwords}.items()))
    project = run.path.name
    command = [*compose, "-p", project, "-f", str(_COMPOSE_FILE), "--env-file", str(env_file)]
    log = run.path / "compose.log"
    # What is exported would win over the file.
    clean = {name: value for name, value in env.items() if name not in ports and name not in passwords}
    database_url = (
        f"postgresql://kithlog:{passwords['KITHLOG_POSTGRES_PASSWORD']}"
        f"@{LOOPBACK}:{ports['KITHLOG_POSTGRES_PORT']}/kithlog"
    )
    amqp_url = (
        f"amqp://kithlog:{passwords['KITHLOG_RABBITMQ_PASSWORD']}@{LOOPBACK}:{ports['KITHLOG_RABBITMQ_PORT']}/%2F"
    )
    say("starting PostgreSQL and RabbitMQ in containers (their images are fetched once) …")

    def remove() -> None:
        down = Child("docker compose down", [*command, "down", "--volumes"], env=clean, log=log)
        try:
            down.succeed(_DOWN_TIMEOUT)
        except LaunchFailure as failure:
            say(f"the containers of project {project} may still be there: {failure}")

    with contextlib.ExitStack() as ends:
        ends.callback(remove)  # first: an interruption may come while Compose is being started
        # In the foreground: should the launcher be killed, Compose is told to end, and stops the containers.
        up = Child(
            "docker compose up",
            [*command, "up", "--no-color", "postgres", "rabbitmq"],
            env=clean,
            log=log,
            death_signal=signal.SIGTERM,
        )
        ends.callback(up.stop, signal.SIGTERM, timeout=40.0)
        up.wait_until(lambda: _answer(database_url, amqp_url), _UP_TIMEOUT)
        yield database_url, amqp_url


def _answer(database_url: str, amqp_url: str) -> bool:
    # Any failure means "not yet": the engine accepts connections on a container's ports before the server in
    # it does.
    try:
        return bool(sql.server_version(database_url) and amqp.server_version(amqp_url))
    except Exception:
        return False
