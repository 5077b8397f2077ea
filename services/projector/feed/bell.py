"""Tells those who wait at the end of the log that it has grown."""

from __future__ import annotations

import asyncio
from contextlib import suppress

import asyncpg
import structlog

from shared.database.pool import UNAVAILABLE, connect
from shared.log.history import QUERIES
from shared.log.reading import NOTIFY_CHANNEL

logger = structlog.get_logger(__name__)


class Bell:
    """One connection listens for all who wait in this process.

    Take `next` before you look at the log, and wait for it after: whatever came in between has set it.
    """

    def __init__(self, database_url: str, *, poll: float = 1.0) -> None:
        """`poll`: seconds between looks at the log's head, should no notification come."""
        self._database_url, self._poll = database_url, poll
        self.next = asyncio.Event()
        """Set when the log has grown, or may have."""

    def ring(self) -> None:
        rung, self.next = self.next, asyncio.Event()
        rung.set()

    async def run(self, stop: asyncio.Event) -> None:
        """Listen until `stop`. While PostgreSQL is away it rings at every poll, so that those who wait notice."""
        while not stop.is_set():
            try:
                await self._listen(stop)
            except (*UNAVAILABLE, asyncpg.PostgresError, asyncpg.InternalClientError) as error:
                logger.warning("the feed can't listen", error=repr(error))
                self.ring()
                await self._pause(stop)
        self.ring()

    async def _listen(self, stop: asyncio.Event) -> None:
        connection = await connect(self._database_url, command_timeout=10)
        try:
            await connection.add_listener(NOTIFY_CHANNEL, lambda *_: self.ring())
            head = None
            while not stop.is_set():
                position = await connection.fetchval(QUERIES["head"])
                if position != head:
                    self.ring()
                    head = position
                await self._pause(stop)
        finally:
            with suppress(*UNAVAILABLE, asyncpg.InternalClientError):
                await connection.close(timeout=2)

    async def _pause(self, stop: asyncio.Event) -> None:
        with suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), self._poll)
