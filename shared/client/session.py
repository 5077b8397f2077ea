"""A consumer's way to RabbitMQ, once: what it brings, and how it ends."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from time import monotonic
from typing import Any

from aio_pika.abc import AbstractConnection
from aio_pika.exceptions import AMQPError
from aiormq.abc import DeliveredMessage

from shared.client.connecting import connect

logger = logging.getLogger(__name__)

AWAY = (OSError, AMQPError, RuntimeError)
"""What is raised while RabbitMQ is away or a connection is closed under a call; `OSError` includes timeouts."""


class Stopped(Exception):
    """The consumer is to stop, or its connection is gone: what is in hand comes again."""


@dataclass(frozen=True, slots=True)
class Delivery:
    message: DeliveredMessage
    at: float
    """When it came."""

    @property
    def headers(self) -> dict[str, Any]:
        return self.message.header.properties.headers or {}


class Session:
    """What one connection has brought. `publishing` is another, for what is sent: the broker reads nothing of one that
    publishes while it is short of memory or disk, no acknowledgement either.
    """

    def __init__(self, connection: AbstractConnection, publishing: AbstractConnection, stop: asyncio.Event) -> None:
        self.connection, self.publishing, self._stop = connection, publishing, stop
        self.lost = asyncio.Event()
        for each in (connection, publishing):
            # `connection.closed()` answers only to an end that was asked for on this side.
            each.close_callbacks.add(self.lose)
        self._waiting: deque[Delivery] = deque()
        self.delivered = 0
        """Messages that it has brought; none to a process that stands by."""
        self._filled = asyncio.Event()
        self._losing = asyncio.create_task(self.lost.wait())
        self._ends = [self._losing, asyncio.create_task(stop.wait())]

    @property
    def over(self) -> bool:
        return self.lost.is_set() or self._stop.is_set()

    def lose(self, *why: object) -> None:
        if not self.over:
            logger.warning("RabbitMQ brings no more: %r", why[-1])
        self.lost.set()

    async def put(self, message: DeliveredMessage) -> None:
        # Nothing is awaited here, so that messages keep their order.
        self._waiting.append(Delivery(message, monotonic()))
        self.delivered += 1
        self._filled.set()

    @property
    def waits(self) -> int:
        """Messages in hand that nobody has taken yet."""
        return len(self._waiting)

    async def take(self, most: int, seconds: float) -> list[Delivery]:
        """The messages that have come; empty when none does within `seconds`. Raises `Stopped`."""
        filled = asyncio.create_task(self._filled.wait())
        try:
            await asyncio.wait([filled, *self._ends], timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        finally:
            filled.cancel()
        if self.over:
            raise Stopped
        taken = [self._waiting.popleft() for _ in range(min(most, len(self._waiting)))]
        if not self._waiting:
            self._filled.clear()
        return taken

    async def ends_within(self, seconds: float) -> None:
        """Return after that many seconds, or when it is over."""
        await asyncio.wait(self._ends, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)

    async def outlives(self, work: asyncio.Future[Any], seconds: float) -> bool:
        """Whether the work is done, after that many seconds at most, or when the connection is lost."""
        await asyncio.wait([work, self._losing], timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        return work.done()

    def close(self) -> None:
        self.lost.set()
        for each in self._ends:
            each.cancel()


@asynccontextmanager
async def open_session(url: str, stop: asyncio.Event) -> AsyncIterator[Session]:
    async with _connection(url) as publishing, _connection(url) as connection:
        session = Session(connection, publishing, stop)
        try:
            yield session
        finally:
            session.close()


@asynccontextmanager
async def _connection(url: str) -> AsyncIterator[AbstractConnection]:
    connection = await connect(url)
    try:
        yield connection
    finally:
        with suppress(*AWAY):
            await asyncio.wait_for(connection.close(), timeout=5)


@contextmanager
def told_as_lost() -> Iterator[None]:
    """Names what the client library ends waiting with when a connection is lost, where it does not say so.

    A cancellation that nobody asked for, which would pass through every `except Exception`, becomes `Stopped`;
    `Exception` itself, of no class of its own, `ConnectionError`.
    """
    try:
        yield
    except asyncio.CancelledError as error:
        task = asyncio.current_task()
        if task is None or task.cancelling():
            raise
        raise Stopped from error
    except Exception as error:
        if type(error) is not Exception:
            raise
        raise ConnectionError(f"the connection was lost: {error!r}") from error
