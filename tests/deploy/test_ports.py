"""Ports are given out once, also while nobody listens on them."""

from __future__ import annotations

import subprocess
import sys

from deploy.launcher.ports import is_free, pick
from deploy.launcher.services import ROOT

OTHER = "from deploy.launcher.ports import pick; import signal; print(pick(), flush=True); signal.pause()"


def test_a_port_that_another_launcher_has_is_not_given_out_until_it_ends() -> None:
    """Given a launcher whose server is not up yet, then its port looks free and is not; once it was killed, it is."""
    with subprocess.Popen([sys.executable, "-c", OTHER], cwd=ROOT, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        port = int(other.stdout.readline())
        assert is_free(port)
        assert pick(port) != port
        other.kill()
        other.wait()
        assert pick(port) == port


def test_a_port_is_given_out_once() -> None:
    port = pick()
    assert pick(port) != port
