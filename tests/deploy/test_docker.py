"""What Compose is told. No engine is needed: a program that only writes down its arguments stands in for the client."""

from __future__ import annotations

import os
import select
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.launcher import docker
from deploy.launcher.claims import claim
from deploy.launcher.docker import docker_services
from deploy.launcher.failure import LaunchFailure
from deploy.launcher.folders import RunFolder
from deploy.launcher.interruption import interruptible

# "up" stays in the foreground, as Compose does, until it is ended.
CLIENT = """#!/bin/sh
echo "$@" >> {calls}
case "$*" in
*" up "*) {up} ;;
*" down "*) {down} ;;
"ps "*|"volume ls "*|"network ls "*) echo "{projects}" ;;
esac
"""
RUNS_ON = "exec sleep 600"


@pytest.fixture
def run(tmp_path: Path) -> Iterator[RunFolder]:
    folder = RunFolder.create(tmp_path)
    yield folder
    folder.remove()


@pytest.fixture
def answering(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The servers answer once Compose was told to start them."""
    calls = tmp_path / "calls"
    monkeypatch.setattr(docker, "_answer", lambda *urls: calls.exists() and " up " in calls.read_text())


def client(tmp_path: Path, up: str = RUNS_ON, down: str = ":", projects: str = "") -> tuple[dict[str, str], Path]:
    calls = tmp_path / "calls"
    (tmp_path / "docker").write_text(CLIENT.format(calls=calls, up=up, down=down, projects=projects))
    (tmp_path / "docker").chmod(0o755)
    return {**os.environ, "PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}"}, calls


def removed(calls: Path) -> list[str]:
    """The projects that were, in their order."""
    return [line.split()[2] for line in calls.read_text().splitlines() if line.endswith("down --volumes")]


@pytest.mark.usefixtures("answering")
def test_both_servers_are_started_and_removed_with_passwords_that_nobody_sees(tmp_path: Path, run: RunFolder) -> None:
    """Given an engine, then one Compose project holds both servers, and is removed with its volumes at the end.

    The passwords are in a file that only this user can read, and on no command line.
    """
    env, calls = client(tmp_path)

    with docker_services(env, run, preferred_ports=False) as (database_url, amqp_url):
        file = run.path / "compose.env"
        settings = dict(line.split("=") for line in file.read_text().splitlines())
        assert file.stat().st_mode & 0o077 == 0

    postgres = f"kithlog:{settings['KITHLOG_POSTGRES_PASSWORD']}@127.0.0.1:{settings['KITHLOG_POSTGRES_PORT']}"
    rabbitmq = f"kithlog:{settings['KITHLOG_RABBITMQ_PASSWORD']}@127.0.0.1:{settings['KITHLOG_RABBITMQ_PORT']}"
    assert database_url == f"postgresql://{postgres}/kithlog?sslmode=disable"
    assert amqp_url == f"amqp://{rabbitmq}/%2F"
    said = calls.read_text()
    project = f"-p {run.path.name} "
    up, down = [line for line in said.splitlines() if project in line]
    assert up.endswith("up --no-color postgres rabbitmq")
    assert down.endswith("down --volumes")
    assert settings["KITHLOG_POSTGRES_PASSWORD"] not in said
    assert settings["KITHLOG_RABBITMQ_PASSWORD"] not in said


@pytest.mark.usefixtures("answering")
def test_what_is_exported_for_a_set_up_of_ones_own_is_not_the_runs(tmp_path: Path, run: RunFolder) -> None:
    """Given settings of the compose file in the environment, then the run's own count: its servers, above all, do not
    come back with the machine."""
    env, _ = client(tmp_path, up=f"env > {tmp_path}/environment; {RUNS_ON}")
    with docker_services({**env, "KITHLOG_SERVERS_RESTART": "always"}, run, preferred_ports=False):
        assert "KITHLOG_SERVERS_RESTART=no" in (run.path / "compose.env").read_text().splitlines()
    assert "KITHLOG_SERVERS_RESTART" not in (tmp_path / "environment").read_text()


@pytest.mark.usefixtures("answering")
def test_what_a_launcher_that_was_killed_has_left_is_removed(tmp_path: Path, run: RunFolder) -> None:
    """Given projects of a run that is alive, of one whose launcher was killed, and of others, then the second goes."""
    alive, dead = f"{run.path.name}-alive", f"{run.path.name}-dead"
    assert claim(alive)
    env, calls = client(tmp_path, projects=f"{alive}\n{dead}\n\nkithlog\n{run.path.name}")
    with docker_services(env, run, preferred_ports=False):
        assert removed(calls) == [dead]
    assert removed(calls) == [dead, run.path.name]


@pytest.mark.usefixtures("answering")
def test_what_a_launcher_of_an_earlier_release_has_is_left_alone(tmp_path: Path, run: RunFolder) -> None:
    """Given one that has claimed no name, then its containers go only once nobody holds the lock of its folder."""
    other = RunFolder.create(tmp_path)
    env, calls = client(tmp_path, projects=other.path.name)
    with docker_services(env, run, preferred_ports=False):
        assert removed(calls) == []
    os.close(other._lock)  # as when it is killed
    with docker_services(env, run, preferred_ports=False):
        assert removed(calls) == [run.path.name, other.path.name]


@pytest.mark.usefixtures("answering")
def test_a_client_that_does_not_pass_a_signal_on_is_not_waited_for(tmp_path: Path, run: RunFolder) -> None:
    """Given Docker's client as it was up to version 24, which does not tell Compose to end, then both are ended."""
    compose = tmp_path / "compose"
    env, _ = client(tmp_path, up=f"trap '' TERM; sleep 600 & echo $! > {compose}; while :; do wait; done")
    with docker_services(env, run, preferred_ports=False):
        while not (compose.exists() and compose.read_text()):
            time.sleep(0.05)
        end = os.pidfd_open(int(compose.read_text()))
    assert select.select([end], [], [], 0)[0]
    os.close(end)


@pytest.mark.usefixtures("answering")
def test_a_signal_while_containers_are_being_removed_leaves_none(tmp_path: Path, run: RunFolder) -> None:
    """Given a run that has ended by itself, when Ctrl-C comes while Compose removes its containers, then it goes on."""
    end = f"kill -INT {os.getpid()}; sleep 0.5; echo all of it >> {tmp_path}/removed"
    env, _ = client(tmp_path, down=end)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored where tests run in the background
    try:
        with interruptible(), docker_services(env, run, preferred_ports=False):
            pass
        assert (tmp_path / "removed").read_text() == "all of it\n"
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    finally:
        signal.signal(signal.SIGINT, before)


def test_containers_that_do_not_start_are_a_failure_that_shows_why(tmp_path: Path, run: RunFolder) -> None:
    """Given that Compose fails, then its last words are shown, and what it had begun is removed."""
    env, calls = client(tmp_path, up="echo no such image; exit 18")
    with (
        pytest.raises(LaunchFailure, match=r"(?s)docker compose up ended with 18.*no such image"),
        docker_services(env, run, preferred_ports=False),
    ):
        pytest.fail("it was taken for ready")
    assert calls.read_text().splitlines()[-1].endswith("down --volumes")


def test_without_an_engine_mode_docker_is_a_failure_and_no_other_mode(run: RunFolder) -> None:
    with (
        pytest.raises(LaunchFailure, match="INFRA=docker: no Docker engine answers"),
        docker_services({"PATH": ""}, run, preferred_ports=False),
    ):
        pytest.fail("it was taken for ready")
