"""A log to fold, a projector to fold it, and what it leads to, compared with folding in memory."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Any

import asyncpg
import pytest

from services.projector.firing import firing
from services.projector.folding.changes import Ending, TimerId
from services.projector.folding.folder import Folder
from services.projector.folding.read_model import ReadModel
from services.projector.folding.timing_fold import TimingFold
from services.projector.live import session
from services.projector.live.loop import Projector
from services.projector.live.mailbox import Mailbox, Place
from services.projector.models import MODELS
from shared.broker import cloudevents
from shared.database.pool import connect, open_pool, persist
from shared.domain.notification import Withdrawn
from shared.envelope import Recorded
from shared.log import Appended, Log
from shared.timing.policies import default_policies
from shared.timing.timers import TIMER, Timer
from tests.database_clock import set_database_clock
from tests.projector.histories import START, Happening, appends
from tests.projector.memory import Memory

if TYPE_CHECKING:
    Connection = asyncpg.Connection[asyncpg.Record]

At = Callable[[datetime], Coroutine[Any, Any, None]]

PATIENCE = 60.0
"""Seconds after which a test that waits for something gives up: not a measure, a way out."""


@pytest.fixture(autouse=True)
def unhurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """However busy the machine is, one pass of folding comes to the log's end, and none of firing is cut off."""
    monkeypatch.setattr(session, "STRETCH", PATIENCE * 60)
    monkeypatch.setitem(firing.SETTINGS, "idle_in_transaction_session_timeout", "0")


@pytest.fixture
async def pool(database_url: str) -> AsyncIterator[asyncpg.Pool[asyncpg.Record]]:
    pool = await open_pool(database_url)
    yield pool
    await pool.close()


@pytest.fixture
async def log(pool: asyncpg.Pool[asyncpg.Record], database_url: str) -> AsyncIterator[Log]:
    async with Log.open(pool, database_url) as log:
        yield log


@pytest.fixture
async def connection(database_url: str) -> AsyncIterator[Connection]:
    connection = await persist("postgresql", lambda: connect(database_url))
    yield connection
    await connection.close()


@asynccontextmanager
async def owning(database_url: str) -> AsyncIterator[Connection]:
    """A connection of who owns the database and all that is in it."""
    connection = await asyncpg.connect(database_url)
    try:
        yield connection
    finally:
        await connection.close()


@pytest.fixture
async def owner(database_url: str) -> AsyncIterator[Connection]:
    async with owning(database_url) as connection:
        yield connection


@pytest.fixture
async def at(owner: Connection) -> At:
    """`await at(moment)` sets the database's clock; it stands still there."""
    await set_database_clock(owner, START)
    return partial(set_database_clock, owner)


async def write(log: Log, happenings: Sequence[Happening], *, after: int = 0) -> list[Recorded[bytes]]:
    """Append each by itself; the streams must be new. Answers the whole log."""
    outcomes = await log.append_all(appends(happenings, after=after))
    assert all(isinstance(outcome, Appended) for outcome in outcomes), outcomes
    return await log.read(0, 1_000_000)


def folder(*others: ReadModel[Any]) -> Folder:
    """Of all read models, with others beside them, or in the place of those of the same name."""
    models = {model.name: model for model in (*MODELS, *others)}
    return Folder(tuple(models.values()), TimingFold(default_policies()))


def projector(database_url: str, log: Any, mailbox: Mailbox | None = None, **options: Any) -> Projector:
    options.setdefault("folder", folder())
    return Projector(database_url, log, mailbox=mailbox or Mailbox(), **options)


PLACE = Place()


class Letter:
    """A message without a broker; remembers whether it was acknowledged."""

    def __init__(self, body: bytes | None, headers: Mapping[str, Any], channel: Place | None = None) -> None:
        self.body, self.headers, self.channel = body, headers, channel or PLACE
        self.acknowledged = False

    def empty(self) -> None:
        self.body = None

    async def acknowledge(self) -> None:
        self.acknowledged = True


def letter(event: Recorded[bytes], **headers: Any) -> Letter:
    body, own = cloudevents.encode(event)
    return Letter(body, own | headers)


class CountedLog:
    """Counts how often the log is read, and fails when it is not to be read at all."""

    def __init__(self, log: Log) -> None:
        self._log, self.reads = log, 0

    async def read(self, after: int, limit: int, most_bytes: int) -> list[Recorded[bytes]]:
        self.reads += 1
        return await self._log.read(after, limit, most_bytes)


async def state(connection: Connection) -> dict[str, Any]:
    """All that was folded into the database: checkpoint, rows, timers, parked streams."""
    rows = await connection.fetch(
        """SELECT g.model, r.tenant, r.key, r.owner, r.state, r.sort, r.body
           FROM read.row r JOIN read.generation g ON g.id = r.generation AND g.status = 'live'
           ORDER BY 1, 2, 3"""
    )
    timers = await connection.fetch(
        "SELECT tenant, id, due_at, outcome, ending, guards, body FROM read.timer ORDER BY tenant, id"
    )
    parked = await connection.fetch("SELECT tenant, stream_id, position, model, error FROM read.parked ORDER BY 1, 2")
    return {
        "position": await connection.fetchval("SELECT position FROM read.checkpoint"),
        "rows": [tuple(row) for row in rows],
        "timers": [tuple(row) for row in timers],
        "parked": [tuple(row) for row in parked],
    }


async def assert_equals_a_cold_fold(connection: Connection, events: Sequence[Recorded[bytes]], fold: Folder) -> None:
    """The database holds exactly what folding those events in memory, one by one, leads to."""
    await assert_equals(connection, Memory(fold).fold(events, [1]), events[-1].position if events else 0, fold)


async def assert_equals(connection: Connection, memory: Memory, position: int, fold: Folder) -> None:
    """The database stands at a position and holds exactly what was folded in memory."""
    models = {model.name: model for model in fold.models}
    found = await state(connection)
    assert found["position"] == position
    rows = {(model, tenant, key): models[model].decode(body) for model, tenant, key, *_, body in found["rows"]}
    assert rows == {id: row for id, row in memory.rows.items() if row is not None}
    assert [timer_of(*timer) for timer in found["timers"]] == [
        expected_timer(id, memory.timers[id]) for id in sorted(memory.timers)
    ]
    assert {(tenant, id) for tenant, id, *_ in found["parked"]} == set(memory.parked)


def timer_of(tenant: str, id: Any, due_at: Any, outcome: Any, ending: Any, guards: Any, body: str) -> Any:
    timer = TIMER.validate_json(body) if ending is None else None
    return (tenant, id, due_at, outcome, tuple(guards), timer or Withdrawn.model_validate_json(ending))


def expected_timer(id: TimerId, timer: Timer | Ending) -> Any:
    if isinstance(timer, Ending):
        return (*id, timer.due_at, timer.event.reason, (), timer.event)
    return (*id, timer.due_at, None, timer.guards, timer)


@asynccontextmanager
async def running(run: Any) -> AsyncIterator[asyncio.Task[None]]:
    """A loop's `run`, in the background until the block ends; what it raises is raised then."""
    stop = asyncio.Event()
    task = asyncio.create_task(run(stop))
    try:
        yield task
    finally:
        stop.set()
        await asyncio.wait_for(task, PATIENCE)


async def until(holds: Callable[[], Awaitable[object]]) -> None:
    """Wait until the condition holds; gives up, and so fails the test, after a minute."""
    async with asyncio.timeout(PATIENCE):
        while True:
            if await holds():
                return
            await asyncio.sleep(0.005)


async def until_blocked(observer: Connection, sessions: int = 1) -> None:
    """Wait until so many sessions of this database wait for a lock."""

    async def blocked() -> bool:
        count: int = await observer.fetchval(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
        )
        return count >= sessions

    await until(blocked)


async def end_the_blocked(database_url: str) -> None:
    """End the session of this database that waits for a lock, once one does."""
    async with owning(database_url) as observer:
        await until_blocked(observer)
        await observer.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
            " AND datname = current_database()"
        )
