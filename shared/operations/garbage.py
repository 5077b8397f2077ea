"""Garbage collection for a process that keeps much and throws most of what it makes away at once."""

from __future__ import annotations

import gc

YOUNG = 20_000
"""Objects more than were freed that start a collection of the youngest; Python's own 700 come every few commands."""


def spare_collections() -> None:
    """Leave what was loaded so far out of all collections, and collect less often. For a process of its own, at start.

    Modules and their models are hundreds of thousands of objects that live as long as the process; looking through
    them again and again took a fifth of a busy service's time.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG, 10, 10)
