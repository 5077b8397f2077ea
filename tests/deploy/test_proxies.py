"""A proxy that the machine needs for the world outside does not come between the tests and what they start."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from deploy.launcher.services import ROOT

PROXIES = {"http_proxy": "http://127.0.0.1:1", "ALL_PROXY": "socks5://127.0.0.1:1", "no_proxy": "somewhere"}
INSIDE = f"""
import os

def test_inside(machine):
    assert [name for name in os.environ if name.lower().endswith("_proxy")] == []
    assert machine.items() >= {PROXIES}.items()
"""


def test_a_proxy_is_for_what_is_fetched_alone(tmp_path: Path) -> None:
    """Given a machine with proxies, then a test's environment has none, and the one for what is fetched has all."""
    (tmp_path / "test_inside.py").write_text(INSIDE)
    pytest = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-p", "tests.conftest", "-c", "pyproject.toml"]
    ran = subprocess.run(
        [*pytest, str(tmp_path)], cwd=ROOT, env=os.environ | PROXIES, capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stdout
