"""`kithlog` as it is called from any folder: by its path, or by a link to it."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from tests.cli.terminal import ROOT

SCRIPT = ROOT / "deploy" / "kithlog"


@pytest.fixture
def elsewhere(tmp_path: Path) -> Path:
    """A folder with code that has names of ours, and of Python's own: another checkout, or what somebody put there."""
    main = tmp_path / "services" / "cli" / "main.py"
    main.parent.mkdir(parents=True)
    for file in (main, main.with_name("__init__.py"), tmp_path / "services" / "__init__.py", tmp_path / "secrets.py"):
        file.write_text("raise SystemExit('this is not to be run')\n")
    return tmp_path


@pytest.mark.parametrize("how", ["by its path", "by a link"])
@pytest.mark.parametrize("words", [("--help",), ("log", "stats")])
def test_nothing_of_the_folder_is_run_in_which_it_is_called(
    elsewhere: Path, tmp_path_factory: pytest.TempPathFactory, how: str, words: tuple[str, ...]
) -> None:
    """Given code in the current folder that has the names of what is imported, then none of it is run."""
    script = SCRIPT
    if how == "by a link":
        script = tmp_path_factory.mktemp("bin") / "kithlog"
        script.symlink_to(SCRIPT)
    env = {**os.environ, "KITHLOG_DATABASE_URL": "postgresql://a:b@127.0.0.1:1/x"}
    said = subprocess.run([script, *words], cwd=elsewhere, env=env, capture_output=True, text=True, check=False)
    assert (said.returncode, "not to be run" in said.stderr) == (0 if words == ("--help",) else 3, False), said
