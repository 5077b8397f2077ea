"""The history feed as a stream of server-sent events."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import asyncpg
import httpx
import pytest
from starlette.requests import ClientDisconnect
from starlette.types import Message

from services.projector.app import create_app
from services.projector.feed import endpoint
from services.projector.feed import feed as feed_module
from services.projector.feed.asking import Ask
from services.projector.feed.endpoint import EventStream
from services.projector.feed.feed import Feed
from services.projector.settings import ProjectorSettings
from shared.broker import cloudevents
from shared.log import Append, Log
from shared.log.history import History
from tests.contract.conftest import PATIENCE, an_append, failing, get, reached, served

Write = Callable[[Sequence[Append]], Awaitable[None]]


@dataclass(frozen=True)
class Sent:
    """One server-sent event."""

    id: str | None
    event: str
    data: dict[str, Any]


async def sent(response: httpx.Response) -> AsyncIterator[Sent]:
    fields: dict[str, str] = {}
    async for line in response.aiter_lines():
        if line:
            name, _, value = line.partition(": ")
            fields[name] = value
        else:
            yield Sent(fields.get("id"), fields["event"], json.loads(fields["data"]))
            fields = {}


@asynccontextmanager
async def streaming(
    client: httpx.AsyncClient, headers: dict[str, str] | None = None, **query: Any
) -> AsyncIterator[AsyncIterator[Sent]]:
    accept = {"Accept": "text/event-stream", **(headers or {})}
    async with client.stream("GET", "/v1/events", params=query, headers=accept) as response:
        assert response.status_code == 200
        assert response.headers["content-type"].startswith("text/event-stream")
        events = sent(response)
        async with asyncio.timeout(PATIENCE):
            yield events


async def take(events: AsyncIterator[Sent], count: int) -> list[Sent]:
    return [await anext(events) for _ in range(count)]


@pytest.fixture(autouse=True)
def unhurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """However long a test takes, streams give no sign of life; but for the one that is about it."""
    monkeypatch.setattr(feed_module, "SIGN_OF_LIFE", 2 * PATIENCE)


async def test_history_flows_into_the_present(client: httpx.AsyncClient, log: Log, append: Write) -> None:
    """Given events, when a stream is read while more are recorded, then all come, in order, as on the broker."""
    await append([an_append(number) for number in range(3)])

    async with streaming(client) as events:
        seen = await take(events, 3)
        await append([an_append(number) for number in range(3, 5)])
        seen += await take(events, 2)

    stored = await log.read(0, 10)
    assert [each.id for each in seen] == ["1", "2", "3", "4", "5"]
    assert [each.event for each in seen] == [cloudevents.message_type(event) for event in stored]
    assert [each.data for each in seen] == [json.loads(cloudevents.encode(event)[0]) for event in stored]


async def test_a_stream_that_broke_off_goes_on_where_it_was(client: httpx.AsyncClient, append: Write) -> None:
    """Given a reader who had some of a stream, when it comes again with the last id, then it gets the rest, once."""
    await append([an_append(number) for number in range(6)])
    async with streaming(client) as events:
        before = await take(events, 4)

    async with streaming(client, {"Last-Event-ID": before[-1].id or ""}, after=0) as events:
        after = await take(events, 2)

    assert [each.id for each in after] == ["5", "6"]


async def test_a_filtered_stream_tells_how_far_it_has_looked(client: httpx.AsyncClient, append: Write) -> None:
    """Given a filter, when nothing matches, then the stream moves its id along, so that what was looked through is not
    looked through again, and the reader knows that nothing was missed.
    """
    await append([an_append(1, tenant="acme"), an_append(2), an_append(3)])

    async with streaming(client, tenant="acme") as events:
        seen = await take(events, 2)
        await append([an_append(4)])
        seen += await take(events, 1)
        await append([an_append(5, tenant="acme")])
        seen += await take(events, 1)

    assert [(each.id, each.event) for each in seen] == [
        ("1", "kithlog.interview.held.v1"),
        ("3", "position"),
        ("4", "position"),
        ("5", "kithlog.interview.held.v1"),
    ]
    assert seen[1].data == {"position": 3, "head": 3, "epoch": 1}


async def test_a_silent_stream_gives_signs_of_life(
    client: httpx.AsyncClient, append: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given nothing happens, then the stream says now and then where it stands."""
    monkeypatch.setattr(feed_module, "SIGN_OF_LIFE", 0.05)
    await append([an_append(1)])

    async with streaming(client, after=1) as events:
        seen = await take(events, 2)

    assert [(each.id, each.event) for each in seen] == [("1", "position"), ("1", "position")]


async def test_a_log_that_was_restored_ends_the_stream(
    client: httpx.AsyncClient, append: Write, database_url: str
) -> None:
    """Given a reader of a stream, when the log's epoch rises, then the stream ends with a problem that says so."""
    await append([an_append(1)])

    async with streaming(client) as events:
        await take(events, 1)
        connection = await asyncpg.connect(database_url)
        await connection.execute("UPDATE log.head SET epoch = 2")
        await connection.close()
        await append([an_append(2)])
        rest = [each async for each in events]

    assert [(each.id, each.event) for each in rest] == [(None, "problem")]
    assert rest[0].data["code"] == "forked"


async def test_what_passes_at_postgresql_ends_the_stream_in_words(
    client: httpx.AsyncClient, append: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given a reader of a stream, when PostgreSQL cancels a statement, then the stream ends with a problem that says
    so."""
    await append([an_append(1)])
    async with streaming(client) as events:
        await take(events, 1)
        monkeypatch.setattr(History, "page", failing(asyncpg.QueryCanceledError))
        await append([an_append(2)])
        rest = [each async for each in events]
    assert [(each.event, each.data["code"]) for each in rest] == [("problem", "log_unavailable")]


async def test_a_reader_who_is_ahead_of_the_log_gets_a_problem(client: httpx.AsyncClient) -> None:
    """Given an empty log, when a stream is asked for after position 5, then it ends with a problem at once."""
    async with streaming(client, after=5) as events:
        rest = [each async for each in events]

    assert [each.data["code"] for each in rest] == ["forked"]


@pytest.mark.parametrize("id", ["", "x", "-1", "1.5", "٣", "9" * 19, "9" * 20])
async def test_an_id_that_no_stream_gave_is_refused(feed: Feed, feed_url: str, id: str) -> None:
    """Given a last id that is not a position, then a problem document names the header."""
    headers = {"Accept": "text/event-stream", "Last-Event-ID": id.encode()}
    async with httpx.AsyncClient(base_url=feed_url, timeout=PATIENCE, trust_env=False) as client:
        response = await client.get("/v1/events", headers=headers)  # type: ignore[arg-type]  # bytes are taken, too

    assert (response.status_code, response.json()["field"]) == (400, "header.Last-Event-ID")


async def test_a_slow_reader_holds_one_page_and_is_given_up_at_last(
    feed: Feed, append: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given a reader who takes nothing, then no more than one page is read for it, and in the end it is let go."""
    monkeypatch.setattr(feed_module, "STREAM_PAGE", 10)
    monkeypatch.setattr(endpoint, "SEND_PATIENCE", 0.2)
    await append([an_append(number) for number in range(200)])
    offered: list[int] = []

    async def receive() -> Message:
        await asyncio.Event().wait()
        raise AssertionError

    async def send(message: Message) -> None:
        if message["type"] == "http.response.body":
            offered.append(message["body"].count(b"\nevent: "))
            await asyncio.Event().wait()

    stream = EventStream(feed, feed.stream(Ask(), Ask().wanted()))
    with pytest.raises(ClientDisconnect):
        await stream({"type": "http", "asgi": {"spec_version": "2.1"}}, receive, send)

    assert offered == [10]
    assert feed.listeners == 0


async def test_a_reader_who_leaves_is_not_waited_for(client: httpx.AsyncClient, append: Write, feed: Feed) -> None:
    """Given a reader of a stream, when it goes away, then its place is free."""
    await append([an_append(1)])
    async with streaming(client) as events:
        await take(events, 1)
        assert feed.listeners == 1

    await reached(lambda: feed.listeners == 0)


async def test_the_feed_serves_while_nothing_is_folded(database_url: str, append: Write) -> None:
    """Given an event that this release can't fold, and no broker, then the feed gives all events all the same."""
    await append([an_append(1), an_append(2, "interview.of_a_later_release"), an_append(3)])
    settings = ProjectorSettings(database_url=database_url, amqp_url="amqp://127.0.0.1:1/", access_log=False)

    async with (
        asyncio.timeout(PATIENCE),
        served(create_app(settings)) as url,
        httpx.AsyncClient(base_url=url, timeout=PATIENCE, trust_env=False) as client,
    ):
        while (await client.get("/v1/events")).status_code == 503:  # noqa: ASYNC110 - it gives no signal
            await asyncio.sleep(0.05)
        response = await get(client)

    assert [json.loads(line)["position"] for line in response.text.splitlines()] == ["1", "2", "3"]
