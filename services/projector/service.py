"""The projector service put together: what it stands on, in the order in which it is started and stopped."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress

import asyncpg
import structlog

from services.projector import firing, store
from services.projector.alarm import Alarm
from services.projector.doorbell import Doorbell
from services.projector.feed.bell import Bell
from services.projector.feed.feed import Feed
from services.projector.firing import Firing
from services.projector.folding import Folder
from services.projector.loop import Projector
from services.projector.mailbox import Mailbox
from services.projector.measuring import Measuring
from services.projector.metrics import ProjectorMetrics
from services.projector.models import MODELS
from services.projector.progress import Progress
from services.projector.reader import Reader
from services.projector.settings import ProjectorSettings
from services.projector.timing_fold import TimingFold
from shared.database.migrate import migrate
from shared.database.pool import open_pool, session_of
from shared.log import Log
from shared.log.history import History
from shared.operations.health import OK, Check, Finding, Health, Movement
from shared.operations.policies import load_policies
from shared.operations.problems import starting
from shared.operations.supervision import Loop, Supervised, unless_stopped
from shared.timing.calendar import public_holidays

logger = structlog.get_logger(__name__)


class ProjectorService:
    """Serves at once and composes itself meanwhile, however long PostgreSQL and RabbitMQ keep it waiting.

    Stopping ends the doorbell first, then the fold with the page in hand, then the firing with the batch in hand.
    """

    def __init__(self, settings: ProjectorSettings) -> None:
        self._settings = settings
        self.policies = load_policies(settings.policies)
        # At first use the package of public holidays loads those of all countries, which takes most of a second: now,
        # rather than while an event waits to be seen.
        public_holidays("US", 2026)
        self.metrics = ProjectorMetrics()
        self.health = Health([Check("database", self._not_yet)])
        self._measuring = Measuring(self.metrics)
        self._reader: Reader | None = None
        self._feed: Feed | None = None

    def reader(self) -> Reader:
        """Raises `ProblemError` (503 `starting`) until the database was reached."""
        if self._reader is None:
            raise starting()
        return self._reader

    def feed(self) -> Feed:
        """Raises `ProblemError` (503 `starting`) until the database was reached."""
        if self._feed is None:
            raise starting()
        return self._feed

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
        settings = self._settings
        mailbox, progress, alarm = Mailbox(), Progress(), Alarm()
        async with AsyncExitStack() as stack:
            await unless_stopped(stop, migrate(settings.database_url))
            pool = await unless_stopped(stop, open_pool(settings.database_url, max_size=settings.pool_size))
            stack.push_async_callback(_close, pool)
            log = await stack.enter_async_context(Log.open(pool, settings.database_url))
            projector = Projector(
                settings.database_url,
                log,
                Folder(MODELS, TimingFold(self.policies)),
                mailbox,
                page=settings.page,
                poll_interval=settings.poll_interval,
                kept_rows=settings.kept_rows,
                progress=progress,
                alarm=alarm,
                observer=self._measuring,
            )
            doorbell = Doorbell(settings.amqp_url, mailbox)
            loops = [("projector", projector.run), ("doorbell", doorbell.run)]
            if settings.fire:
                fires = Firing(
                    settings.database_url,
                    self.policies,
                    batch=settings.firing_batch,
                    poll_interval=settings.poll_interval,
                    alarm=alarm,
                    observer=self._measuring,
                )
                loops.insert(0, ("firing", fires.run))
            bell = Bell(settings.database_url, poll=settings.poll_interval)
            loops.append(("feed", bell.run))
            self._watch(pool, projector, doorbell)
            await stack.enter_async_context(self._movement(pool).running())
            for name, loop in loops:
                await stack.enter_async_context(self._supervised(name, loop).running())
            self._reader = Reader(pool, progress)
            self._feed = Feed(History(pool), bell)
            stack.callback(self._close_desk)
            logger.info("queries are answered")
            await stop.wait()
        logger.info("stopped")

    def _watch(self, pool: asyncpg.Pool[asyncpg.Record], projector: Projector, doorbell: Doorbell) -> None:
        async def answers() -> Finding:
            async with session_of(pool) as session:
                await session.fetchval("SELECT 1")
            return OK

        self.health.add(Check("database", answers))
        self.health.add(projector.check)
        self.health.add(doorbell.presence.check)

    def _movement(self, pool: asyncpg.Pool[asyncpg.Record]) -> Supervised:
        async def read() -> tuple[int, int]:
            async with session_of(pool) as session:
                timers = await session.fetchrow(firing.QUERIES["figures"])
                row = await session.fetchrow(store.QUERIES["movement"])
            assert row is not None
            assert timers is not None
            self._measuring.timers(pending=timers["pending"], overdue=timers["overdue"], late=timers["late"])
            return row[0], row[1]

        movement = Movement(read, stalled_after=self._settings.stalled_after, observe=self._measuring.moved)
        self.health.add(Check("movement", movement.probe))
        return self._supervised("watching", movement.watch)

    def _close_desk(self) -> None:
        self._reader = self._feed = None

    async def _not_yet(self) -> Finding:
        return Finding("failing", "waiting for PostgreSQL")


async def _close(pool: asyncpg.Pool[asyncpg.Record]) -> None:
    """Wait for what is being read, but not for ever."""
    with suppress(TimeoutError):
        await asyncio.wait_for(pool.close(), timeout=5)
        return
    pool.terminate()
