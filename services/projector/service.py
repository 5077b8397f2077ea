"""The projector service put together: what it stands on, in the order in which it is started and stopped."""

from __future__ import annotations

import asyncio
from contextlib import AbstractAsyncContextManager, AsyncExitStack

import asyncpg
import structlog

from services.projector.feed.bell import Bell
from services.projector.feed.feed import Feed
from services.projector.firing import firing
from services.projector.firing.firing import Firing
from services.projector.folding.folder import Folder
from services.projector.folding.timing_fold import TimingFold
from services.projector.live.alarm import Alarm
from services.projector.live.doorbell import Doorbell
from services.projector.live.loop import Projector
from services.projector.live.mailbox import Mailbox
from services.projector.live.progress import Progress
from services.projector.measuring import Measuring
from services.projector.metrics import ProjectorMetrics
from services.projector.models import MODELS
from services.projector.queries.reader import Reader
from services.projector.settings import ProjectorSettings
from services.projector.storing import store
from shared.database.pool import session_of
from shared.log.history import History
from shared.log.reading import ReadableLog
from shared.operations.gate import Gate
from shared.operations.health import Check, Movement
from shared.operations.policies import load_policies
from shared.operations.service import Service
from shared.timing.calendar import public_holidays

logger = structlog.get_logger(__name__)


class ProjectorService(Service[ProjectorSettings, ProjectorMetrics]):
    """Queries are answered, and the feed is, once the database was reached.

    Stopping ends the doorbell first, then the fold with the page in hand, then the firing with the batch in hand.
    """

    def __init__(self, settings: ProjectorSettings) -> None:
        super().__init__(settings, ProjectorMetrics())
        self.policies = load_policies(settings.policies)
        # At first use the package of public holidays loads those of all countries, which takes most of a second: now,
        # rather than while an event waits to be seen.
        public_holidays("US", 2026)
        self._measuring = Measuring(self.metrics)
        self.reader, self.feed = Gate[Reader](), Gate[Feed]()

    async def _compose(self, stop: asyncio.Event) -> None:
        settings = self._settings
        mailbox, progress, alarm = Mailbox(), Progress(), Alarm()
        async with AsyncExitStack() as stack:
            pool = await stack.enter_async_context(self._database(stop))
            projector = Projector(
                settings.database_url,
                ReadableLog(pool),
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
            self._watch_database(pool)
            self.health.add(projector.check)
            self.health.add(doorbell.presence.check)
            await stack.enter_async_context(self._movement(pool))
            for name, loop in loops:
                await stack.enter_async_context(self._supervised(name, loop))
            self.reader.open(Reader(pool, progress))
            stack.callback(self.reader.close)
            self.feed.open(Feed(History(pool), bell))
            stack.callback(self.feed.close)
            logger.info("queries are answered")
            await stop.wait()
        logger.info("stopped")

    def _movement(self, pool: asyncpg.Pool[asyncpg.Record]) -> AbstractAsyncContextManager[None]:
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
