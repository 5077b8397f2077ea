"""``python -m deploy.delivery``: deliver notifications by mail until interrupted.

``--restored-to POSITION EPOCH`` goes back to where a restored log goes on, as `kithlog log fork` tells it, and ends.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import signal
import sys
from contextlib import AsyncExitStack

from deploy.delivery.mailbox import Mailbox, readable
from deploy.delivery.post import Post
from deploy.delivery.service import NoWayBack, go_back, run
from deploy.delivery.settings import DeliverySettings, Services
from shared.client import Forked, Unavailable
from shared.operations.logging import configure_logging
from shared.operations.settings import of_this_process
from shared.operations.variables import warn_of_unread

PRINT = "print"
"""The mail server that is none: what is sent is printed, and reported as delivered."""


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m deploy.delivery", description="Deliver notifications by mail.")
    parser.add_argument(
        "--restored-to",
        nargs=2,
        type=int,
        metavar=("POSITION", "EPOCH"),
        help="go back to where a restored log goes on, as `kithlog log fork` tells it, and end",
    )
    restored_to = parser.parse_args().restored_to
    configure_logging("info", "auto", service="delivery")
    warn_of_unread()
    settings = of_this_process(DeliverySettings)
    try:
        asyncio.run(deliver(settings) if restored_to is None else go_back(settings, *restored_to))
    except BlockingIOError:
        sys.exit(f"kithlog: another process is at work in {settings.state}: end that first")
    except Forked as error:
        how = "start it once with --restored-to POSITION EPOCH, as `kithlog log fork` told them"
        sys.exit(f"kithlog: {error}: {how}")
    except (NoWayBack, Unavailable, json.JSONDecodeError, OSError) as error:
        sys.exit(f"kithlog: {error}")


async def deliver(settings: DeliverySettings) -> None:
    services, stop = of_this_process(Services), asyncio.Event()
    host, port = settings.smtp_host, settings.smtp_port
    if host is None:
        sys.exit(f"kithlog: KITHLOG_DELIVERY_SMTP_HOST: name the mail server, or {PRINT} to see mails without one")
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with AsyncExitStack() as stack:
        if host == PRINT:
            mailbox = Mailbox(lambda mail: print(f"\n{readable(mail)}\n", flush=True))
            host, port = "127.0.0.1", (await stack.enter_async_context(mailbox.open())).port
        await run(services, settings, Post(host, port, settings.smtp_user, settings.smtp_password), stop)


if __name__ == "__main__":
    main()
