"""A handler, and fixtures that the tests of broker and history feed have already."""

from __future__ import annotations

import pytest
from aio_pika.abc import AbstractChannel

from shared.client.queues import EXCHANGE
from tests.broker.conftest import channel, connection, safe_broker
from tests.client.messages import Taken
from tests.client.trials import Taker
from tests.contract.conftest import append, feed, feed_url, log

__all__ = ["append", "channel", "connection", "feed", "feed_url", "log", "safe_broker"]


@pytest.fixture
def taken() -> Taken:
    return Taken()


@pytest.fixture
def taker() -> Taker:
    return Taker()


@pytest.fixture
async def exchange(channel: AbstractChannel) -> None:
    await channel.declare_exchange(EXCHANGE, "topic", durable=True)
