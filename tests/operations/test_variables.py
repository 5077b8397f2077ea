"""Variables that nothing reads are named, and no others."""

from __future__ import annotations

import os
import re
import subprocess
import sys

import pytest
from pydantic_settings import BaseSettings

from deploy.delivery.settings import DeliverySettings, Services
from services.cli.settings import OperatorSettings
from services.command.settings import CommandSettings
from services.projector.settings import ProjectorSettings
from shared.operations.settings import PREFIX
from shared.operations.variables import KNOWN, Unread, unread
from tests.cli.terminal import Terminal
from tests.lint.test_tree import ROOT, files

NAME = re.compile(rf"(?<![A-Z0-9_]){PREFIX}[A-Z0-9_]*[A-Z0-9](?![A-Z0-9_])")
SETTINGS: tuple[type[BaseSettings], ...] = (
    CommandSettings, ProjectorSettings, OperatorSettings, Services, DeliverySettings,
)  # fmt: skip
POLICIES, MISSPELT = f"{PREFIX}POLICIES", f"{PREFIX}POLICES"


def test_what_is_known_is_what_the_project_names() -> None:
    """Given a variable of any settings, or one that any file names, then it is known; and nothing else is."""
    named = {name for path in files() for name in NAME.findall(path.read_text(encoding="utf-8", errors="ignore"))}
    read = {f"{kind.model_config['env_prefix']}{name.upper()}" for kind in SETTINGS for name in kind.model_fields}
    assert named | read == KNOWN


def test_known_variables_and_those_of_others_are_passed_over() -> None:
    """Given an environment for all parts at once, with what Kubernetes adds for a Service, then nothing is told."""
    link = f"{PREFIX}COMMAND"
    linked = ("_SERVICE_HOST", "_SERVICE_PORT", "_SERVICE_PORT_HTTP", "_PORT", "_PORT_8000_TCP", "_PORT_8000_TCP_ADDR")
    names = [*KNOWN, POLICIES.lower(), f"_{PREFIX}COMPLETE", "PATH", *(link + part for part in linked)]
    assert unread(dict.fromkeys(names, "x")) == []


@pytest.mark.parametrize(
    ("given", "nearest"),
    [
        ("POLICES", "POLICIES"),
        ("amqpurl", "AMQP_URL"),
        ("DELIVERY_SMPT_HOST", "DELIVERY_SMTP_HOST"),
        ("COMMAND_PORT_8000_TCP", "COMMAND_PORT"),
        ("XYZZY", None),
    ],
)
def test_the_nearest_known_variable_is_named(given: str, nearest: str | None) -> None:
    assert unread({PREFIX + given: "x"}) == [Unread(PREFIX + given, nearest and PREFIX + nearest)]


@pytest.mark.parametrize(
    "program",
    [
        ("-c", "from services.command.app import create_app; create_app()"),
        ("-c", "from services.projector.app import create_app; create_app()"),
        ("-m", "deploy.delivery"),
        ("-m", "services.cli.main", "log", "stats"),
    ],
    ids=["command", "projector", "delivery", "verb"],
)
def test_whoever_starts_names_what_nothing_reads(program: tuple[str, ...]) -> None:
    """Given a misspelt variable, when a service or a verb starts, then a line names it and the one meant, no value."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)}
    nowhere = {f"{PREFIX}DATABASE_URL": "postgresql://a:b@127.0.0.1:1/x"}
    env = {**clean, **nowhere, MISSPELT: "secret"}
    ended = subprocess.run([sys.executable, *program], cwd=ROOT, env=env, capture_output=True, text=True, check=False)
    [told] = [line for line in (ended.stdout + ended.stderr).splitlines() if MISSPELT in line]
    assert POLICIES in told
    assert "secret" not in ended.stdout + ended.stderr


def test_the_doctor_finds_what_nothing_reads() -> None:
    """Given a misspelt variable, when the doctor looks, then that is a finding, and the remedy names the one meant."""
    found = Terminal("postgresql://a:b@127.0.0.1:1/x").json("doctor", **{MISSPELT: "secret"}).objects
    [finding] = [row for row in found if row["where"] == "environment"]
    assert (finding["what"], finding["state"]) == (MISSPELT, "look")
    assert POLICIES in finding["remedy"]
