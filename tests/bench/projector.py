"""The projector when it is far behind, with all read models and the timers."""

from __future__ import annotations

from time import perf_counter

import asyncpg

from services.projector.folding.folder import Folder
from services.projector.folding.timing_fold import TimingFold
from services.projector.live.loop import PAGE, Projector
from services.projector.live.mailbox import Mailbox
from services.projector.models import MODELS
from shared.codec import decode
from shared.database.pool import open_pool
from shared.log import Log
from shared.timing.policies import default_policies
from tests.bench import synthetic
from tests.bench.rounds import Goal, Result, compare
from tests.bench.servers import Bench

UNFOLD = """
TRUNCATE read.row, read.timer, read.told, read.parked;
DELETE FROM read.checkpoint;
"""


async def run(bench: Bench) -> list[Result]:
    events = bench.scaled(200_000)
    database_url = await synthetic.log_of(bench, "behind", events)
    pool = await open_pool(database_url)
    owner = await asyncpg.connect(database_url)
    async with Log.open(pool, database_url) as log:

        async def ours() -> float:
            await owner.execute(UNFOLD)
            folder = Folder(MODELS, TimingFold(default_policies()))
            began = perf_counter()
            async with Projector(database_url, log, folder, Mailbox()).session() as session:
                return await session.run_once() / (perf_counter() - began)

        async def limit() -> float:
            began, position = perf_counter(), 0
            while page := await log.read(position, PAGE):
                for event in page:
                    decode(event)
                position = page[-1].position
            return position / (perf_counter() - began)

        name = f"projector, behind by {events:,}, {len(MODELS)} read models and timers"
        against = [("paging through the log, decoding only", limit, Goal(0.3))]
        results = await compare(name, ours, against, unit="events/s", rounds=bench.rounds)
    await owner.close()
    await pool.close()
    return results
