"""The launcher's own lines, on standard error: standard output belongs to the demo and the services."""

from __future__ import annotations

import sys
from pathlib import Path


def say(line: str) -> None:
    print(f"kithlog: {line}", file=sys.stderr, flush=True)


def tail(log: Path, lines: int = 25) -> str:
    """The last lines of a log file, indented; says so when there are none."""
    try:
        found = log.read_text(encoding="utf-8", errors="replace").splitlines()[-lines:]
    except FileNotFoundError:
        found = []
    return "\n".join(f"    {line}" for line in found) or "    (it wrote nothing)"
