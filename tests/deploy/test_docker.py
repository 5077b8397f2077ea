"""What Compose is told. No engine is needed: a program that only writes down its arguments stands in for the client."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.launcher import docker
from deploy.launcher.docker import docker_services
from deploy.launcher.failure import LaunchFailure
from deploy.launcher.folders import RunFolder

# "up" stays in the foreground, as Compose does, until it is told to end.
CLIENT = """#!/bin/sh
echo "$@" >> {calls}
case "$*" in *" up "*) {up} ;; esac
"""


@pytest.fixture
def run(tmp_path: Path) -> Iterator[RunFolder]:
    folder = RunFolder.create(tmp_path)
    yield folder
    folder.remove()


def client(tmp_path: Path, up: str) -> tuple[dict[str, str], Path]:
    calls = tmp_path / "calls"
    (tmp_path / "docker").write_text(CLIENT.format(calls=calls, up=up))
    (tmp_path / "docker").chmod(0o755)
    return {**os.environ, "PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}"}, calls


def test_both_servers_are_started_and_removed_with_passwords_that_nobody_sees(
    tmp_path: Path, run: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given an engine, then one Compose project holds both servers, and is removed with its volumes at the end.

    The passwords are in a file that only this user can read, and on no command line.
    """
    env, calls = client(tmp_path, up="exec sleep 600")
    monkeypatch.setattr(docker, "_answer", lambda *urls: calls.exists() and " up " in calls.read_text())

    with docker_services(env, run, preferred_ports=False) as (database_url, amqp_url):
        file = run.path / "compose.env"
        settings = dict(line.split("=") for line in file.read_text().splitlines())
        assert file.stat().st_mode & 0o077 == 0

    postgres = f"kithlog:{settings['KITHLOG_POSTGRES_PASSWORD']}@127.0.0.1:{settings['KITHLOG_POSTGRES_PORT']}"
    rabbitmq = f"kithlog:{settings['KITHLOG_RABBITMQ_PASSWORD']}@127.0.0.1:{settings['KITHLOG_RABBITMQ_PORT']}"
    assert database_url == f"postgresql://{postgres}/kithlog"
    assert amqp_url == f"amqp://{rabbitmq}/%2F"
    said = calls.read_text()
    project = f"-p {run.path.name} "
    up, down = [line for line in said.splitlines() if project in line]
    assert up.endswith("up --no-color postgres rabbitmq")
    assert down.endswith("down --volumes")
    assert settings["KITHLOG_POSTGRES_PASSWORD"] not in said
    assert settings["KITHLOG_RABBITMQ_PASSWORD"] not in said


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
