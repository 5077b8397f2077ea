"""The command service put together: what it stands on, in the order in which it is started and stopped."""

from __future__ import annotations

import asyncio
from contextlib import AbstractAsyncContextManager, AsyncExitStack

import asyncpg
import structlog

from services.command.executor import Executor
from services.command.intake import Intake
from services.command.metrics import CommandMetrics
from services.command.outcomes import outcome_of
from services.command.relay import NAME, Relay
from services.command.settings import CommandSettings
from shared.clock import Clock
from shared.database.clock import DatabaseClock
from shared.database.pool import persist, session_of
from shared.database.queries import load_queries
from shared.domain.catalogue import deciders
from shared.log import Appended, Log
from shared.operations.gate import Gate
from shared.operations.health import OK, Check, Finding, Movement
from shared.operations.policies import load_policies
from shared.operations.service import Service
from shared.operations.supervision import unless_stopped

logger = structlog.get_logger(__name__)
QUERIES = load_queries("services.command", "queries.sql")


class CommandService(Service[CommandSettings, CommandMetrics]):
    """Commands are accepted once the gate is open.

    Stopping finishes what was accepted: the intake first, then the log's writer, then the relay.
    """

    def __init__(self, settings: CommandSettings, clock: Clock | None) -> None:
        """`clock` says when a command comes that does not say so itself; absent: the database's."""
        super().__init__(settings, CommandMetrics())
        self._clock = clock
        self._deciders = deciders(load_policies(settings.policies))
        self.gate = Gate[Executor]()

    async def _compose(self, stop: asyncio.Event) -> None:
        settings = self._settings
        async with AsyncExitStack() as last, AsyncExitStack() as first:
            pool = await last.enter_async_context(self._database(stop))
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
                await last.enter_async_context(self._supervised("clock", clock.follow))
            executor = Executor(log, self._deciders, clock, keep=settings.kept_states)
            self._watch_database(pool, self._accepting)
            if settings.relay:
                relay = Relay(settings.database_url, settings.amqp_url, log, observer=self.metrics)
                self.health.add(relay.presence.check)
                await last.enter_async_context(self._supervised("relay", relay.run))
                await last.enter_async_context(self._relay_movement(pool))
            if settings.intake:
                intake = Intake(settings.amqp_url, executor, body_limit=settings.body_limit, concluded=self._concluded)
                self.health.add(intake.presence.check)
                await first.enter_async_context(self._supervised("intake", intake.run))
            self.gate.open(executor)
            first.callback(self.gate.close)
            logger.info("commands are accepted")
            await stop.wait()
        logger.info("stopped")

    def _accepting(self) -> Finding:
        return OK if self.gate.is_open else Finding("failing", "commands are not accepted yet")

    def _relay_movement(self, pool: asyncpg.Pool[asyncpg.Record]) -> AbstractAsyncContextManager[None]:
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

    def _concluded(self, command: str, outcome: Appended | Exception) -> None:
        self.metrics.commands.labels("amqp", command, outcome_of(outcome)).inc()
