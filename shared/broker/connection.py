"""Connecting to RabbitMQ."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress

import aio_pika
from aio_pika.abc import AbstractConnection, TimeoutType
from aio_pika.exceptions import AMQPError, ProbableAuthenticationError
from aiormq.exceptions import InvalidFrameError

from shared.broker.outgoing import ConnectionLost, PublishFailed
from shared.broker.properties import deliver_all

UNREACHABLE = (OSError, AMQPError, PublishFailed, RuntimeError, StopAsyncIteration)
"""What is raised while RabbitMQ is away, starting or cut off: `OSError` includes timeouts, and the client library uses
`RuntimeError` for calls on a connection or channel that was closed under them, `StopAsyncIteration` for one that was
closed during the handshake, as by a load balancer that has no broker to pass it on to."""

HEARTBEAT = 10
"""Seconds; a peer that says nothing for three times as long is taken for gone."""
GRACE = 5.0
"""Seconds that closing may take."""

deliver_all()


class NoVirtualHost(ProbableAuthenticationError):
    """The broker let the user in, and then closed the connection instead of opening the virtual host."""


class _Connection(aio_pika.Connection):
    """Closed when it could not be made.

    aio-pika leaves it open then, to its finalizer, which starts to close it in whichever thread happens to collect the
    garbage: where no event loop runs, that is a coroutine which was never awaited.
    """

    async def connect(self, timeout: TimeoutType = None) -> None:
        try:
            await super().connect(timeout)
        except BaseException:
            await self.close()
            raise


async def connect(url: str, name: str) -> AbstractConnection:
    """One connection that does not come back by itself: who needs it again opens another, and starts from what is
    known to be true. `name` is shown in the broker's management. Raises what is in `UNREACHABLE`, among it
    `NoVirtualHost`.
    """
    try:
        return await aio_pika.connect(
            url,
            timeout=10,
            heartbeat=HEARTBEAT,
            client_properties={"connection_name": f"kithlog {name}"},
            connection_class=_Connection,
        )
    except InvalidFrameError as error:
        # aiormq does not pass on what the broker said, but which word it waited for: the last of the handshake.
        if "Connection.OpenOk" not in str(error):
            raise
        raise NoVirtualHost("is there a virtual host of that name, and may the user use it?") from error


@asynccontextmanager
async def connected(url: str, name: str) -> AsyncIterator[AbstractConnection]:
    """`connect` for a block; on leaving it the connection is closed, whatever state it is in."""
    connection = await connect(url, name)
    try:
        yield connection
    finally:
        with suppress(*UNREACHABLE), told_as_lost():
            await asyncio.wait_for(connection.close(), timeout=GRACE)


def lost(connection: AbstractConnection) -> asyncio.Event:
    """An event that is set once the connection has ended, whoever ended it."""
    # `connection.closed()` answers only to an end that was asked for on this side.
    ended = asyncio.Event()
    connection.close_callbacks.add(lambda *_: ended.set())
    return ended


@contextmanager
def told_as_lost() -> Iterator[None]:
    """Turns what the client library ends waiting with when a connection is lost, where it does not say so, into
    `ConnectionLost`.

    That is `CancelledError`, which would pass through every `except Exception` and end the task without a word, and
    `Exception` itself, of no class of its own.
    """
    try:
        yield
    except asyncio.CancelledError as error:
        task = asyncio.current_task()
        if task is None or task.cancelling():
            raise
        raise ConnectionLost("the connection to RabbitMQ went silent") from error
    except Exception as error:
        if type(error) is not Exception:
            raise
        raise ConnectionLost("the connection to RabbitMQ was lost") from error
