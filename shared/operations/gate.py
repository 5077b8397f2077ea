"""What stands between callers and what answers them: closed until there is such a thing, and again when stopping."""

from __future__ import annotations

import asyncio
from typing import Generic, TypeVar

from shared.operations.problems import starting

T = TypeVar("T")


class Gate(Generic[T]):
    """Answers 503 `starting` in the place of what is behind it while the service waits for PostgreSQL."""

    def __init__(self) -> None:
        self._behind: T | None = None
        self._opened, self._closed = asyncio.Event(), asyncio.Event()

    def open(self, behind: T) -> None:
        self._behind = behind
        self._opened.set()
        self._closed.clear()

    def close(self) -> None:
        self._behind = None
        self._opened.clear()
        self._closed.set()

    async def opened(self) -> None:
        """Wait until it is open."""
        await self._opened.wait()

    async def closed(self) -> None:
        """Wait until it is closed again."""
        await self._closed.wait()

    @property
    def is_open(self) -> bool:
        return self._behind is not None

    def __call__(self) -> T:
        """What is behind it. Raises `ProblemError` (503 `starting`) while it is closed."""
        if self._behind is None:
            raise starting()
        return self._behind
