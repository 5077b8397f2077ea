"""By which index rows and timers are found, in tables of which PostgreSQL knows nothing yet and in filled ones."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any
from uuid import UUID

import asyncpg
import pytest

from services.cli.doctor_database import QUERIES as DOCTOR
from services.projector.firing.firing import QUERIES as FIRING
from services.projector.firing.firing import SETTINGS as FIRES
from services.projector.models import NETWORK, PROGRAMMES
from services.projector.queries.reader import QUERIES as READER
from services.projector.rebuild.staging import QUERIES as REBUILD
from services.projector.storing.store import QUERIES as STORE
from services.projector.storing.store import SETTINGS, Store
from shared.database.pool import connect

if TYPE_CHECKING:
    Connection = asyncpg.Connection[asyncpg.Record]

ID = UUID(int=1)
TENANT = "tenant-1"
OWNED, LISTED = NETWORK, PROGRAMMES
KEY, OWNER, TENANTS = "(generation, tenant, key)", "(generation, tenant, owner, sort, key)", "(tenant, sort, key)"
_FILL = """
INSERT INTO read.row (generation, tenant, key, owner, sort, body)
SELECT $1, 'tenant-' || n % 3, n::text, md5((n % 100)::text)::uuid, 'epoch'::timestamptz + n * interval '1 minute', '{}'
FROM generate_series(1, 5000) n
"""
_TIMERS = """
INSERT INTO read.timer (tenant, id, subject_id, seeker_id, guards, due_at, body)
SELECT 'tenant-' || n % 3, md5(n::text)::uuid, md5((n / 2)::text)::uuid, md5((n / 9)::text)::uuid, '{}',
       'epoch'::timestamptz + n * interval '1 minute', '{}'
FROM generate_series(1, 5000) n
"""


@pytest.fixture(params=["without statistics", "filled"])
async def generations(request: pytest.FixtureRequest, database_url: str, connection: Connection) -> list[int]:
    """Of a model whose rows are found by owner, and of one that is listed."""
    async with Store.open(database_url, [OWNED, LISTED]) as store:
        await store.begin()
        made = [store.generations[model.name] for model in (OWNED, LISTED)]
    if request.param == "filled":
        for generation in made:
            await connection.execute(_FILL, generation)
        await connection.execute(_TIMERS)
        await connection.execute("ANALYZE read.row, read.timer")
    return made


async def indexes(url: str, query: str, *arguments: Any) -> set[str]:
    """What the loop's own connections take: the columns of each index that a query reads, of whatever partition."""
    reading = await connect(url, server_settings=SETTINGS)
    try:
        plan = "\n".join(row[0] for row in await reading.fetch(f"EXPLAIN {query}", *arguments))
        names = re.findall(r"(?:Index Scan(?: Backward)?|Index Only Scan(?: Backward)?) using (\S+)", plan)
        names += re.findall(r"Bitmap Index Scan on (\S+)", plan)
        rows = await reading.fetch("SELECT indexdef FROM pg_indexes WHERE indexname = ANY ($1)", names)
        found = {re.sub(r".*ON \S+ USING btree (\(.*?\)).*", r"\1", row[0]) for row in rows}
        assert not re.search("Seq Scan on (row|timer)", plan), plan
        return {columns for columns in found if "tenant" in columns or "due_at" in columns}
    finally:
        await reading.close()


async def looked_up(url: str, query: str, *arguments: Any) -> set[frozenset[str]]:
    """By which columns the loop's own connections look rows and timers up, wherever a query does: one that found the
    index by its first column alone would go through all rows, as would a join that begins with them."""
    reading = await connect(url, server_settings=SETTINGS)
    try:
        plan = "\n".join(row[0] for row in await reading.fetch(f"EXPLAIN {query}", *arguments))
    finally:
        await reading.close()
    assert not re.search("Hash Join|Merge Join|Seq Scan on (row|timer)", plan), plan
    scans = re.findall(r"Index Scan using \S+ on (?:row_\d+|timer) .*\n\s+Index Cond: (.*)", plan)
    return {frozenset(re.findall(r"\((\w+) = ", condition)) for condition in scans}


async def test_a_row_is_looked_up_by_its_key(generations: list[int], database_url: str) -> None:
    for name, generation in zip((OWNED.name, LISTED.name), generations, strict=True):
        assert await indexes(database_url, STORE["load"], [generation], [TENANT], ["1"]) == {KEY}
        assert await indexes(database_url, READER["get"], name, TENANT, "1") == {KEY}


async def test_rows_of_an_owner_are_found_by_their_owner(generations: list[int], database_url: str) -> None:
    owned = (STORE["load_owned"], generations[0], [TENANT], [ID])
    assert await indexes(database_url, *owned) == {OWNER}
    assert await looked_up(database_url, *owned) == {frozenset({"generation", "tenant", "owner"})}
    page = (OWNED.name, TENANT, None, None, None, None, None, 10, ID)
    assert OWNER in await indexes(database_url, READER["page_of_owner"], *page)


async def test_rows_of_a_tenant_are_found_in_their_order(generations: list[int], database_url: str) -> None:
    page = (LISTED.name, TENANT, None, None, None, None, None, 10)
    assert TENANTS in await indexes(database_url, READER["page_of_tenant"], *page)


async def test_who_is_forgotten_is_looked_for_in_rows_of_their_tenant_alone(
    generations: list[int], database_url: str
) -> None:
    """Of the models that tell of people, and of generations that are kept to go back to: not in all."""
    of_tenant = {frozenset({"generation", "tenant"})}
    assert await looked_up(database_url, STORE["load_mentioning"], generations, [TENANT], ["x"]) == of_tenant
    assert await looked_up(database_url, STORE["forget_retired"], generations[0], [TENANT], [ID]) == of_tenant


async def test_what_a_page_deletes_is_found_by_its_key(generations: list[int], database_url: str) -> None:
    page: list[Any] = [1, 1, 2, *([[]] * 27), 1]
    keys = {frozenset({"generation", "tenant", "key"}), frozenset({"tenant", "id"})}
    assert await looked_up(database_url, STORE["apply"], *page) == keys


async def test_a_timer_is_settled_by_its_id(generations: list[int], database_url: str) -> None:
    conclude: list[list[Any]] = [[TENANT], [ID], [], [], [], [], [], [], []]
    assert await indexes(database_url, FIRING["conclude"], *conclude) == {"(tenant, id)"}
    assert await looked_up(database_url, FIRING["conclude"], *conclude) == {frozenset({"tenant", "id"})}


async def test_what_was_put_off_is_found_by_its_seeker_when_a_timer_is_claimed(
    generations: list[int], database_url: str
) -> None:
    claim = (FIRING["claim"], [TENANT], [ID], "policies")
    assert {"(tenant, id)", "(tenant, seeker_id, due_at)"} <= await indexes(database_url, *claim)
    assert frozenset({"tenant", "seeker_id"}) in await looked_up(database_url, *claim)


_CROWD = """
INSERT INTO read.timer (tenant, id, subject_id, seeker_id, guards, due_at, body)
SELECT $1, md5(what || n)::uuid, $2, $2, '{}', due_at,
       json_build_object('due_at', due_at - early, 'expires_at', due_at + interval '1 day',
                         'recipient', json_build_object('role', 'seeker'))
FROM (VALUES ('on it', interval '0', interval '0', interval '0'),
             ('after it', '0', '1 millisecond', '0'),
             ('put off', '998 milliseconds', '1 microsecond', '10 hours')) AS kind (what, first, step, early)
CROSS JOIN generate_series(1, 40) n
CROSS JOIN LATERAL (SELECT '2100-01-01T08:00Z'::timestamptz + first + n * step AS due_at) due
RETURNING tenant, id
"""


async def test_what_was_put_off_is_looked_at_once_for_all_that_is_claimed(
    generations: list[int], connection: Connection, database_url: str
) -> None:
    """Given many timers of one seeker that fall due on a second, or within it, and as many that were put off to it,
    when all are claimed, then each that was put off stands before each that falls due on the second, and no more
    timers are looked at for that than there are within the second."""
    crowd = await connection.fetch(_CROWD, TENANT, ID)
    claim = (FIRING["claim"], [row["tenant"] for row in crowd], [row["id"] for row in crowd], "policies")
    reading = await connect(database_url, server_settings=FIRES)
    try:
        claimed = await reading.fetch(*claim)
        explained = await reading.fetchval(f"EXPLAIN (ANALYZE, FORMAT JSON) {claim[0]}", *claim[1:])
    finally:
        await reading.close()
    assert [row["ahead"] for row in claimed] == [*[40] * 40, *[0] * 80]
    looked_at = [
        node["Actual Loops"] * (node["Actual Rows"] + node.get("Rows Removed by Filter", 0))
        for node in _nodes(json.loads(explained)[0]["Plan"])
        if node.get("Alias") == "o"
    ]
    assert 0 < sum(looked_at) <= 80


def _nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for part in plan.get("Plans", ()):
        yield from _nodes(part)


async def test_timers_of_a_subject_and_of_a_seeker_are_found_by_them(generations: list[int], database_url: str) -> None:
    assert await indexes(database_url, READER["next_timers"], TENANT, [ID], "thank_you") == {"(tenant, subject_id)"}
    page = (TENANT, ID, None, None, 10, None)
    assert await indexes(database_url, READER["timers"], *page) == {"(tenant, seeker_id, due_at)"}


async def test_overdue_timers_are_counted_from_where_they_begin(generations: list[int], connection: Connection) -> None:
    """Once a second, and by connections that any plan is open to: those that are not due yet are not gone through."""
    for query, *arguments in ((FIRING["figures"],), (DOCTOR["overdue"], 60)):
        plan = "\n".join(row[0] for row in await connection.fetch(f"EXPLAIN {query}", *arguments))
        (condition,) = re.findall(r"(?:using|Index Scan on) timer_by_due .*\n\s+Index Cond: (.*)", plan) or [plan]
        assert re.search(r"due_at <= \S*InitPlan|due_at <= \$\d", condition), plan
        assert "Seq Scan on timer" not in plan, plan


async def test_few_rows_of_two_generations_are_compared_by_their_keys(
    generations: list[int], connection: Connection
) -> None:
    """What has changed since all was compared a rebuild compares while it holds the checkpoint, and over a connection
    that any plan is open to."""
    query, some = REBUILD["some_differing_rows"], ([TENANT] * 500, [str(n) for n in range(500)])
    for mode in ("force_custom_plan", "force_generic_plan"):
        await connection.execute(f"SET plan_cache_mode = {mode}")
        plan = "\n".join(row[0] for row in await connection.fetch(f"EXPLAIN {query}", *generations, *some))
        conditions = re.findall(r"Index Scan using \S+_pkey on row_\d+ .*\n\s+Index Cond: (.*)", plan)
        columns = {frozenset(re.findall(r"\((\w+) = ", condition)) for condition in conditions}
        assert columns == {frozenset({"generation", "tenant", "key"})}, plan
        assert len(conditions) >= 2, plan
        assert not re.search("Hash|Merge|Seq Scan|Bitmap", plan), plan


async def test_timers_are_looked_at_in_pages_and_their_subjects_by_key(
    generations: list[int], database_url: str
) -> None:
    page = (REBUILD["timers_of_nobody"], generations[0], TENANT, ID, 2000)
    assert await indexes(database_url, *page) == {"(tenant, id)", KEY}
