"""What `make setup` makes anew, and what it leaves alone. A script that only says so stands in for the making."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from deploy.launcher.services import ROOT


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """One that was set up."""
    (tmp_path / "deploy").mkdir()
    shutil.copy(ROOT / "Makefile", tmp_path)
    (tmp_path / "requirements-dev.lock").touch()
    (tmp_path / "deploy" / "setup.sh").write_text("#!/bin/sh\necho it is made\n")
    (tmp_path / "deploy" / "setup.sh").chmod(0o755)
    (tmp_path / ".venv" / "bin").mkdir(parents=True)
    # Not a link, which would be an interpreter without this one's packages.
    write_python(tmp_path, "")
    (tmp_path / ".venv" / ".ready").touch()
    return tmp_path


def write_python(checkout: Path, options: str) -> None:
    python = checkout / ".venv" / "bin" / "python"
    python.write_text(f'#!/bin/sh\nexec {sys.executable} {options} "$@"\n')
    python.chmod(0o755)


def setup(checkout: Path) -> str:
    make = ["make", "--no-print-directory", "setup"]
    env = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
    return subprocess.run(make, cwd=checkout, env=env, capture_output=True, text=True, check=True).stdout


def test_what_was_set_up_is_left_alone(checkout: Path) -> None:
    assert "it is made" not in setup(checkout)


def test_an_environment_whose_interpreter_is_gone_is_made_anew(checkout: Path) -> None:
    """Given that the machine's Python was replaced by another, then the environment is not taken for ready."""
    python = checkout / ".venv" / "bin" / "python"
    python.unlink()
    python.symlink_to(checkout / "python3.9")
    assert "it is made" in setup(checkout)


def test_an_environment_whose_interpreter_finds_nothing_is_made_anew(checkout: Path) -> None:
    """Given that the interpreter's name leads to a newer one, which looks for packages elsewhere, then so, too."""
    write_python(checkout, "-I -S")
    assert "it is made" in setup(checkout)
