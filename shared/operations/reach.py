"""Can a server be reached at all?"""

from __future__ import annotations

import asyncio
from urllib.parse import urlsplit

PORTS = {"amqp": 5672, "amqps": 5671, "postgresql": 5432, "postgres": 5432}


async def reaches(url: str) -> None:
    """Open a TCP connection to the server that `url` names, and close it. Raises `OSError`.

    Nothing is said on it: a server that is asked every few seconds should not have to log half a handshake each time.
    """
    parts = urlsplit(url)
    _, writer = await asyncio.open_connection(parts.hostname or "127.0.0.1", parts.port or PORTS[parts.scheme])
    writer.close()
    await writer.wait_closed()
