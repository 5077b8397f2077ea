"""The servers of a benchmark, and how much of it there is to be."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from deploy.launcher.infrastructure import Infrastructure
from shared.database.migrate import migrate


@dataclass(frozen=True, slots=True)
class Bench:
    """One run: both sides of each comparison on these servers, with `fsync` on, persistent messages and confirms."""

    infrastructure: Infrastructure
    rounds: int = 5
    scale: float = 1.0
    made: set[str] = field(default_factory=set)
    """Names of databases that are there to be copied."""

    def scaled(self, number: int) -> int:
        """So many at full scale; a thousand at least, in whole thousands."""
        return max(1000, round(number * self.scale / 1000) * 1000)

    @property
    def seconds(self) -> int:
        """How long an external program measures."""
        return max(1, round(3 * self.scale))

    async def database(self, name: str) -> str:
        """A migrated database of this part's own."""
        url = await asyncio.to_thread(self.infrastructure.postgres.create_database, f"bench_{name}")
        await migrate(url)
        return url
