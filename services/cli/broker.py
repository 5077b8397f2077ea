"""The operators' way into RabbitMQ: one connection, asked for once."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from aio_pika.abc import AbstractConnection
from aio_pika.exceptions import AuthenticationError, ProbableAuthenticationError

from services.cli.terminal import DENIED, UNAVAILABLE_CODE, Ended
from shared.broker.connection import UNREACHABLE, connected, told_as_lost


@asynccontextmanager
async def broker(amqp_url: str, name: str) -> AsyncIterator[AbstractConnection]:
    """Raises `Ended` when RabbitMQ is away or does not let us in, and `ConnectionLost` when it falls silent in the
    block."""
    async with AsyncExitStack() as stack:
        try:
            connection = await stack.enter_async_context(connected(amqp_url, name))
        except (AuthenticationError, ProbableAuthenticationError) as error:
            raise Ended(DENIED, f"RabbitMQ does not allow it: {error}") from None
        except UNREACHABLE as error:
            told = str(error) or type(error).__name__
            raise Ended(UNAVAILABLE_CODE, f"RabbitMQ is away ({told}): check KITHLOG_AMQP_URL, or wait") from None
        with told_as_lost():
            yield connection
