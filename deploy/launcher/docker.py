"""PostgreSQL and RabbitMQ in containers, by the same compose file that people use by hand."""

from __future__ import annotations

import contextlib
import secrets
import signal
import subprocess
from collections.abc import Iterator, Mapping

from deploy.launcher import amqp, sql
from deploy.launcher.child import Child
from deploy.launcher.claims import claim
from deploy.launcher.failure import LaunchFailure
from deploy.launcher.folders import RUN_PREFIX, RunFolder, is_alive
from deploy.launcher.interruption import undisturbed
from deploy.launcher.mode import COMPOSE_FILE, PASSWORDS, compose_command
from deploy.launcher.ports import LOOPBACK, pick
from deploy.launcher.report import say

_UP_TIMEOUT = 600.0  # it may have to fetch two images
_DOWN_TIMEOUT = 90.0
_LIST_TIMEOUT = 20.0
_PREFERRED = {"KITHLOG_POSTGRES_PORT": 15432, "KITHLOG_RABBITMQ_PORT": 15673}
# What Compose marks all with that it makes: the project's name.
_OF_PROJECTS = ["--filter", "label=com.docker.compose.project", "--format", '{{.Label "com.docker.compose.project"}}']


@contextlib.contextmanager
def docker_services(env: Mapping[str, str], run: RunFolder, preferred_ports: bool) -> Iterator[tuple[str, str]]:
    """Both servers in a Compose project of this run; their URLs. All of it is removed at the end."""
    compose = compose_command(env)
    if compose is None:
        raise LaunchFailure(
            "INFRA=docker: no Docker engine answers (docker info), or there is no Compose that reads "
            "docker-compose.yml, as version 2 and later do"
        )
    ports = {name: pick(port if preferred_ports else None) for name, port in _PREFERRED.items()}
    passwords = {name: secrets.token_urlsafe(24) for name in PASSWORDS}
    # Of a run that was killed, nothing comes back with the machine.
    settings = {**ports, **passwords, "KITHLOG_SERVERS_RESTART": "no"}
    # Passwords in a file of the run, not on a command line that everybody on the machine can read.
    env_file = run.path / "compose.env"
    env_file.touch(0o600)
    env_file.write_text("".join(f"{name}={value}\n" for name, value in settings.items()))
    project = run.path.name
    log = run.path / "compose.log"
    # What is exported would win over the file.
    clean = {name: value for name, value in env.items() if not name.startswith("KITHLOG_")}
    # Without TLS, which PGSSLMODE in somebody's environment may ask for.
    database_url = (
        f"postgresql://kithlog:{passwords['KITHLOG_POSTGRES_PASSWORD']}"
        f"@{LOOPBACK}:{ports['KITHLOG_POSTGRES_PORT']}/kithlog?sslmode=disable"
    )
    amqp_url = (
        f"amqp://kithlog:{passwords['KITHLOG_RABBITMQ_PASSWORD']}@{LOOPBACK}:{ports['KITHLOG_RABBITMQ_PORT']}/%2F"
    )

    def command(project: str, *arguments: str) -> list[str]:
        return [*compose, "-p", project, "-f", str(COMPOSE_FILE), "--env-file", str(env_file), *arguments]

    def remove(project: str) -> None:
        down = Child("docker compose down", command(project, "down", "--volumes"), env=clean, log=log)
        try:
            down.succeed(_DOWN_TIMEOUT)
        except LaunchFailure as failure:
            say(f"the containers of project {project} may still be there: {failure}")

    def remove_at_the_end() -> None:
        with undisturbed():
            remove(project)

    say("starting PostgreSQL and RabbitMQ in containers (their images are fetched once) …")
    claim(project)
    with contextlib.ExitStack() as ends:
        ends.callback(remove_at_the_end)  # first: an interruption may come while Compose is being started
        # In the foreground: should the launcher be killed, Compose is told to end, and stops the containers.
        up = Child(
            "docker compose up",
            command(project, "up", "--no-color", "postgres", "rabbitmq"),
            env=clean,
            log=log,
            death_signal=signal.SIGTERM,
        )
        # Not asked to end: Docker's client up to version 24 does not tell Compose, and what is to be stopped is then
        # removed anyway.
        ends.callback(up.kill)
        up.wait_until(lambda: _answer(database_url, amqp_url), _UP_TIMEOUT)
        # Of launchers that were killed before they could. Not before ours answer: on an engine whose ports are not this
        # machine's, a launcher may live whose claim is not seen here.
        for stale in _projects(clean):
            # A launcher of an earlier release claims no name: its folder tells.
            if not is_alive(run.path.parent / stale) and claim(stale):
                remove(stale)
        yield database_url, amqp_url


def _projects(env: Mapping[str, str]) -> list[str]:
    """The projects of runs, alive or not, of which the engine has anything."""
    found: set[str] = set()
    for kind in (["ps", "--all"], ["volume", "ls"], ["network", "ls"]):
        with contextlib.suppress(OSError, subprocess.SubprocessError):  # nothing that this run needs
            listed = subprocess.run(
                ["docker", *kind, *_OF_PROJECTS],
                env=env,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=_LIST_TIMEOUT,
                check=False,
            )
            found.update(name for name in listed.stdout.split() if name.startswith(RUN_PREFIX))
    return sorted(found)


def _answer(database_url: str, amqp_url: str) -> bool:
    # Any failure means "not yet": the engine accepts connections on a container's ports before the server in
    # it does.
    try:
        return bool(sql.server_version(database_url) and amqp.server_version(amqp_url))
    except Exception:
        return False
