"""Which infrastructure is used. Decided once, by what is given and what answers; never changed silently."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Literal, cast, get_args

from deploy.launcher.failure import LaunchFailure

Mode = Literal["external", "docker", "local"]
COMPOSE_FILE = Path(__file__).parents[2] / "docker-compose.yml"
PASSWORDS = ("KITHLOG_POSTGRES_PASSWORD", "KITHLOG_RABBITMQ_PASSWORD")
_PROBE_TIMEOUT = 8.0


def decide(wanted: str, env: Mapping[str, str]) -> Mode:
    """``auto``: external where both URLs are given, else docker where it answers and has Compose, else local.

    Any other value is taken at its word, and whether it works shows when it starts. LaunchFailure for what
    is none of these and for one URL without the other, where a guess could write to the wrong database.
    """
    given = [name for name in ("DATABASE_URL", "AMQP_URL") if env.get(name)]
    if wanted == "auto":
        if len(given) == 1:
            raise LaunchFailure(f"only {given[0]} is given: give both DATABASE_URL and AMQP_URL, or neither")
        if given:
            return "external"
        return "docker" if compose_command(env) else "local"
    if wanted not in get_args(Mode):
        raise LaunchFailure(f"INFRA={wanted}: it is one of auto, {', '.join(get_args(Mode))}")
    return cast(Mode, wanted)


def compose_command(env: Mapping[str, str]) -> list[str] | None:
    """How Compose is called here; None where no engine answers, or no Compose reads our file: version 1 cannot."""
    path = env.get("PATH")
    docker = shutil.which("docker", path=path)
    if docker is None or not _succeeds([docker, "info"], env):
        return None
    if _reads_our_file([docker, "compose"], env):
        return [docker, "compose"]
    compose = shutil.which("docker-compose", path=path)
    return [compose] if compose and _reads_our_file([compose], env) else None


def _reads_our_file(compose: list[str], env: Mapping[str, str]) -> bool:
    # Without what is exported, or written down, for a set-up of one's own: the launcher does not use it either.
    others = {name: value for name, value in env.items() if not name.startswith("KITHLOG_")}
    command = [*compose, "-f", str(COMPOSE_FILE), "--env-file", os.devnull, "config", "--quiet"]
    return _succeeds(command, others | dict.fromkeys(PASSWORDS, "any"))


def _succeeds(command: list[str], env: Mapping[str, str]) -> bool:
    try:
        done = subprocess.run(
            command,
            env=env,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_PROBE_TIMEOUT,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0
