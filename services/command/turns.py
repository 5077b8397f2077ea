"""One at a time on each stream, within this process."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import UUID


class Turns:
    """Keyed locks that exist only while somebody holds or waits for them.

    Not for correctness, which the log's version check gives; they spare commands that meet on one stream from
    deciding on the same state, of which all but one would have to decide again.
    """

    def __init__(self) -> None:
        self._locks: dict[tuple[str, UUID], tuple[asyncio.Lock, int]] = {}

    @asynccontextmanager
    async def take(self, tenant: str, stream_id: UUID) -> AsyncIterator[None]:
        key = (tenant, stream_id)
        lock, users = self._locks.get(key, (asyncio.Lock(), 0))
        self._locks[key] = (lock, users + 1)
        try:
            async with lock:
                yield
        finally:
            lock, users = self._locks[key]
            if users == 1:
                del self._locks[key]
            else:
                self._locks[key] = (lock, users - 1)
