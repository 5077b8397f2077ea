"""What stands between callers and the executor: closed until there is one, and again when stopping."""

from __future__ import annotations

import asyncio

from services.command.executor import Executor
from shared.operations.problems import starting


class Gate:
    """Answers 503 `starting` in the executor's place while the service waits for PostgreSQL."""

    def __init__(self) -> None:
        self._executor: Executor | None = None
        self._opened, self._closed = asyncio.Event(), asyncio.Event()

    def open(self, executor: Executor) -> None:
        self._executor = executor
        self._opened.set()
        self._closed.clear()

    def close(self) -> None:
        self._executor = None
        self._opened.clear()
        self._closed.set()

    async def opened(self) -> None:
        """Wait until commands are accepted."""
        await self._opened.wait()

    async def closed(self) -> None:
        """Wait until commands are not accepted any more."""
        await self._closed.wait()

    @property
    def is_open(self) -> bool:
        return self._executor is not None

    @property
    def executor(self) -> Executor:
        """Raises `ProblemError`."""
        if self._executor is None:
            raise starting()
        return self._executor
