"""Peers to compare with, installed beside the project when they are wanted: they are no dependencies of it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

from deploy.launcher.folders import cache_folder

EVENTSOURCING = "9.5.6"
MESSAGE_DB = "1.3.1"
_PATIENCE = 900
"""Seconds for a peer to be installed, or to do its work."""


class Missing(Exception):
    """A peer can't be had on this machine."""


def eventsourcing_python() -> Path:
    """The interpreter of an environment that has `eventsourcing` with its PostgreSQL driver. Raises `Missing`."""
    folder = cache_folder(os.environ) / "bench-eventsourcing"
    python = folder / "bin" / "python"
    if not (folder / ".ready").exists():
        _run(sys.executable, "-m", "venv", "--clear", folder)
        _run(python, "-m", "pip", "install", "--quiet", f"eventsourcing[postgres]=={EVENTSOURCING}", "psycopg[binary]")
        (folder / ".ready").touch()
    return python


def message_db() -> Path:
    """The folder of message-db's SQL files. Raises `Missing`."""
    folder = cache_folder(os.environ) / "bench-message-db"
    database = folder / "package" / "database"
    if not (folder / ".ready").exists():
        npm = shutil.which("npm")
        if npm is None:
            raise Missing("message-db comes by npm, which is not here")
        folder.mkdir(parents=True, exist_ok=True)
        _run(npm, "pack", "--silent", f"@eventide/message-db@{MESSAGE_DB}", cwd=folder)
        shutil.unpack_archive(folder / f"eventide-message-db-{MESSAGE_DB}.tgz", folder, filter="data")
        (folder / ".ready").touch()
    return database


def run_peer(python: Path, arguments: list[str], env: dict[str, str]) -> float:
    """The figure that the peer's program prints last. Raises `Missing` when it fails."""
    script = Path(__file__).with_name("eventsourcing_peer.py")
    return float(_run(python, script, *arguments, env=os.environ | env).splitlines()[-1])


def _run(*command: str | Path, cwd: Path | None = None, env: dict[str, str] | None = None) -> str:
    try:
        done = subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True, check=False, timeout=_PATIENCE)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Missing(f"{error}") from error
    if done.returncode:
        raise Missing(f"{Path(command[0]).name} failed: {(done.stderr or done.stdout).strip()[-1000:]}")
    return done.stdout
