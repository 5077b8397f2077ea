"""What is put on disk and what is renamed, in which order: what a power cut would leave hangs on that."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Step = tuple[str, int, int]
"""What was done, and to which file, as it was by then: its inode, and its size; folders are taken for empty."""


def watched(monkeypatch: pytest.MonkeyPatch) -> list[Step]:
    """What is done from now on."""
    steps: list[Step] = []

    def watch(name: str, what: str) -> None:
        does: Callable[..., None] = getattr(os, name)

        def noting(file: Any, *more: Any) -> None:
            steps.append((what, *_seen(os.stat(file))))
            does(file, *more)

        monkeypatch.setattr(os, name, noting)

    watch("fsync", "on disk")
    watch("replace", "renamed")
    watch("rename", "renamed")
    return steps


def safely_renamed(path: Path) -> list[Step]:
    """The one order in which that file, complete, has got its name for good."""
    file, folder = _seen(path.stat()), _seen(path.parent.stat())
    return [("on disk", *file), ("renamed", *file), ("on disk", *folder)]


def _seen(found: os.stat_result) -> tuple[int, int]:
    return found.st_ino, found.st_size if stat.S_ISREG(found.st_mode) else 0
