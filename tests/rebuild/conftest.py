"""A log that was folded by a projector, and what rebuilding and verifying make of it."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any
from uuid import UUID

import asyncpg
import pytest

from services.projector.firing.firing import Firing
from services.projector.live.mailbox import Mailbox
from services.projector.rebuild.report import Mode
from services.projector.rebuild.work import NAMES, working
from services.projector.storing.leftovers import QUERIES
from shared.database.pool import connect, open_pool, persist
from shared.log import Append, Appended, Log
from shared.timing.policies import default_policies
from tests.database_clock import set_database_clock
from tests.projector.conftest import owning, projector, state, unhurried, until, write
from tests.projector.histories import START, history

if TYPE_CHECKING:
    Connection = asyncpg.Connection[asyncpg.Record]

__all__ = ["unhurried"]

POLICIES = default_policies()


@dataclass
class System:
    """One database with its log; everything else is done to it by the test."""

    url: str
    log: Log
    connection: Connection

    async def at(self, moment: datetime) -> None:
        """Set the database's clock; it stands still there."""
        async with owning(self.url) as owner:
            await set_database_clock(owner, moment)

    async def happen(self, seed: int, seekers: int = 3) -> None:
        """More is written to the log, by other seekers for each seed."""
        head = (await self.log.head()).position
        await write(self.log, history(seed, seekers), after=head)

    async def append(self, wanted: Sequence[Append]) -> list[UUID]:
        """Write all of it; answers the commands that were acknowledged."""
        outcomes = await self.log.append_all(wanted)
        assert all(isinstance(outcome, Appended) for outcome in outcomes), outcomes
        return [each.command_id for each in wanted]

    async def fold(self) -> None:
        """The projector folds all there is."""
        async with projector(self.url, self.log, Mailbox()).session() as session:
            await session.run_once()

    async def fire(self) -> None:
        """Everything due by the database's clock becomes an event."""
        async with Firing(self.url, POLICIES).session() as session:
            await session.run_once()

    async def caught_up(self) -> int:
        """Waits until a projector that runs has folded all there is; answers up to where that is."""
        head = (await self.log.head()).position

        async def reached() -> bool:
            return int(await self.connection.fetchval("SELECT position FROM read.checkpoint")) == head

        await until(reached)
        return head

    async def leave(self, mode: Mode) -> None:
        """Build all that is live anew and die of it before anything else."""
        async with working(self.url, POLICIES, mode, NAMES) as work:
            await work.generations.prepare()
            await work.build()
        await self.nobody_at_work()

    async def nobody_at_work(self) -> None:
        """Waits until the server knows that whoever was at work is dead."""
        await until(lambda: self.connection.fetchval(QUERIES["take_turn"]))
        await self.connection.execute(QUERIES["end_turn"])

    async def state(self) -> dict[str, Any]:
        return await state(self.connection)

    async def generations(self, model: str = "pipeline") -> list[tuple[int, str]]:
        rows = await self.connection.fetch("SELECT id, status FROM read.generation WHERE model = $1 ORDER BY id", model)
        return [(row["id"], row["status"]) for row in rows]

    async def spoil(self, model: str, body: dict[str, Any], *, state: str | None = None) -> str:
        """Change a live row behind everybody's back; answers its key."""
        key: str = await self.connection.fetchval(
            """UPDATE read.row r SET body = (r.body::jsonb || $2::jsonb)::json, state = coalesce($3, r.state)
               WHERE (r.generation, r.tenant, r.key) = (
                   SELECT r.generation, r.tenant, r.key
                   FROM read.row r JOIN read.generation g ON g.id = r.generation AND g.model = $1 AND g.status = 'live'
                   ORDER BY r.key LIMIT 1)
               RETURNING r.key""",
            model,
            json.dumps(body),
            state,
        )
        return key


@asynccontextmanager
async def opened(database_url: str) -> AsyncIterator[System]:
    pool = await open_pool(database_url)
    connection = await persist("postgresql", lambda: connect(database_url))
    try:
        async with Log.open(pool, database_url) as log:
            yield System(database_url, log, connection)
    finally:
        await connection.close()
        await pool.close()


@pytest.fixture
async def system(database_url: str) -> AsyncIterator[System]:
    async with opened(database_url) as system:
        yield system


@pytest.fixture
async def folded(system: System) -> System:
    """Some lives, folded; what was due by then has fired, and was folded again; more is pending."""
    await system.at(START)
    await system.happen(1)
    await system.fold()
    await system.at(START + timedelta(days=4))
    await system.fire()
    await system.fold()
    return system
