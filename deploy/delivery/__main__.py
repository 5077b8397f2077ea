"""``python -m deploy.delivery``: deliver notifications by mail until interrupted.

Without `KITHLOG_DELIVERY_SMTP_HOST` the mails are printed on the terminal instead.
"""

from __future__ import annotations

import asyncio
import signal
from contextlib import AsyncExitStack

from deploy.delivery.mailbox import Mailbox, readable
from deploy.delivery.post import Post
from deploy.delivery.service import run
from deploy.delivery.settings import DeliverySettings, Services
from shared.operations.logging import configure_logging


async def main() -> None:
    configure_logging("info", "auto")
    settings, stop = DeliverySettings(), asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with AsyncExitStack() as stack:
        host, port = settings.smtp_host, settings.smtp_port
        if host is None:
            mailbox = Mailbox(lambda mail: print(f"\n{readable(mail)}\n", flush=True))
            host, port = "127.0.0.1", (await stack.enter_async_context(mailbox.open())).port
        await run(Services(), settings, Post(host, port, settings.smtp_user, settings.smtp_password), stop)


if __name__ == "__main__":
    asyncio.run(main())
