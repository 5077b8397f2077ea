"""The comparison with a cold fold finds what is planted into the database."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

import asyncpg
import pytest

from services.projector.folding.folder import Folder
from services.projector.folding.timing_fold import TimingFold
from services.projector.live.loop import Projector
from services.projector.live.mailbox import Mailbox
from services.projector.models import MODELS
from shared.database.pool import open_pool
from shared.envelope import Recorded
from shared.log import Log
from shared.timing.policies import default_policies
from tests.chaos.cold_fold import ColdFold, shown
from tests.projector.histories import appends, history

if TYPE_CHECKING:
    Connection = asyncpg.Connection[asyncpg.Record]


@pytest.fixture
async def connection(database_url: str) -> AsyncIterator[Connection]:
    """To a database whose log is folded."""
    pool = await open_pool(database_url)
    async with Log.open(pool, database_url) as log:
        await log.append_all(appends(history(seed=5, seekers=3)))
        folder = Folder(MODELS, TimingFold(default_policies()))
        async with Projector(database_url, log, folder, Mailbox()).session() as session:
            while await session.run_once():
                pass
    await pool.close()
    connection = await asyncpg.connect(database_url)
    yield connection
    await connection.close()


@pytest.fixture
async def cold(connection: Connection) -> ColdFold:
    columns = ", ".join(Recorded.__dataclass_fields__)
    cold = ColdFold()
    cold.go_on([Recorded(*row) for row in await connection.fetch(f"SELECT {columns} FROM log.event ORDER BY position")])
    return cold


async def test_what_was_folded_as_it_should_be_does_not_differ(cold: ColdFold, connection: Connection) -> None:
    """Given a log that a projector has folded, when that is compared, then nothing differs; nor when timers were put
    off."""
    assert cold.differences(await shown(connection)) == []
    await connection.execute("UPDATE read.timer SET due_at = due_at + interval '1 day' WHERE outcome IS NULL")
    assert cold.differences(await shown(connection)) == []


ONE_ROW = "(generation, tenant, key) = (SELECT generation, tenant, key FROM read.row ORDER BY 1, 2, 3 LIMIT 1)"
ONE_TIMER = "(tenant, id) = (SELECT tenant, id FROM read.timer WHERE {} ORDER BY 1, 2 LIMIT 1)"
PENDING, ENDING = ONE_TIMER.format("outcome IS NULL"), ONE_TIMER.format("outcome IS NOT NULL")
OTHERWISE = """regexp_replace(ending::text, '"because": ?"[^"]*"', '"because":"otherwise"')::json"""
PIPELINE = "generation = (SELECT id FROM read.generation WHERE model = 'pipeline' AND status = 'live')"


PLANTED = [
    (f"DELETE FROM read.row WHERE {ONE_ROW}", "row .* is missing"),
    (f"UPDATE read.row SET key = gen_random_uuid() WHERE {ONE_ROW}", "row .* should not be there"),
    (
        f"UPDATE read.row SET body = replace(body::text, 'Marketing', 'Farming')::json WHERE {PIPELINE}",
        "row .* a cold fold gives",
    ),
    (f"DELETE FROM read.timer WHERE {PENDING}", "timer .* is missing"),
    (f"UPDATE read.timer SET id = gen_random_uuid() WHERE {PENDING}", "timer .* should not be there"),
    (
        f"UPDATE read.timer SET body = replace(body::text, '\"seeker\"', '\"coach\"')::json WHERE {PENDING}",
        "timer .* a cold fold gives",
    ),
    (
        f"UPDATE read.timer SET ending = {OTHERWISE} WHERE {ENDING}",
        "timer .* a cold fold gives",
    ),
    (
        f"UPDATE read.timer SET due_at = due_at - interval '1 second' WHERE {PENDING}",
        "timer .* is due at .* before",
    ),
    (f"UPDATE read.timer SET due_at = due_at + interval '30 days' WHERE {PENDING}", "timer .* is due at .* long after"),
    *(
        (f"UPDATE read.timer SET {column} = {wrong} WHERE {PENDING}", "timer .* a cold fold gives")
        for column, wrong in (
            ("subject_id", "gen_random_uuid()"),
            ("seeker_id", "gen_random_uuid()"),
            ("guards", "guards[2:]"),
        )
    ),
    *(
        (f"UPDATE read.row SET {column} = {wrong} WHERE {PIPELINE}", "row .* a cold fold gives")
        for column, wrong in (
            ("owner", "gen_random_uuid()"),
            ("state", "'otherwise'"),
            ("sort", "sort + interval '1 second'"),
        )
    ),
    (
        "INSERT INTO read.parked (tenant, stream_id, category, position, model, error) "
        "VALUES ('acme', gen_random_uuid(), 'lead', 1, 'leads', 'broken')",
        "parked: stream .* broken",
    ),
]


async def test_planted_differences_are_found(cold: ColdFold, connection: Connection) -> None:
    """Given a folded log, when one thing is not as a fold would have it, then that is named."""
    missed = []
    for planted, found in PLANTED:
        transaction = connection.transaction()
        await transaction.start()
        await connection.execute(planted)
        if not any(re.fullmatch(f"{found}.*", each) for each in cold.differences(await shown(connection))):
            missed.append(planted)
        await transaction.rollback()
    assert missed == []
