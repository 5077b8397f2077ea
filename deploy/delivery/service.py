"""The delivery service put together."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing

from deploy.delivery.delivery import Delivery
from deploy.delivery.ledger import Ledger
from deploy.delivery.platform import Platform
from deploy.delivery.post import Post
from deploy.delivery.settings import DeliverySettings, Services
from shared.client import Consumer, FileStore, HttpHistory, Patterns, Rules, Wiring
from shared.clock import Clock, SystemClock

QUEUE = "kithlog.delivery"
DELAYS = (60.0, 300.0, 1800.0, 7200.0)
"""Seconds before a mail is tried again that the server would not take now."""


@asynccontextmanager
async def delivering(
    services: Services, settings: DeliverySettings, post: Post, clock: Clock | None = None, *, queue: str = QUEUE
) -> AsyncIterator[Consumer[None]]:
    """The consumer, not running yet: `run` it. Only one process may use `settings.state` at a time.

    Raises `BlockingIOError` when another does.
    """
    settings.state.mkdir(parents=True, exist_ok=True)
    rules = Rules(
        Patterns((f"{settings.tenant}.notification.due", f"{settings.tenant}.notification.withdrawn")),
        delays=DELAYS,
    )
    with (
        closing(FileStore(settings.state / "mark.json")) as store,
        closing(Ledger(settings.state / "mails.db")) as ledger,
    ):
        async with (
            Platform(services.command_url, services.projector_url) as platform,
            HttpHistory(services.projector_url) as history,
        ):
            delivery = Delivery(settings, platform, post, ledger, clock or SystemClock())
            yield Consumer(Wiring(services.amqp_url, queue), rules, delivery.handlers(), store, history)


async def run(
    services: Services, settings: DeliverySettings, post: Post, stop: asyncio.Event, *, queue: str = QUEUE
) -> None:
    """Deliver until `stop` is set. Raises what `Consumer.run` raises."""
    async with delivering(services, settings, post, queue=queue) as consumer:
        await consumer.run(stop)
