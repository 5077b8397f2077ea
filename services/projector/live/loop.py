"""The projector's loop: dedupe, evolve, commit, acknowledge.

Two sources, one truth. A message of the broker that follows the checkpoint, and is an event that the log holds, is
folded as it is; one that was seen before is acknowledged; one that comes too early says that something is missing, and
the log has it. The log is also read in pages when the loop is far behind, and looked at now and then in case the broker
has nothing to say.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from time import monotonic

import structlog

from services.projector.folding.folder import Folder
from services.projector.live.alarm import Alarm
from services.projector.live.mailbox import Mailbox
from services.projector.live.observing import LoopObserver, Silent
from services.projector.live.pace import Pace
from services.projector.live.progress import Progress
from services.projector.live.session import LogReader, Session
from services.projector.rebuild.retiming import retime
from services.projector.storing.halting import Halted
from services.projector.storing.loading import KEPT_ROWS
from services.projector.storing.store import Store
from shared.database.pool import is_away
from shared.operations.health import OK, Check, Finding
from shared.operations.pauses import Pauses
from shared.operations.supervision import Stopped, unless_stopped

logger = structlog.get_logger(__name__)

PAGE = 2000
POLL_INTERVAL = 1.0
LONGEST_PAUSE = 5.0
"""Seconds between attempts while PostgreSQL is away."""


class Projector:
    """Run any number of them: the checkpoint lets one at a time move, the others look on."""

    def __init__(
        self,
        database_url: str,
        log: LogReader,
        folder: Folder,
        mailbox: Mailbox,
        *,
        page: int = PAGE,
        poll_interval: float = POLL_INTERVAL,
        kept_rows: int = KEPT_ROWS,
        progress: Progress | None = None,
        alarm: Alarm | None = None,
        observer: LoopObserver | None = None,
    ) -> None:
        """`page`: most events in one transaction, fewer where all is slow; `poll_interval`: seconds between looks at
        the log's head; `kept_rows`: rows kept in memory between pages, at least."""
        self._database_url, self._log, self._folder, self._mailbox = database_url, log, folder, mailbox
        self._pace, self._poll_interval, self._kept_rows = Pace(page), poll_interval, kept_rows
        self._progress, self._alarm = progress or Progress(), alarm or Alarm()
        self._observer = observer or Silent()
        self._halted: Halted | None = None
        self._retimed = False

    @asynccontextmanager
    async def session(self) -> AsyncIterator[Session]:
        """One stretch of folding: `async with projector.session() as session: await session.run_once()`."""
        async with Store.open(self._database_url, self._folder.models) as store:
            # Once: whoever is started later has the newer policies.
            if not self._retimed:
                await retime(store, self._folder.policies)
                self._retimed = True
            session = Session(
                store,
                self._log,
                self._folder,
                self._mailbox,
                pace=self._pace,
                poll_interval=self._poll_interval,
                kept_rows=self._kept_rows,
                progress=self._progress,
                alarm=self._alarm,
                observer=self._observer,
            )
            async with session.working():
                yield session

    async def run(self, stop: asyncio.Event) -> None:
        """Fold until `stop` is set; the page in hand is finished. Waits while PostgreSQL is away.

        Where it has to halt, it says so and tries again every `poll_interval`, so that it goes on by itself once the
        cause is removed.
        """
        pauses = Pauses(LONGEST_PAUSE)
        while not stop.is_set():
            pauses.attempt()
            try:
                async with AsyncExitStack() as stack:
                    session = await unless_stopped(stop, stack.enter_async_context(self.session()))
                    await self._work(session, stop)
            except Stopped:
                return
            except Halted as halted:
                await self._halt(halted)
                await _wait(stop, self._poll_interval)
            except Exception as error:
                if not is_away(error):
                    raise
                pause = pauses.next()
                self._pace.failed()
                self._progress.forget()
                logger.warning("folding begins again", error=repr(error), pause=pause)
                await _wait(stop, pause)

    async def _work(self, session: Session, stop: asyncio.Event) -> None:
        async def end() -> None:
            await stop.wait()
            session.stopping = True
            self._mailbox.ring()

        ending = asyncio.create_task(end())
        try:
            while not stop.is_set():
                await session.run_once()
                await self._go_on()
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._mailbox.filled(), max(0.0, session.next_look - monotonic()))
        finally:
            ending.cancel()

    async def _halt(self, halted: Halted) -> None:
        if self._halted is None or str(self._halted) != str(halted):
            logger.error("folding has stopped", reason=halted.reason, detail=halted.detail, remedy=halted.remedy)
        self._halted = halted
        self._observer.halted(halted.reason)
        # Of another timeline somebody else knows no more; and what tells of it may be a message that is in hand.
        if halted.reason != "forked":
            self._mailbox.shut()

    async def _go_on(self) -> None:
        if self._halted is not None:
            logger.info("folding goes on", reason=self._halted.reason)
            self._halted = None
            self._observer.halted(None)
            self._mailbox.open()

    @property
    def check(self) -> Check:
        """Fails while folding has halted, with what to do."""
        return Check("folding", self._probe)

    async def _probe(self) -> Finding:
        return OK if self._halted is None else Finding("failing", str(self._halted))


async def _wait(stop: asyncio.Event, seconds: float) -> None:
    with suppress(TimeoutError):
        await asyncio.wait_for(stop.wait(), seconds)
