"""The delivery example beside the story: a mail for what falls due, into a mailbox of the demo's own."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import aio_pika

from deploy.delivery.mailbox import Mailbox
from deploy.delivery.post import Post
from deploy.delivery.service import queue_of, rules, run
from deploy.delivery.settings import DeliverySettings, Services
from shared.client.queues import Queues


@asynccontextmanager
async def mailing(tenant: str) -> AsyncIterator[Mailbox]:
    """Delivers the tenant's notifications for as long as the story is told, on queues that go with it."""
    services, stop = Services(), asyncio.Event()
    with TemporaryDirectory(prefix="kithlog-demo-") as folder:
        settings = DeliverySettings(state=Path(folder), tenant=tenant, gather=0)
        async with Mailbox().open() as mailbox:
            post = Post("127.0.0.1", mailbox.port)
            # The tenant is new: so is all there is of it, however late the service finds the log.
            delivering = asyncio.create_task(run(services, settings, post, stop, begin="first"))
            try:
                yield mailbox
            finally:
                stop.set()
                await delivering
                await _remove(services.amqp_url, queue_of(tenant))


async def _remove(amqp_url: str, queue: str) -> None:
    async with await aio_pika.connect(amqp_url) as connection:
        channel = await connection.channel()
        for name, _ in Queues(queue, rules("*").delays).declared():
            await channel.queue_delete(name)
