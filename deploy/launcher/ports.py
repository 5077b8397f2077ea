"""Which TCP ports the launcher gives out: all on loopback."""

from __future__ import annotations

import secrets
import socket

from deploy.launcher.claims import claim
from deploy.launcher.failure import LaunchFailure

LOOPBACK = "127.0.0.1"
# Below the range from which the kernel takes ports for outgoing connections (32768 on): a server that was
# killed finds its port still free when it comes back.
_FIRST, _LAST = 20_000, 32_000


def is_free(port: int) -> bool:
    with socket.socket() as probe:
        # As servers do: a port whose last connections are still in TIME_WAIT is free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
        return True


def answers(port: int) -> bool:
    """Whether something accepts connections on this port."""
    try:
        with socket.create_connection((LOOPBACK, port), timeout=1.0):
            return True
    except OSError:
        return False


def pick(preferred: int | None = None) -> int:
    """The preferred port where it is free, else another free one; no other launcher gets it meanwhile.

    A server is down while it starts, and between being killed and coming back: to try its port would say that it is
    free. So launchers tell each other by a claim.
    """
    if preferred is not None and _take(preferred):
        return preferred
    for _ in range(200):
        port = _FIRST + secrets.randbelow(_LAST - _FIRST)
        if _take(port):
            return port
    raise LaunchFailure(f"no free TCP port was found between {_FIRST} and {_LAST} on {LOOPBACK}")


def _take(port: int) -> bool:
    return is_free(port) and claim(f"kithlog-port-{port}")
