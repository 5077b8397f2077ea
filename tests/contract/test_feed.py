"""The history feed, page by page."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import asyncpg
import httpx
import pytest

from deploy.launcher.infrastructure import Infrastructure
from services.projector.feed import feed as feed_module
from services.projector.feed.feed import Feed
from shared.broker import cloudevents
from shared.database.pool import connect, open_pool
from shared.log import Append, Log, history
from shared.log.history import QUERIES, History
from tests.command.stand_by import stand_by_away
from tests.contract.conftest import PATIENCE, an_append, failing, get, reached

Write = Callable[[Sequence[Append]], Awaitable[None]]
MIXED = [("interview.held", "demo"), ("lead.recorded", "demo"), ("interview.planned", "acme"), ("seeker.left", "acme")]


def some_appends(count: int, data: bytes = b"{}") -> list[Append]:
    """Of all kinds, and of two tenants, in turn."""
    return [an_append(number, *MIXED[number % 4], data) for number in range(count)]


def positions(response: httpx.Response) -> list[int]:
    return [int(json.loads(line)["position"]) for line in response.text.splitlines()]


async def walk(client: httpx.AsyncClient, **query: Any) -> list[int]:
    """All that is there, by following `Kithlog-Position` to the head."""
    seen: list[int] = []
    after = query.pop("after", 0)
    while True:
        response = await get(client, after=after, **query)
        seen += positions(response)
        after = int(response.headers["kithlog-position"])
        if response.headers["kithlog-position"] == response.headers["kithlog-head"]:
            return seen


async def test_a_line_is_the_message_that_went_over_the_broker(
    client: httpx.AsyncClient, log: Log, append: Write
) -> None:
    """Given some events, when they are asked for, then each line has the bytes that the relay sends."""
    await append(some_appends(5, data='{"note":"Grüße","lines":"two\\nlines"}'.encode()))

    response = await get(client)

    assert response.headers["content-type"] == "application/x-ndjson"
    assert response.content.split(b"\n")[:-1] == [cloudevents.encode(event)[0] for event in await log.read(0, 10)]
    assert response.headers["kithlog-position"] == response.headers["kithlog-head"] == "5"
    assert response.headers["kithlog-epoch"] == "1"


async def test_an_answer_tells_the_logs_time(client: httpx.AsyncClient, database_url: str) -> None:
    """Given a database whose clock stands a year ahead, then that is the time, whether or not there is an event."""
    owner = await connect(database_url, server_settings={"role": "none"})
    await owner.execute(
        "CREATE OR REPLACE FUNCTION log.now() RETURNS timestamptz LANGUAGE sql "
        "AS $$ SELECT '2036-03-02T12:00:00.5Z'::timestamptz $$"
    )
    await owner.close()

    response = await get(client)

    assert response.headers["kithlog-time"] == "2036-03-02T12:00:00.500000+00:00"


async def test_a_page_tells_nothing_that_a_fail_over_would_lose(
    client: httpx.AsyncClient, database_url: str, append: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given an event that a synchronous stand-by, being away, does not have, then a page that would tell of it, be it
    by its position alone, is answered 503; what the reader has seen before is no reason to wait."""
    [first, second] = some_appends(2)
    await append([first])
    async with stand_by_away(database_url) as owner:
        assert positions(await get(client, after=1)) == []
        await Log.append_within(owner, [second])
        with monkeypatch.context() as hasty:
            hasty.setattr(history, "PATIENCE", 0.3)
            for query in ("after=1", "after=1&tenant=nobody"):
                response = await client.get(f"/v1/events?{query}")
                assert (response.status_code, response.json()["code"]) == (503, "log_unavailable")
    assert positions(await get(client, after=1)) == [2]


async def test_a_page_is_not_confirmed_by_another_server(
    client: httpx.AsyncClient, append: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given a stand-by that takes over between the reading of a page and the waiting for what it tells, then the page
    is answered 503: that the server of now has committed says nothing of what the one before has shown."""
    await append(some_appends(2))
    with monkeypatch.context() as meanwhile:
        meanwhile.setitem(QUERIES, "await_stand_by", "SELECT pg_postmaster_start_time() - interval '1 hour'")
        response = await client.get("/v1/events?after=0")
        assert (response.status_code, response.json()["code"]) == (503, "log_unavailable")
        assert positions(await get(client, after=2)) == []
    assert positions(await get(client, after=0)) == [1, 2]


_WAITING = """
    SELECT count(*) > 0 FROM pg_stat_activity
    WHERE wait_event = 'SyncRep' AND datname = current_database() AND application_name = 'kithlog'
"""


async def test_readers_who_wait_for_a_stand_by_leave_room_for_others(
    database_url: str, append: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given more readers behind the log than connections, when a synchronous stand-by is away, then others get in."""
    monkeypatch.setattr(history, "PATIENCE", 2 * PATIENCE)
    await append(some_appends(2))
    pool = await open_pool(database_url, max_size=2)
    async with stand_by_away(database_url) as owner:
        one = History(pool)
        pages = [asyncio.create_task(one.page(0, 10)) for _ in range(5)]
        while not await owner.fetchval(_WAITING):  # noqa: ASYNC110 - it gives no signal
            await asyncio.sleep(0.01)
        assert await asyncio.wait_for(pool.fetchval("SELECT 7"), PATIENCE) == 7
    assert [len(page.events) for page in await asyncio.gather(*pages)] == [2] * 5
    await pool.close()


async def test_an_empty_log_is_an_empty_page(client: httpx.AsyncClient) -> None:
    """Given nothing has happened, then the page is empty and says that this is all."""
    response = await get(client)

    assert response.content == b""
    assert response.headers["kithlog-position"] == response.headers["kithlog-head"] == "0"


@pytest.mark.parametrize("limit", [1, 3, 1000])
async def test_pages_give_every_event_once(client: httpx.AsyncClient, append: Write, limit: int) -> None:
    """Given pages of any size, when they are followed to the end, then every position was there once, in order."""
    await append(some_appends(10))

    assert await walk(client, limit=limit) == list(range(1, 11))
    assert await walk(client, limit=limit, after=7) == [8, 9, 10]


async def test_the_link_leads_to_the_next_page(client: httpx.AsyncClient, append: Write) -> None:
    """Given a page that is not the last, when its link is followed, then the same question goes on."""
    await append(some_appends(12))

    response = await get(client, limit=2, types=["interview.*", "lead.recorded"], tenant="demo")
    following = await client.get(response.links["next"]["url"])

    assert positions(response) == [1, 2]
    assert positions(following) == [5, 6]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({"tenant": "acme"}, [3, 4, 7, 8, 11, 12]),
        ({"tenant": "nobody"}, []),
        ({"types": "interview.held"}, [1, 5, 9]),
        ({"types": "interview.held,seeker.left"}, [1, 4, 5, 8, 9, 12]),
        ({"types": ["interview.held", "seeker.*"]}, [1, 4, 5, 8, 9, 12]),
        ({"types": "interview.*", "tenant": "acme"}, [3, 7, 11]),
    ],
    ids=str,
)
async def test_a_filter_gives_what_it_names_and_proves_that_this_is_all(
    client: httpx.AsyncClient, append: Write, query: dict[str, Any], expected: list[int]
) -> None:
    """Given a filter, then the answer holds every match and no other, and goes up to the log's end all the same."""
    await append(some_appends(12))

    response = await get(client, **query)

    assert positions(response) == expected
    assert response.headers["kithlog-position"] == response.headers["kithlog-head"] == "12"


async def test_a_rare_match_is_found_however_far_away(
    client: httpx.AsyncClient, append: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given one match among many events, when only a few are looked through for a page, then pages without any event
    lead to it, and it is not passed over.
    """
    monkeypatch.setattr(history, "WINDOW", 10)
    monkeypatch.setattr(feed_module, "PAGES_IN_VAIN", 2)
    await append([an_append(number, "lead.dropped" if number == 77 else "lead.recorded") for number in range(100)])

    first = await get(client, types="lead.dropped")

    assert positions(first) == []
    assert first.headers["kithlog-position"] == "20"
    assert await walk(client, types="lead.dropped") == [78]


async def test_large_events_make_short_pages(
    client: httpx.AsyncClient, append: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given events of which one fills a page, then each page holds at least one, and nothing is left out."""
    monkeypatch.setattr(history, "MOST_BYTES", 1000)
    await append(some_appends(8, data=b'{"note":"' + b"x" * 600 + b'"}'))

    assert positions(await get(client)) == [1, 2]
    assert await walk(client) == list(range(1, 9))
    assert await walk(client, tenant="acme") == [3, 4, 7, 8]


async def test_a_waiting_reader_hears_of_the_next_event(client: httpx.AsyncClient, append: Write, feed: Feed) -> None:
    """Given a reader who waits at the end, when a match is recorded, then the answer holds it; others don't end it."""
    await append(some_appends(1))
    waiting = asyncio.create_task(get(client, after=1, wait=30, tenant="acme"))
    await reached(lambda: feed.listeners == 1)

    await append([an_append(101, tenant="demo")])
    await append([an_append(102, tenant="acme")])
    response = await waiting

    assert positions(response) == [3]
    assert response.headers["kithlog-position"] == "3"
    assert feed.listeners == 0


async def test_a_reader_who_waits_in_vain_is_told_how_far_it_was_looked(
    client: httpx.AsyncClient, append: Write
) -> None:
    """Given no match comes, when the wait is over, then the page is empty and goes up to the log's end."""
    await append(some_appends(2))

    response = await get(client, after=0, wait=1, types="notification.due")

    assert positions(response) == []
    assert response.headers["kithlog-position"] == "2"


@pytest.mark.parametrize("query", [{"after": 3}, {"after": 2**63 - 1}, {"after": 1, "epoch": 2}], ids=str)
async def test_a_reader_of_another_timeline_is_told(
    client: httpx.AsyncClient, append: Write, query: dict[str, Any]
) -> None:
    """Given a log that was restored, when a reader is ahead of it, or of another epoch, then it is refused."""
    await append(some_appends(2))

    response = await client.get("/v1/events", params=query)

    assert response.status_code == 409
    problem = response.json()
    assert (problem["code"], problem["position"], problem["epoch"]) == ("forked", 2, 1)
    assert "fork" not in problem, "nobody knows what that reader has seen"


async def test_a_reader_of_an_earlier_timeline_is_told_where_it_ended(
    client: httpx.AsyncClient, database_url: str, append: Write
) -> None:
    """Given a log that was restored twice, when a reader asks with the epoch that it is in, then it is told up to where
    the log is what that reader has seen, and from there, in the epoch that it is told, it can read on."""
    await append(some_appends(10))
    for last, epoch in ((6, 3), (8, 4)):
        owner = await asyncpg.connect(database_url, server_settings={"session_replication_role": "replica"})
        await owner.execute("DELETE FROM log.event WHERE position > $1", last)
        await owner.execute("UPDATE log.head SET position = $1, epoch = $2", last, epoch)
        await owner.close()
        await append([an_append(100 * epoch + number) for number in range(5)])

    for epoch, after, fork in (
        (1, 10, 6),
        (1, 1000, 6),
        (1, 6, 6),
        (1, 4, 4),
        (1, 0, 0),
        (3, 11, 8),
        (2, 7, 6),
        (4, 99, 13),
    ):
        response = await client.get("/v1/events", params={"after": after, "epoch": epoch})
        assert response.status_code == 409
        problem = response.json()
        assert (problem["position"], problem["epoch"], problem["fork"]) == (13, 4, fork), (epoch, after)
        assert (await get(client, after=fork, epoch=4)).headers["kithlog-position"] == "13"


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ({"after": -1}, "query.after"),
        ({"after": "last"}, "query.after"),
        ({"after": 2**63}, "query.after"),
        ({"limit": 0}, "query.limit"),
        ({"limit": 1001}, "query.limit"),
        ({"wait": 31}, "query.wait"),
        ({"wait": 0.5}, "query.wait"),
        ({"tenant": "Not A Tenant"}, "query.tenant"),
        ({"types": "interview.*; DROP TABLE"}, "query.types.0"),
        ({"types": "interview.hold"}, "query.types"),
        ({"types": "interviews.*"}, "query.types"),
        ({"types": ""}, "query.types.0"),
        ({"epoch": 0}, "query.epoch"),
        ({"tenants": "demo"}, "query.tenants"),
    ],
    ids=str,
)
async def test_what_can_not_be_meant_is_refused(client: httpx.AsyncClient, query: dict[str, Any], field: str) -> None:
    """Given a parameter that makes no sense, then a problem document names it."""
    response = await client.get("/v1/events", params=query)

    assert response.status_code == 422, response.text
    assert response.headers["content-type"] == "application/problem+json"
    assert response.json()["field"] == field


async def test_too_many_who_wait_are_sent_away(client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch) -> None:
    """Given as many wait as may, then the next is told to come back, and who does not wait is served."""
    monkeypatch.setattr(feed_module, "MOST_LISTENERS", 0)

    waiting = await client.get("/v1/events", params={"wait": 1})
    stream = await client.get("/v1/events", headers={"Accept": "text/event-stream"})

    for response in (waiting, stream):
        assert (response.status_code, response.json()["code"]) == (503, "too_many_listeners")
        assert response.headers["retry-after"] == "5"
    await get(client)


@pytest.mark.parametrize(
    "passing", [asyncpg.QueryCanceledError, asyncpg.DiskFullError, asyncpg.ReadOnlySQLTransactionError]
)
async def test_what_passes_at_postgresql_is_said(
    client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch, passing: type[Exception]
) -> None:
    """Given a PostgreSQL that is there, but ends the statement or has no room, then readers are told to come back."""
    monkeypatch.setattr(History, "page", failing(passing))
    response = await client.get("/v1/events")
    assert (response.status_code, response.json()["code"]) == (503, "log_unavailable")


async def test_postgresql_away_is_said_and_passes(
    client: httpx.AsyncClient, append: Write, infra: Infrastructure
) -> None:
    """Given PostgreSQL was killed, then readers are told to come back; when it is there again, they get all."""
    await append(some_appends(3))
    await asyncio.to_thread(infra.postgres.kill)
    try:
        response = await client.get("/v1/events")
        assert (response.status_code, response.json()["code"]) == (503, "log_unavailable")
    finally:
        await asyncio.to_thread(infra.postgres.start)

    assert await walk(client) == [1, 2, 3]
