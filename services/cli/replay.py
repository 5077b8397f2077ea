"""`kithlog replay`: send a part of the log once more, to one consumer's queue and to no other."""

from __future__ import annotations

import json
from typing import Annotated, Any
from uuid import UUID

import typer

from services.cli import replaying
from services.cli.database import database, record
from services.cli.replaying import QUERIES, Span
from services.cli.replaying_room import ROOM
from services.cli.tables import show_table
from services.cli.terminal import (
    WRONG,
    AsJson,
    Why,
    going_on_by,
    misunderstood,
    note,
    progress,
    run,
    second,
    settings,
    show_json,
    wrong,
)
from services.cli.wanted import Categories, StreamOption, Tenant, Types, instant, wanted
from shared.ids import new_id

app = typer.Typer(no_args_is_help=True, help="Send a part of the log once more, to one consumer's own queue.")

Queue = Annotated[str, typer.Argument(help="The consumer's own queue; it must be there.")]
First = Annotated[int | None, typer.Option("--from", min=1, help="The first position.")]
Last = Annotated[int | None, typer.Option("--to", min=1, help="The last position; by default the log's end.")]
Since = Annotated[str | None, typer.Option(help="Recorded at this time or later (ISO 8601).")]
Until = Annotated[str | None, typer.Option(help="Recorded before this time (ISO 8601).")]
Rate = Annotated[int | None, typer.Option(min=1, max=1_000_000, help="Events a second; by default no limit.")]
Messages = Annotated[
    int,
    typer.Option(
        "--room",
        min=1,
        max=2**31 - 1,
        help="Messages that the queue may hold meanwhile: fewer than it is bounded to, where it drops what is more.",
    ),
]
Id = Annotated[str, typer.Argument(metavar="ID", help="The replay's id.")]


def _span(
    first: int | None,
    last: int | None,
    since: str | None,
    until: str | None,
    tenant: str | None,
    stream: str | None,
    types: list[str] | None,
    categories: list[str] | None,
) -> Span:
    return Span(
        wanted(tenant, stream, types, categories),
        (first or 1) - 1,
        2**62 if last is None else last,
        instant(since, "--since"),
        instant(until, "--until"),
    )


@app.command()
def plan(
    queue: Queue,
    first: First = None,
    last: Last = None,
    since: Since = None,
    until: Until = None,
    tenant: Tenant = None,
    stream: StreamOption = None,
    types: Types = None,
    categories: Categories = None,
    rate: Rate = None,
    as_json: AsJson = False,
) -> None:
    """Say what a replay would send, and what it would leave out. Sends nothing.

    Example: kithlog replay plan crm.interviews --since 2026-03-01 --category interview --rate 200
    """

    async def verb() -> dict[str, Any]:
        span = _span(first, last, since, until, tenant, stream, types, categories)
        await replaying.check_queue(settings().amqp_url, queue)
        async with database(settings()) as connection:
            return {"queue": queue} | (await replaying.plan(connection, span)).to_dict(rate)

    found = run(verb())
    if as_json:
        show_json([found])
    else:
        _print_plan(found)


@app.command("run")
def run_(
    queue: Queue,
    why: Why,
    first: First = None,
    last: Last = None,
    since: Since = None,
    until: Until = None,
    tenant: Tenant = None,
    stream: StreamOption = None,
    types: Types = None,
    categories: Categories = None,
    rate: Rate = None,
    room: Messages = ROOM,
    as_json: AsJson = False,
) -> None:
    """Send the events, marked as a replay. Notification events are left out unless --type or --category names them.

    It stays until all is sent, and waits while the queue is full; `pause` and `cancel` from another terminal end it.
    Exit code 0 when all was sent, 1 when
    it was paused or cancelled, 3 when RabbitMQ or PostgreSQL went away.

    Example: kithlog replay run crm.interviews --from 4000 --to 5000 --why "the CRM lost a day"
    """

    async def verb() -> dict[str, Any]:
        span = _span(first, last, since, until, tenant, stream, types, categories)
        await replaying.check_queue(settings().amqp_url, queue)
        id = new_id()
        async with database(settings()) as connection:
            planned = await replaying.plan(connection, span)
            async with connection.transaction():
                await connection.execute(
                    QUERIES["start"], id, queue, planned.span.to_json(), rate, room, planned.span.after,
                    planned.span.upto, planned.total, settings().who, why,
                )  # fmt: skip
                await record(connection, settings(), "replay run", str(id), why=why, queue=queue)
            note(f"replay {id}: {_of_tenants(planned.total, planned.tenants)} to {queue}")
            return await _send(connection, id, as_json)

    _finish(run(verb()), as_json)


@app.command()
def resume(id: Id, as_json: AsJson = False) -> None:
    """Go on after the last confirmed event of a replay that was paused, or whose process, broker or database went away.

    Example: kithlog replay resume 6a2e0c1e-7d55-4d0b-9a0b-7b0f5f5f3a03
    """

    async def verb() -> dict[str, Any]:
        async with database(settings()) as connection:
            row = await _one(connection, id)
            await replaying.check_queue(settings().amqp_url, row["queue"])
            if not await connection.fetchval(QUERIES["take"], str(row["id"])):
                raise wrong(f"replay {id} is being sent by another process")
            await connection.fetchval(QUERIES["give"], str(row["id"]))
            await _set_status(connection, row, "running", ["paused", "running"])
            return await _send(connection, row["id"], as_json)

    _finish(run(verb()), as_json)


@app.command()
def pause(id: Id, as_json: AsJson = False) -> None:
    """Let a running replay end after the page on its way; `resume` goes on.

    Example: kithlog replay pause 6a2e0c1e-7d55-4d0b-9a0b-7b0f5f5f3a03
    """
    _change(id, "paused", ["running"], as_json)


@app.command()
def cancel(id: Id, as_json: AsJson = False) -> None:
    """End a replay for good, after the page on its way.

    Example: kithlog replay cancel 6a2e0c1e-7d55-4d0b-9a0b-7b0f5f5f3a03
    """
    _change(id, "cancelled", ["running", "paused"], as_json)


@app.command("list")
def list_(
    last: Annotated[int, typer.Option("-n", "--last", min=1, help="How many.")] = 50, as_json: AsJson = False
) -> None:
    """List replays, newest first: who sent what to whom, why, and how far it came.

    What: the positions, and where only some of what stands there was sent, its tenant, stream, types and categories.

    Example: kithlog replay list
    """

    async def verb() -> list[dict[str, Any]]:
        async with database(settings()) as connection:
            return [await _as_object(connection, row) for row in await connection.fetch(QUERIES["list"], last)]

    rows = run(verb())
    if as_json:
        show_json(rows)
    elif rows:
        show_table(
            ("id", "to", "what", "status", "sent", "by", "why", "started"),
            [
                (row["id"], row["queue"], _what(row), row["status"], f"{row['sent']:,} of {row['total']:,}",
                 row["actor"], row["why"], second(row["started_at"]))
                for row in rows
            ],
        )  # fmt: skip
    else:
        note("nothing was ever replayed")


def _what(row: dict[str, Any]) -> str:
    chosen = row["wanted"]["wanted"]
    categories = [f"{category}.*" for category in chosen["categories"]]
    limits = [chosen["tenant"], chosen["stream_id"], *chosen["types"], *categories]
    return " ".join([f"{row['after'] + 1}–{row['upto']}", *(each for each in limits if each)])


def _of_tenants(events: int, tenants: int) -> str:
    return f"{events:,} events of {tenants:,} tenant{'' if tenants == 1 else 's'}"


async def _send(connection: Any, id: UUID, as_json: bool) -> dict[str, Any]:
    with going_on_by("replay", "resume", str(id)):
        row = await connection.fetchrow(QUERIES["one"], id)
        with progress("replay", row["total"], json=as_json) as advance:
            await replaying.send(connection, settings(), id, advance)
        await connection.fetchval(QUERIES["give"], str(id))
        return await _as_object(connection, await connection.fetchrow(QUERIES["one"], id))


def _finish(row: dict[str, Any], as_json: bool) -> None:
    if as_json:
        show_json([row])
    else:
        typer.echo("{status}: {sent} of {total} events sent to {queue}, up to position {position}".format_map(row))
    if row["status"] != "done":
        raise typer.Exit(WRONG)


def _change(id: str, status: str, sources: list[str], as_json: bool) -> None:
    async def verb() -> dict[str, Any]:
        async with database(settings()) as connection:
            row = await _one(connection, id)
            await _set_status(connection, row, status, sources)
            return await _as_object(connection, await _one(connection, id))

    row = run(verb())
    if as_json:
        show_json([row])
    else:
        typer.echo("replay {id} is {status} after {sent} of {total} events".format_map(row))


async def _set_status(connection: Any, row: Any, status: str, sources: list[str]) -> None:
    verb = {"running": "resume", "paused": "pause", "cancelled": "cancel"}[status]
    async with connection.transaction():
        if await connection.fetchval(QUERIES["set_status"], row["id"], status, sources) is None:
            raise wrong(f"replay {row['id']} is {row['status']}: there is nothing to {verb}")
        await record(connection, settings(), f"replay {verb}", str(row["id"]), queue=row["queue"])


async def _one(connection: Any, id: str) -> Any:
    try:
        row = await connection.fetchrow(QUERIES["one"], UUID(id))
    except ValueError:
        raise misunderstood(f"{id!r} is not the id of a replay: a UUID") from None
    if row is None:
        raise wrong(f"there is no replay {id}: `kithlog replay list` shows all")
    return row


async def _as_object(connection: Any, row: Any) -> dict[str, Any]:
    """A replay as it stands; one whose process is gone is `interrupted`."""
    found = dict(row) | {
        "id": str(row["id"]),
        "wanted": json.loads(row["wanted"]),
        "started_at": row["started_at"].isoformat(),
        "moved_at": row["moved_at"].isoformat(),
    }
    if row["status"] == "running" and await connection.fetchval(QUERIES["take"], found["id"]):
        await connection.fetchval(QUERIES["give"], found["id"])
        found["status"] = "interrupted"
    return found


def _print_plan(found: dict[str, Any]) -> None:
    seconds = "as fast as the broker takes them" if found["seconds"] is None else f"about {found['seconds']:g} s"
    typer.echo(
        f"{_of_tenants(found['events'], found['tenants'])}, {found['bytes']:,} bytes of payload, "
        f"positions {found['after'] + 1} to {found['upto']}, to {found['queue']}, {seconds}"
    )
    show_table(("type", "events", ""), [
        *((type, count, "") for type, count in found["types"].items()),
        *((type, count, "left out: name the type to send them") for type, count in found["suppressed"].items()),
    ])  # fmt: skip
