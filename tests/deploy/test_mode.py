"""Which infrastructure is chosen."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from deploy.launcher.failure import LaunchFailure
from deploy.launcher.mode import compose_command, decide

URLS = {"DATABASE_URL": "postgresql://somewhere/kithlog", "AMQP_URL": "amqp://somewhere/"}


def program(folder: Path, name: str, script: str) -> None:
    folder.mkdir(exist_ok=True)
    path = folder / name
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


def test_given_both_urls_auto_uses_them(tmp_path: Path) -> None:
    """Given both URLs and a Docker engine, when auto decides, then the given servers win."""
    program(tmp_path, "docker", "exit 0")
    assert decide("auto", {**URLS, "PATH": str(tmp_path)}) == "external"


def test_given_an_engine_with_compose_auto_uses_docker(tmp_path: Path) -> None:
    program(tmp_path, "docker", "exit 0")
    assert decide("auto", {"PATH": str(tmp_path)}) == "docker"


def test_given_the_old_compose_program_it_is_used(tmp_path: Path) -> None:
    """Given an engine whose client has no Compose, when docker-compose is there, then that is called."""
    program(tmp_path, "docker", '[ "$1" = info ]')
    assert decide("auto", {"PATH": str(tmp_path)}) == "local"
    program(tmp_path, "docker-compose", "exit 0")
    assert compose_command({"PATH": str(tmp_path)}) == [str(tmp_path / "docker-compose")]


def test_given_a_compose_that_cannot_read_our_file_it_is_not_used(tmp_path: Path) -> None:
    """Given an engine and docker-compose 1, which refuses the file, then auto is local."""
    program(tmp_path, "docker", '[ "$1" = info ]')
    program(tmp_path, "docker-compose", '[ "$1" = version ]')
    assert decide("auto", {"PATH": str(tmp_path)}) == "local"


def test_the_compose_of_today_is_used_whatever_is_exported(tmp_path: Path) -> None:
    """Given Compose itself, then it reads the file, without passwords and with a port that is none."""
    program(tmp_path, "docker", '[ "$1" = info ]')
    (tmp_path / "docker-compose").symlink_to(Path(sys.executable).with_name("docker-compose"))
    env = {"PATH": str(tmp_path), "KITHLOG_POSTGRES_PORT": "none"}
    assert compose_command(env) == [str(tmp_path / "docker-compose")]


@pytest.mark.parametrize("docker", [None, "exit 1"], ids=["no client", "no engine answers"])
def test_without_an_engine_auto_is_local(tmp_path: Path, docker: str | None) -> None:
    if docker:
        program(tmp_path, "docker", docker)
    assert decide("auto", {"PATH": str(tmp_path)}) == "local"


@pytest.mark.parametrize("given", ["DATABASE_URL", "AMQP_URL"])
def test_one_url_alone_is_a_failure_that_names_it(given: str) -> None:
    """Given one URL of two, then nothing is guessed."""
    with pytest.raises(LaunchFailure, match=f"only {given} is given"):
        decide("auto", {given: URLS[given], "PATH": ""})


@pytest.mark.parametrize("mode", ["external", "docker", "local"])
def test_a_named_mode_is_taken_at_its_word(mode: str) -> None:
    """Given a mode by name, then it stays that mode even where another would be chosen."""
    assert decide(mode, {**URLS, "PATH": ""}) == mode


def test_an_unknown_mode_is_a_failure_that_lists_the_modes() -> None:
    with pytest.raises(LaunchFailure, match="INFRA=cloud: it is one of auto, external, docker, local"):
        decide("cloud", {})
