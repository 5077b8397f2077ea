"""What a measurement was made on, in words: so that figures of different machines can be told apart."""

from __future__ import annotations

import os
import platform
from statistics import median
from time import perf_counter

_ADDITIONS = 1_000_000


def machine(banner: str) -> str:
    """`banner` names the servers. A loop of additions in Python tells how fast the processor is at this hour."""
    python = f"{platform.python_implementation()} {platform.python_version()}"
    return f"{os.cpu_count()} cores, {python}, {additions() / 1e6:.1f} million additions/s; {_without_ports(banner)}"


def additions() -> float:
    """A second, in one thread: median of five."""
    return _ADDITIONS / median(_seconds() for _ in range(5))


def _seconds() -> float:
    total, began = 0, perf_counter()
    while total < _ADDITIONS:
        total += 1
    return perf_counter() - began


def _without_ports(banner: str) -> str:
    return " · ".join(part.partition(" on port ")[0] for part in banner.split(" · "))
