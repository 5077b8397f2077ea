"""A first look at a broker."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor

import aiormq


def server_version(amqp_url: str, timeout: float = 15.0) -> str:
    """Connects, with user and password, and asks for the version, such as ``4.1.2``."""

    async def run() -> str:
        connection = await aiormq.connect(amqp_url)
        try:
            return str(connection.server_properties.get("version"))
        finally:
            await connection.close()

    # In a thread of its own: the caller's thread may have a running event loop.
    with ThreadPoolExecutor(max_workers=1) as executor:
        return executor.submit(lambda: asyncio.run(asyncio.wait_for(run(), timeout))).result()
