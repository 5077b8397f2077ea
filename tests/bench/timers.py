"""Firing: a hundred thousand timers due at once out of a million, and few at a time, with as many pending.

All timers are copies of one that a real history led to, each of a seeker of its own among as many recipients as are
due, so that nobody's daily limit holds it back. The clock of firing is set to that timer's time. No projector folds
beside: its checkpoint is moved as though one did, and kept up.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from itertools import count
from time import perf_counter, time
from typing import Any
from uuid import UUID

import asyncpg

from services.projector.firing.firing import BATCH, Firing
from services.projector.folding.folder import Folder
from services.projector.folding.timing_fold import TimingFold
from services.projector.live.loop import Projector
from services.projector.live.mailbox import Mailbox
from services.projector.models import MODELS
from shared.database.pool import open_pool
from shared.log import Log
from shared.log.reading import NOTIFY_CHANNEL
from shared.timing.policies import default_policies
from tests.bench import synthetic
from tests.bench.plots import histogram
from tests.bench.rounds import Goal, Result, compare, percentile, times
from tests.bench.servers import Bench

_MODEL = """
SELECT tenant, id, seeker_id, due_at FROM read.timer
WHERE outcome IS NULL AND body -> 'recipient' ->> 'role' = 'seeker' AND body ->> 'too_late' = 'false'
ORDER BY due_at, id LIMIT 1
"""
_KEEP = """
CREATE TABLE bench_timer AS SELECT * FROM read.timer WHERE tenant = $1 AND id = $2
"""
_CLOCK = """
CREATE OR REPLACE FUNCTION log.now() RETURNS timestamptz LANGUAGE sql VOLATILE PARALLEL SAFE
RETURN clock_timestamp() + make_interval(secs => {offset});
"""
_RECIPIENTS = """
INSERT INTO read.row (generation, tenant, key, owner, state, sort, body)
SELECT r.generation, r.tenant, ('00000000-0000-4000-8000-' || lpad(to_hex(n), 12, '0')), r.owner, r.state, r.sort,
       replace(r.body::text, r.key, '00000000-0000-4000-8000-' || lpad(to_hex(n), 12, '0'))::json
FROM read.row r
JOIN read.generation g ON g.id = r.generation AND g.model = 'timing_recipient' AND g.status = 'live'
CROSS JOIN generate_series(1, $3::integer) n
WHERE r.tenant = $1 AND r.key = $2
"""
_COPIES = """
INSERT INTO read.timer (tenant, id, subject_id, seeker_id, guards, due_at, body)
SELECT t.tenant, made.id, made.id, made.seeker_id, ARRAY[made.id],
       $2::timestamptz + $3::text::interval + (n - 1) * $4::text::interval,
       replace(replace(t.body::text, t.id::text, made.id::text), t.seeker_id::text, made.seeker_id::text)::json
FROM bench_timer t, generate_series(1, $1::integer) n,
     LATERAL (SELECT md5($5::text || '/' || n)::uuid AS id,
                     ('00000000-0000-4000-8000-' || lpad(to_hex(n), 12, '0'))::uuid AS seeker_id) made
"""
_BARE = """
WITH due AS (
    SELECT tenant, id, due_at FROM read.timer WHERE due_at <= $2 AND (due_at, id) > ($3, $4)
    ORDER BY due_at, id LIMIT $1 FOR UPDATE SKIP LOCKED
), gone AS (
    DELETE FROM read.timer t USING due WHERE t.tenant = due.tenant AND t.id = due.id
    RETURNING t.tenant, t.id, t.seeker_id, t.body
), numbered AS (
    SELECT *, row_number() OVER () AS n FROM gone
), moved AS (
    UPDATE log.head SET position = position + (SELECT count(*) FROM gone)
    RETURNING position - (SELECT count(*) FROM gone) AS base, epoch
), counted AS (
    INSERT INTO read.told AS told (tenant, recipient_id, since, times)
    SELECT tenant, seeker_id, date_trunc('day', $2), 1 FROM gone
    ON CONFLICT (tenant, recipient_id) DO UPDATE
    SET since = greatest(told.since, excluded.since), times = excluded.times
), appended AS (
    INSERT INTO log.event
    SELECT base + n, epoch, tenant, 'notification', id, 1, id, 'notification.due', 1, log.now(),
           log.now(), 'bench', id, id, id, convert_to(body::text, 'UTF8')
    FROM numbered, moved
    RETURNING 1
)
SELECT (SELECT count(*) FROM appended) AS fired, due_at, id FROM due ORDER BY due_at DESC, id DESC LIMIT 1
"""
"""Begins where the batch before ended, as firing does: entries of an index that were deleted cost to pass over."""
_FOLD = """
UPDATE read.checkpoint SET position = (SELECT position FROM log.head) WHERE name = 'projector'
"""
_FOLD_EVERY = 0.1
"""Seconds: a small part of what it takes to fire as many timers as positions make a projector one that is far behind
(`guarding.FAR`)."""
_names = count(1)


async def run(bench: Bench) -> list[Result]:
    pending, due = bench.scaled(1_000_000), bench.scaled(100_000)
    database_url = await synthetic.log_of(bench, "timers", 2_000)
    owner = await asyncpg.connect(database_url)
    copies = await _prepare(owner, database_url, recipients=due)
    await copies.make(pending, "30 days")
    await owner.execute("VACUUM ANALYZE read.timer")
    policies = default_policies()

    async def ours() -> float:
        await copies.make(due, "-1 second")
        await copies.set_clock()
        async with copies.folded(), Firing(database_url, policies).session() as session:
            began = perf_counter()
            fired = await session.run_once()
            seconds = perf_counter() - began
        if fired.due != due:
            raise RuntimeError(f"of {due} timers {fired}")
        return due / seconds

    async def bare() -> float:
        await copies.make(due, "-1 second")
        await copies.set_clock()
        now = await owner.fetchval("SELECT log.now()")
        after, id, fired = datetime(2000, 1, 1, tzinfo=UTC), UUID(int=0), 0
        began = perf_counter()
        while fired < due:
            row = await owner.fetchrow(_BARE, BATCH, now, after, id)
            assert row is not None
            fired, after, id = fired + row["fired"], row["due_at"], row["id"]
        return due / (perf_counter() - began)

    name = f"timers: {pending:,} pending, {due:,} due at once"
    against = [(f"the same transactions in bare SQL, {BATCH} at a time", bare, Goal(0.4))]
    results = await compare(name, ours, against, unit="timers/s", rounds=bench.rounds)
    rounds = [await _few(copies, database_url, bench.scaled(1000) // 5) for _ in range(bench.rounds + 1)][1:]
    histogram("timers-lateness", "due → committed, few due", [late * 1000 for each in rounds for late in each], "ms")
    p99 = [percentile(each, 0.99) for each in rounds]
    await owner.close()
    return [*results, times(f"timers: {pending:,} pending, few due: due → committed, p99", p99, 0.060)]


class _Copies:
    """Makes timers, and sets the clock by which they are due."""

    def __init__(self, owner: asyncpg.Connection[asyncpg.Record], due_at: datetime) -> None:
        self._owner, self.due_at = owner, due_at
        self.offset = 0.0
        """Seconds from this machine's clock to the clock of firing."""

    async def make(self, number: int, first: str, apart: str = "0 seconds") -> None:
        """So many, due so long after the time that the clock is set to, each so long after the one before."""
        await self._owner.execute("VACUUM read.timer")  # what earlier rounds left behind is not this one's
        await self._owner.execute("TRUNCATE read.told")  # else the daily limit of the same recipients is soon reached
        await self._owner.execute(_COPIES, number, self.due_at, first, apart, str(next(_names)))
        await self._owner.execute(_FOLD)

    @asynccontextmanager
    async def folded(self) -> AsyncIterator[None]:
        """Meanwhile what is fired counts as folded soon after: one whose projector is far behind fires another way."""
        over = asyncio.Event()

        async def fold() -> None:
            while not over.is_set():
                await self._owner.execute(_FOLD)
                with suppress(TimeoutError):
                    await asyncio.wait_for(over.wait(), _FOLD_EVERY)

        folding = asyncio.create_task(fold())
        try:
            yield
        finally:
            over.set()
            await folding

    async def set_clock(self) -> None:
        self.offset = self.due_at.timestamp() - time()
        await self._owner.execute(_CLOCK.format(offset=self.offset))


async def _prepare(owner: asyncpg.Connection[asyncpg.Record], database_url: str, *, recipients: int) -> _Copies:
    """Fold a short history, keep one timer to copy and nothing else, and make so many recipients."""
    pool = await open_pool(database_url)
    async with Log.open(pool, database_url) as log:
        folder = Folder(MODELS, TimingFold(default_policies()))
        async with Projector(database_url, log, folder, Mailbox()).session() as session:
            await session.run_once()
    await pool.close()
    model = await owner.fetchrow(_MODEL)
    assert model is not None
    await owner.execute(_KEEP, model["tenant"], model["id"])
    await owner.execute("TRUNCATE read.timer")
    await owner.execute(_RECIPIENTS, model["tenant"], str(model["seeker_id"]), recipients)
    return _Copies(owner, model["due_at"])


async def _few(copies: _Copies, database_url: str, number: int) -> list[float]:
    """Seconds from due to committed, heard from PostgreSQL's notification, of timers that fall due one by one."""
    listener = await asyncpg.connect(database_url)
    heard: list[tuple[int, float]] = []
    head = await listener.fetchval("SELECT position FROM log.head")
    all_heard = asyncio.Event()

    def hear(*said: Any) -> None:
        heard.append((int(said[3]), time()))
        if heard[-1][0] >= head + number:
            all_heard.set()

    await listener.add_listener(NOTIFY_CHANNEL, hear)
    await copies.make(number, "1 second", "0.02 seconds")
    await copies.set_clock()
    stop = asyncio.Event()
    firing = asyncio.create_task(Firing(database_url, default_policies()).run(stop))
    await asyncio.wait_for(all_heard.wait(), number * 0.02 + 60)
    stop.set()
    await firing
    await listener.close()
    first = copies.due_at.timestamp() + 1 - copies.offset
    moves = iter(heard)
    position, at = next(moves)
    late = []
    for place in range(number):
        while position < head + place + 1:
            position, at = next(moves)
        late.append(at - (first + place * 0.02))
    return late
