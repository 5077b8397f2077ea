"""Names that one process on this machine has, as long as it lives."""

from __future__ import annotations

import socket


def claim(name: str) -> bool:
    """Keeps the name for this process as long as it lives; False when another has it, or this one already.

    It is a name in the kernel that goes with the process, however that ends.
    """
    claimed = socket.socket(socket.AF_UNIX)
    try:
        claimed.bind(f"\0{name}")
    except OSError:
        claimed.close()
        return False
    claimed.detach()  # open from now on
    return True
