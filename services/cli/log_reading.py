"""What `kithlog log` reads."""

from __future__ import annotations

import asyncio
import json
import textwrap
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import typer

from services.cli.database import QUERIES, database
from services.cli.settings import OperatorSettings
from services.cli.showing import line, payload
from services.cli.terminal import misunderstood, printable, wrong
from services.cli.wanted import Wanted, stream_id
from shared.envelope import Recorded
from shared.log.log import NOTIFY_CHANNEL

Event = Recorded[bytes]
MOST_OF_FAMILY = 500
_PAGE = 500
_WINDOW = 20_000
_POLL = 1.0
"""Seconds between looks at the log when PostgreSQL tells of nothing."""

__all__ = ["MOST_OF_FAMILY", "Event", "at_position", "line", "of_stream", "operations", "print_event", "stats", "tail"]


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


async def at_position(settings: OperatorSettings, position: int) -> tuple[Event, list[Event]]:
    """The event at a position, with all that shares its first cause, up to `MOST_OF_FAMILY`."""
    async with database(settings) as connection:
        head = await connection.fetchval(QUERIES["head"])
        row = await connection.fetchrow(QUERIES["at"], position) if position <= head else None
        if row is None:
            raise wrong(f"there is no event at position {position}: the log ends at {head}")
        event: Event = Recorded(*row)
        rows = await connection.fetch(QUERIES["family"], event.tenant, event.correlation_id, MOST_OF_FAMILY)
    return event, [Recorded(*each) for each in rows]


async def of_stream(settings: OperatorSettings, tenant: str | None, stream: str) -> list[Event]:
    id = stream_id(stream)
    async with database(settings) as connection:
        events: list[Event] = [Recorded(*row) for row in await connection.fetch(QUERIES["stream"], tenant, id)]
    if not events:
        raise wrong(f"there is no stream {id}" + (f" of tenant {tenant}" if tenant else ""))
    return events


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


def print_event(e: Event, indent: int | None = None) -> None:
    typer.echo(line(e))
    typer.echo(f"           happened {e.occurred_at.isoformat()}, event {e.event_id}, command {e.command_id}")
    typer.echo(printable(textwrap.indent(json.dumps(payload(e), ensure_ascii=False, indent=indent), " " * 11)))
