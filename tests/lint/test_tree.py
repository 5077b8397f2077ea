"""What holds for every file of the project."""

from __future__ import annotations

import re
import subprocess
from functools import cache
from pathlib import Path

from deploy.delivery.settings import DeliverySettings

ROOT = Path(__file__).parents[2]
# A folder that exists on one machine only. Not inside a longer path, and not a URL's path after a host.
ONE_MACHINE = re.compile(r"(?<![\w.~$})-])/(?:root|work|home|Users)/[\w.-]")
SAYS_NOTHING = {"utils", "util", "common", "helpers", "helper", "manager", "base", "misc"}


@cache
def files() -> list[Path]:
    """What is committed, or would be by ``git add --all``."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=ROOT,
        capture_output=True,
        check=True,
        text=True,
    )
    found = [ROOT / name for name in listed.stdout.split("\0") if name]
    return [path for path in found if path.is_file()]


def test_no_file_names_a_folder_of_one_machine() -> None:
    this = Path(__file__)
    found = {
        f"{path.relative_to(ROOT)}: {match[0]}"
        for path in files()
        if path != this
        for match in ONE_MACHINE.finditer(path.read_text(encoding="utf-8", errors="ignore"))
    }
    assert found == set()


def test_every_modules_name_says_what_it_is_for() -> None:
    assert [path for path in files() if path.suffix == ".py" and path.stem in SAYS_NOTHING] == []


def test_every_target_of_make_is_listed_by_make_help() -> None:
    """Given a target in the Makefile, then make help has a line for it, and no file of its name can hide it."""
    makefile = (ROOT / "Makefile").read_text()
    targets = set(re.findall(r"(?m)^([a-z-]+):", makefile))
    phony = set(re.findall(r"(?m)^\.PHONY: (.*)$", makefile)[0].split())
    shown = subprocess.run(["make", "--no-print-directory"], cwd=ROOT, capture_output=True, check=True, text=True)
    listed = set(re.findall(r"(?m)^  make ([a-z-]+) +\S", shown.stdout))
    assert targets == phony == listed


def test_make_clean_leaves_what_services_keep() -> None:
    """Given a delivery service that keeps its ledger where it does by default, then `make clean` does not lose it."""
    told = subprocess.run(["make", "--dry-run", "clean"], cwd=ROOT, capture_output=True, check=True, text=True).stdout
    assert ".venv" in told.split()
    assert DeliverySettings().state.parts[0] not in told.split()
