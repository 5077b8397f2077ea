"""What `kithlog log` reads."""

from __future__ import annotations

import asyncio
import json
import textwrap
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

import typer

from services.cli.database import QUERIES, database
from services.cli.settings import OperatorSettings
from services.cli.showing import line, payload
from services.cli.tables import printable
from services.cli.terminal import misunderstood, wrong
from services.cli.wanted import Wanted, stream_id
from shared.envelope import Recorded
from shared.log.reading import NOTIFY_CHANNEL

Event = Recorded[bytes]
MOST = 500
"""Events of a stream that are shown at once, and others that are shown with them."""
_PAGE = 500
_WINDOW = 20_000
_POLL = 1.0
"""Seconds between looks at the log when PostgreSQL tells of nothing."""


@dataclass(frozen=True, slots=True)
class Connected:
    """Events with what led to them, was written with them and followed from them."""

    asked_for: list[Event]
    near: list[Event]
    """All of them, by position."""
    left_out: int
    """Beyond `MOST`."""
    sharing: int
    """Not connected, but of the same first causes."""
    later: int = 0
    """Further events of the stream that was asked for."""


async def tail(
    settings: OperatorSettings,
    wanted: Wanted,
    *,
    last: int,
    follow: bool,
    count: int | None,
    show: Callable[[Event], None],
) -> None:
    """Show the last events that match, then, to `follow`, those that come; ends after `count`."""
    left = count
    async with database(settings) as connection:
        news = asyncio.Event()
        await connection.add_listener(NOTIFY_CHANNEL, lambda *_: news.set())
        connection.add_termination_listener(lambda _: news.set())
        head = await connection.fetchval(QUERIES["head"])
        rows = await connection.fetch(QUERIES["latest"], *wanted.arguments(), last)
        events = [event for event in (Recorded(*row) for row in reversed(rows)) if event.position <= head]
        position = head
        while True:
            for event in events if left is None else events[:left]:
                show(event)
            if left is not None:
                left -= len(events)
            if not follow or (left is not None and left <= 0):
                return
            events, position = await _following(connection, wanted, position, news)


async def _following(connection: Any, wanted: Wanted, position: int, news: asyncio.Event) -> tuple[list[Event], int]:
    """What comes next; waits for it where there is nothing yet. Answers how far was looked, too."""
    head = await connection.fetchval(QUERIES["head"])
    if head == position:
        news.clear()
        with suppress(TimeoutError):
            await asyncio.wait_for(news.wait(), _POLL)
        head = await connection.fetchval(QUERIES["head"])
    upto = min(head, position + _WINDOW)
    rows = await connection.fetch(QUERIES["following"], *wanted.arguments(), position, upto, _PAGE)
    events = [Recorded(*row) for row in rows]
    return events, events[-1].position if len(events) == _PAGE else upto


async def at_position(settings: OperatorSettings, position: int, *, whole: bool) -> Connected:
    """The event at a position; `whole`: with all that shares its first cause."""
    async with database(settings) as connection:
        head = await connection.fetchval(QUERIES["head"])
        row = await connection.fetchrow(QUERIES["at"], position) if position <= head else None
        if row is None:
            raise wrong(f"there is no event at position {position}: the log ends at {head}")
        return await _connected(connection, [Recorded(*row)], whole)


async def of_stream(
    settings: OperatorSettings, tenant: str | None, stream: str, *, after: int, whole: bool
) -> Connected:
    """The events of a stream after a version, up to `MOST`; `whole`: with all that shares their first causes."""
    id = stream_id(stream)
    async with database(settings) as connection:
        found = await connection.fetch(QUERIES["streams"], tenant, id)
        if not found:
            raise wrong(f"there is no stream {id}" + (f" of tenant {tenant}" if tenant else ""))
        if len(found) > 1:
            tenants = ", ".join(row["tenant"] for row in found)
            raise misunderstood(f"tenants {tenants} have a stream {id} each: say whose by --tenant")
        [(owner, last)] = found
        if after >= last:
            raise misunderstood(f"there is nothing after version {after}: the stream ends with version {last}")
        rows = await connection.fetch(QUERIES["stream"], owner, id, after, MOST)
        events: list[Event] = [Recorded(*row) for row in rows]
        return replace(await _connected(connection, events, whole), later=last - events[-1].version)


async def _connected(connection: Any, events: list[Event], whole: bool) -> Connected:
    rows = await connection.fetch(
        QUERIES["connected"],
        events[0].tenant,
        list({e.correlation_id for e in events}),
        [e.position for e in events],
        whole,
        len(events) + MOST,
    )
    near: list[Event] = [Recorded(*row[2:]) for row in rows]
    connected, sharing = rows[0]["connected"], rows[0]["sharing"]
    return Connected(events, near, connected - len(near), sharing - connected)


async def stats(settings: OperatorSettings, tenant: str | None, by: str) -> list[dict[str, Any]]:
    async with database(settings) as connection:
        rows = await connection.fetch(QUERIES["stats"], tenant, by)
    if tenant is not None and not rows:
        raise misunderstood(f"the log holds nothing of tenant {tenant}")
    return [
        {
            by: row["what"],
            "events": row["events"],
            "streams": row["streams"],
            "bytes": row["bytes"],
            "first": row["first"].isoformat(),
            "last": row["last"].isoformat(),
        }
        for row in rows
    ]


async def operations(settings: OperatorSettings, about: str | None, last: int) -> list[dict[str, Any]]:
    async with database(settings) as connection:
        rows = await connection.fetch(QUERIES["operations"], about, last)
    return [dict(row) | {"at": row["at"].isoformat(), "details": json.loads(row["details"])} for row in rows]


def print_event(e: Event) -> None:
    typer.echo(line(e))
    typer.echo(f"           happened {e.occurred_at.isoformat()}, event {e.event_id}, command {e.command_id}")
    typer.echo(printable(textwrap.indent(json.dumps(payload(e), ensure_ascii=False, indent=2), " " * 11)))
