"""The command service put together: what it stands on, in the order in which it is started and stopped."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import asyncpg
import structlog

from services.command.executor import Executor
from services.command.gate import Gate
from services.command.intake import Intake
from services.command.metrics import CommandMetrics
from services.command.outcomes import outcome_of
from services.command.relay import NAME, Relay
from services.command.settings import CommandSettings
from shared.clock import Clock
from shared.database.clock import DatabaseClock
from shared.database.migrate import migrate
from shared.database.pool import open_pool, persist, session_of
from shared.database.queries import load_queries
from shared.domain.catalogue import deciders
from shared.log import Appended, Log
from shared.operations.health import OK, Check, Finding, Health, Movement
from shared.operations.policies import load_policies
from shared.operations.supervision import Loop, Supervised, unless_stopped

logger = structlog.get_logger(__name__)
QUERIES = load_queries("services.command", "queries.sql")


class CommandService:
    """Serves at once and composes itself behind the gate, however long PostgreSQL and RabbitMQ keep it waiting.

    Stopping finishes what was accepted: the intake first, then the log's writer, then the relay.
    """

    def __init__(self, settings: CommandSettings, clock: Clock | None) -> None:
        """`clock` says when a command comes that does not say so itself; absent: the database's."""
        self._settings, self._clock = settings, clock
        self._deciders = deciders(load_policies(settings.policies))
        self.metrics = CommandMetrics()
        self.gate = Gate()
        self.health = Health([Check("database", self._closed)])

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            for loop in (
                self._supervised("event loop", self.metrics.watch_event_loop),
                self._supervised("composition", self._compose),
            ):
                await stack.enter_async_context(loop.running())
            yield

    def _supervised(self, name: str, loop: Loop) -> Supervised:
        """A loop whose deaths are counted and seen by the readiness check."""
        supervised = Supervised(name, loop, died=lambda name: self.metrics.restarts.labels(name).inc())
        self.health.add(supervised.check)
        return supervised

    async def _compose(self, stop: asyncio.Event) -> None:
        """Get what commands need, open the gate, close it when told to stop."""
        settings = self._settings
        async with AsyncExitStack() as last, AsyncExitStack() as first:
            await unless_stopped(stop, migrate(settings.database_url))
            pool = await unless_stopped(stop, open_pool(settings.database_url, max_size=settings.pool_size))
            last.push_async_callback(_close, pool)
            log = await first.enter_async_context(
                Log.open(
                    pool,
                    settings.database_url,
                    batch=settings.append_batch,
                    patience=settings.append_patience,
                    observer=self.metrics,
                )
            )
            clock = self._clock
            if clock is None:
                clock = DatabaseClock(pool)
                await unless_stopped(stop, persist("postgresql", clock.measure))
                await last.enter_async_context(self._supervised("clock", clock.follow).running())
            executor = Executor(log, self._deciders, clock, keep=settings.kept_states)
            self._watch_database(pool)
            if settings.relay:
                relay = Relay(settings.database_url, settings.amqp_url, log, observer=self.metrics)
                self.health.add(relay.presence.check)
                await last.enter_async_context(self._supervised("relay", relay.run).running())
                await last.enter_async_context(self._relay_movement(pool).running())
            if settings.intake:
                intake = Intake(settings.amqp_url, executor, body_limit=settings.body_limit, concluded=self._concluded)
                self.health.add(intake.presence.check)
                await first.enter_async_context(self._supervised("intake", intake.run).running())
            self.gate.open(executor)
            first.callback(self.gate.close)
            logger.info("commands are accepted")
            await stop.wait()
        logger.info("stopped")

    def _relay_movement(self, pool: asyncpg.Pool[asyncpg.Record]) -> Supervised:
        async def read() -> tuple[int, int]:
            async with session_of(pool) as session:
                row = await session.fetchrow(QUERIES["relay_movement"], NAME)
            assert row is not None
            return row[0], row[1]

        def observe(head: int, place: int) -> None:
            self.metrics.head.set(head)
            self.metrics.relay_lag.set(head - place)

        # Commands are accepted, and durable, all the same: worth a look, not an outage.
        stalled_after = self._settings.stalled_after
        movement = Movement(read, stalled_after=stalled_after, stalled="degraded", observe=observe)
        self.health.add(Check("publishing", movement.probe))
        return self._supervised("movement", movement.watch)

    def _watch_database(self, pool: asyncpg.Pool[asyncpg.Record]) -> None:
        async def answers() -> Finding:
            async with session_of(pool) as session:
                await session.fetchval("SELECT 1")
            return OK if self.gate.is_open else Finding("failing", "commands are not accepted yet")

        self.health.add(Check("database", answers))

    def _concluded(self, command: str, outcome: Appended | Exception) -> None:
        self.metrics.commands.labels("amqp", command, outcome_of(outcome)).inc()

    async def _closed(self) -> Finding:
        return Finding("failing", "waiting for PostgreSQL")


async def _close(pool: asyncpg.Pool[asyncpg.Record]) -> None:
    """Wait for what is being read, but not for ever."""
    try:
        await asyncio.wait_for(pool.close(), timeout=5)
    except TimeoutError:
        pool.terminate()
