"""A first look at a broker."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import aiormq
from aiormq.abc import AbstractConnection
from aiormq.exceptions import ChannelNotFoundEntity

T = TypeVar("T")


def server_version(amqp_url: str) -> str:
    """Connects, with user and password, and asks for the version, such as ``4.1.2``."""

    async def version(connection: AbstractConnection) -> str:
        return str(connection.server_properties.get("version"))

    return _asked(amqp_url, version)


def has_queue(amqp_url: str, name: str) -> bool:
    """Whether the virtual host has a queue of that name; it is not made."""

    async def known(connection: AbstractConnection) -> bool:
        channel = await connection.channel()
        try:
            await channel.queue_declare(name, passive=True)
        except ChannelNotFoundEntity:
            return False
        return True

    return _asked(amqp_url, known)


def _asked(amqp_url: str, question: Callable[[AbstractConnection], Awaitable[T]], timeout: float = 15.0) -> T:
    async def run() -> T:
        connection = await aiormq.connect(amqp_url)
        try:
            return await question(connection)
        finally:
            await connection.close()

    # In a thread of its own: the caller's thread may have a running event loop.
    with ThreadPoolExecutor(max_workers=1) as executor:
        return executor.submit(lambda: asyncio.run(asyncio.wait_for(run(), timeout))).result()
