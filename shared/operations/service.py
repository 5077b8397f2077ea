"""What both services are: a web app at once, and behind it what stands on PostgreSQL and RabbitMQ, once they answer."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Generic, TypeVar

import asyncpg
from fastapi import FastAPI

from shared.database.migrate import migrate
from shared.database.pool import open_pool, session_of
from shared.operations.garbage import spare_collections
from shared.operations.health import OK, Check, Finding, Health
from shared.operations.logging import configure_logging
from shared.operations.metrics import Metrics
from shared.operations.settings import Settings, of_this_process
from shared.operations.supervision import Loop, Supervised, unless_stopped
from shared.operations.variables import warn_of_unread
from shared.operations.web import create_web_app

S = TypeVar("S", bound=Settings)
M = TypeVar("M", bound=Metrics)


def set_up_process(kind: type[S], service: str) -> S:
    """The settings of a process of its own, from its environment; logging, by which each line names the service, and
    garbage collection are set up accordingly. Ones that can't be used end it with a message."""
    settings = of_this_process(kind)
    configure_logging(settings.log_level, settings.log_format, service=service)
    warn_of_unread()
    spare_collections()
    return settings


class Service(ABC, Generic[S, M]):
    """Serves at once and composes itself meanwhile, however long PostgreSQL and RabbitMQ keep it waiting."""

    def __init__(self, settings: S, metrics: M) -> None:
        self._settings, self.metrics = settings, metrics
        self.health = Health([Check("database", self._not_yet)])

    def web_app(self, title: str, description: str) -> FastAPI:
        """Its app, without its own routes: the app's lifespan is the service's."""
        return create_web_app(
            title=title,
            description=description,
            version="1",
            health=self.health,
            metrics=self.metrics,
            lifespan=lambda app: self.running(),
            access_log=self._settings.access_log,
        )

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        async with (
            self._supervised("event loop", self.metrics.watch_event_loop),
            self._supervised("composition", self._compose),
        ):
            yield

    @abstractmethod
    async def _compose(self, stop: asyncio.Event) -> None:
        """Get what it needs, serve until `stop` is set, and end in order. A loop, see `Supervised`."""

    def _supervised(self, name: str, loop: Loop) -> AbstractAsyncContextManager[None]:
        """Runs a loop whose deaths are counted and seen by the readiness check."""
        supervised = Supervised(name, loop, died=lambda name: self.metrics.restarts.labels(name).inc())
        self.health.add(supervised.check)
        return supervised.running()

    @asynccontextmanager
    async def _database(self, stop: asyncio.Event) -> AsyncIterator[asyncpg.Pool[asyncpg.Record]]:
        """PostgreSQL, migrated. Raises `Stopped`. On leaving, what is being read is waited for, but not for ever."""
        await unless_stopped(stop, migrate(self._settings.database_url))
        pool = await unless_stopped(stop, open_pool(self._settings.database_url, max_size=self._settings.pool_size))
        try:
            yield pool
        finally:
            try:
                await asyncio.wait_for(pool.close(), timeout=5)
            except TimeoutError:
                pool.terminate()

    def _watch_database(self, pool: asyncpg.Pool[asyncpg.Record], then: Callable[[], Finding] = lambda: OK) -> None:
        """Let the readiness check ask PostgreSQL from now on; `then`: what is found where it answers."""

        async def answers() -> Finding:
            async with session_of(pool) as session:
                await session.fetchval("SELECT 1")
            return then()

        self.health.add(Check("database", answers))

    async def _not_yet(self) -> Finding:
        return Finding("failing", "waiting for PostgreSQL")
