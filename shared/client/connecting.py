"""Connecting to RabbitMQ, once: whoever loses the connection opens another."""

from __future__ import annotations

import aio_pika
from aio_pika.abc import AbstractConnection, TimeoutType

HEARTBEAT = 10
"""Seconds."""


class _Connection(aio_pika.Connection):
    """Closed when it could not be made: aio-pika leaves that to its finalizer, which runs in whichever thread collects
    the garbage and there starts a coroutine that nobody awaits."""

    async def connect(self, timeout: TimeoutType = None) -> None:
        try:
            await super().connect(timeout)
        except BaseException:
            await self.close()
            raise


async def connect(url: str, *, timeout: float = 10) -> AbstractConnection:
    """Raises what aio-pika raises while the broker is away."""
    return await aio_pika.connect(url, timeout=timeout, heartbeat=HEARTBEAT, connection_class=_Connection)
