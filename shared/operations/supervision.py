"""Background loops that can't die unnoticed: restarted, logged, counted, and seen by the readiness check."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from time import monotonic
from typing import Any, TypeVar

import structlog

from shared.operations.health import OK, Check, Finding
from shared.operations.pauses import Pauses

T = TypeVar("T")
logger = structlog.get_logger(__name__)

Loop = Callable[[asyncio.Event], Awaitable[None]]
"""Runs until the event is set; returning earlier, or raising, is dying."""


class Supervised:
    """One background loop. `async with loop.running(): …` starts it and, on leaving, stops it and waits for it."""

    def __init__(
        self,
        name: str,
        loop: Loop,
        *,
        died: Callable[[str], None] = lambda name: None,
        pause: float = 0.5,
        longest_pause: float = 10.0,
        steady_after: float = 10.0,
        patience: float = 15.0,
    ) -> None:
        """`died(name)` hears of each death. Seconds: `pause` before the first restart, doubled up to `longest_pause`;
        `steady_after` of running without dying counts as recovered; `patience` is what stopping waits for.
        """
        self.name, self._loop, self._hear = name, loop, died
        self._pause, self._longest_pause = pause, longest_pause
        self._steady_after, self._patience = steady_after, patience
        self._stop = asyncio.Event()
        self._death: str | None = None
        self._since = monotonic()

    @property
    def check(self) -> Check:
        return Check(self.name, self._probe)

    async def _probe(self) -> Finding:
        if self._death is None or monotonic() - self._since >= self._steady_after:
            return OK
        return Finding("failing", f"died and is being restarted: {self._death}")

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        task = asyncio.create_task(self._supervise(), name=self.name)
        try:
            yield
        finally:
            self._stop.set()
            _, late = await asyncio.wait([task], timeout=self._patience)
            if late:
                logger.error("loop did not stop in time and is cut off", loop=self.name)
                task.cancel()
                await asyncio.wait([task])

    async def _supervise(self) -> None:
        pauses = Pauses(self._longest_pause, first=self._pause, lasting=self._steady_after)
        while not self._stop.is_set():
            self._since = monotonic()
            pauses.attempt()
            try:
                await self._loop(self._stop)
                error: Exception = RuntimeError("it returned although nobody asked it to stop")
            except Exception as death:
                error = death
            except asyncio.CancelledError:
                task = asyncio.current_task()
                if task is None or task.cancelling():
                    raise
                # A client library ends so what waits on a connection that has gone silent.
                error = RuntimeError("it was cancelled although nobody asked for that")
            if self._stop.is_set():
                return
            self._death, self._since = repr(error), float("inf")
            self._hear(self.name)
            pause = pauses.next()
            logger.error("loop died", loop=self.name, restart_in=pause, exc_info=error)
            with suppress(TimeoutError):
                await asyncio.wait_for(self._stop.wait(), timeout=pause)


class Stopped(Exception):
    """What was waited for is not wanted any more."""


async def unless_stopped(stop: asyncio.Event, work: Coroutine[Any, Any, T]) -> T:
    """What `work` answers or raises; raises `Stopped`, having cancelled it, when `stop` comes first."""
    task = asyncio.create_task(work)
    stopping = asyncio.create_task(stop.wait())
    try:
        await asyncio.wait((task, stopping), return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            return task.result()
        raise Stopped
    finally:
        stopping.cancel()
        task.cancel()
        await asyncio.wait((task, stopping))
