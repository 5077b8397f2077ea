"""The locks: every package by its hashes, and nothing about where it was fetched from."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LOCKS = ["requirements.lock", "requirements-dev.lock", "tests/contract/node/requirements.lock"]
NAME = re.compile(r"^([a-z0-9][a-z0-9._-]*)(?:\[[a-z0-9,_-]+\])?==(\S+)(?: ; (.+?))? \\$")


def entries(lock: str) -> list[list[str]]:
    """The lock's lines, grouped by requirement."""
    found: list[list[str]] = []
    for line in (ROOT / lock).read_text().splitlines():
        if line.startswith(" "):
            found[-1].append(line.strip())
        else:
            found.append([line])
    return found


def pinned(lock: str) -> dict[str, str]:
    """Name to version."""
    matches = [NAME.match(entry[0]) for entry in entries(lock)]
    return {match[1]: match[2] for match in matches if match}


@pytest.mark.parametrize("lock", LOCKS)
def test_every_requirement_is_one_version_with_hashes(lock: str) -> None:
    for name, *hashes in entries(lock):
        assert NAME.match(name), name
        assert hashes, name
        assert all(re.fullmatch(r"--hash=sha256:[0-9a-f]{64}( \\)?", line) for line in hashes), name


@pytest.mark.parametrize("lock", LOCKS)
def test_no_lock_names_a_host(lock: str) -> None:
    """A lock holds for every index: no URL, no option that names one, no comment that tells of one."""
    text = (ROOT / lock).read_text()
    assert re.findall(r"://|--index|--find-links|--extra-index|--trusted|#|@", text) == []


def test_both_locks_agree() -> None:
    """What is tested is what is deployed."""
    tested = pinned("requirements-dev.lock")
    assert {name: tested.get(name) for name in pinned("requirements.lock")} == pinned("requirements.lock")


def test_the_locks_hold_what_the_project_asks_for() -> None:
    """Given a dependency in pyproject.toml, then it is in its lock (else: make lock)."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]

    def names(requirements: list[str]) -> set[str]:
        return {re.split(r"[\[<>=!~ ;]", requirement)[0].lower() for requirement in requirements}

    assert names(project["dependencies"]) <= pinned("requirements.lock").keys()
    assert names(project["optional-dependencies"]["dev"]) <= pinned("requirements-dev.lock").keys()
