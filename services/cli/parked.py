"""`kithlog parked`: streams whose fold failed, and whose events wait since."""

from __future__ import annotations

from typing import Annotated, Any
from uuid import UUID

import typer

from services.cli.database import database, record
from services.cli.rebuild_showing import policies_of
from services.cli.settings import OperatorSettings
from services.cli.showing import as_object
from services.cli.tables import printable, show_table
from services.cli.terminal import (
    WRONG,
    AlsoWhy,
    AsJson,
    Ended,
    Why,
    misunderstood,
    note,
    run,
    second,
    settings,
    show_json,
    wrong,
)
from services.cli.wanted import Tenant, stream_id, wanted
from services.projector.folding.folder import Folder
from services.projector.folding.timing_fold import TimingFold
from services.projector.models import MODELS
from services.projector.rebuild import unparking
from services.projector.rebuild.report import Refused
from services.projector.rebuild.unparking import DiscardedBefore, NotParked, StillUnwritable, Unparked, unpark
from services.projector.storing.halting import Halted
from shared.codec import UnknownEventType
from shared.envelope import Recorded

app = typer.Typer(
    no_args_is_help=True,
    help="Streams whose fold failed: their events wait, their timers are held, all others go on.",
)
StreamArgument = Annotated[str, typer.Argument(metavar="STREAM", help="The stream's id.")]
At = Annotated[int | None, typer.Option("--at", help="Only if that is the position of the event that can't be folded.")]


@app.command("list")
def list_(tenant: Tenant = None, as_json: AsJson = False) -> None:
    """List parked streams, the longest parked first. Exit code 1 when there are any.

    Example: kithlog parked list --tenant acme
    """

    async def verb() -> list[dict[str, Any]]:
        return await _parked(settings(), wanted(tenant).tenant, None)

    rows = run(verb())
    if as_json:
        show_json(rows)
    elif rows:
        columns = ("tenant", "category", "stream_id", "position", "waiting", "timers", "model", "error", "parked_at")
        shown = [row | {"parked_at": second(row["parked_at"])} for row in rows]
        show_table(columns, [[row[column] for column in columns] for row in shown])
    else:
        note("nothing is parked")
    if rows:
        raise typer.Exit(WRONG)


@app.command()
def show(stream: StreamArgument, tenant: Tenant = None, as_json: AsJson = False) -> None:
    """Show why a stream is parked, the event that can't be folded, and those that wait behind it.

    Example: kithlog parked show 6a2e0c1e-7d55-4d0b-9a0b-7b0f5f5f3a03
    """

    async def verb() -> tuple[dict[str, Any], list[Recorded[bytes]]]:
        found = await _the_one(settings(), tenant, stream)
        async with database(settings()) as connection:
            rows = await connection.fetch(
                unparking.QUERIES["waiting"], found["tenant"], UUID(found["stream_id"]), found["position"], 2**62
            )
        return found, [Recorded(*row) for row in rows]

    found, waiting = run(verb())
    if as_json:
        show_json([found | {"events": [as_object(event) for event in waiting]}])
        return
    show_table(("", "stream"), list((found | {"parked_at": second(found["parked_at"])}).items()))
    show_table(
        ("position", "version", "type", "recorded", "data"),
        [
            (e.position, e.version, e.type, second(e.recorded_at.isoformat()), e.data.decode("utf-8", "replace"))
            for e in waiting
        ],
        title="waiting",
    )


@app.command()
def retry(
    streams: Annotated[list[str] | None, typer.Argument(metavar="STREAM...", help="Ids of streams.")] = None,
    every: Annotated[bool, typer.Option("--all", help="All that are parked.")] = False,
    tenant: Tenant = None,
    why: AlsoWhy = None,
    as_json: AsJson = False,
) -> None:
    """Fold what waits, in order, of each stream by itself. Exit code 1 when one stays parked.

    Do this once the release that runs can fold the event. Each stream is told of once it is taken up. Whatever ends
    this early, the others stay parked: repeat it for those.

    Example: kithlog parked retry --all --tenant acme
    """
    if bool(streams) == every:
        raise typer.BadParameter("name streams, or --all")

    async def verb() -> bool:
        chosen = (
            [await _the_one(settings(), tenant, stream) for stream in streams]
            if streams
            else await _parked(settings(), wanted(tenant).tenant, None)
        )
        if not chosen and not as_json:
            note("nothing is parked")
        return all([_tell(await _retry(row, why), as_json) for row in chosen])

    if not run(verb()):
        raise typer.Exit(WRONG)


@app.command()
def discard(stream: StreamArgument, why: Why, tenant: Tenant = None, at: At = None, as_json: AsJson = False) -> None:
    """Go on without the event that can't be folded; those behind it are folded in order. With --at only where it is the
    one at that position, as `kithlog parked list` showed it.

    The event stays in the log, and whatever folds the log afresh (rebuild, verify) passes over it, too. Exit code 1
    when another one can't be folded, either.

    Example: kithlog parked discard 6a2e0c1e-7d55-4d0b-9a0b-7b0f5f5f3a03 --why "written by a test client"
    """

    async def verb() -> dict[str, Any]:
        found = await _the_one(settings(), tenant, stream)
        if at is not None:
            found |= {"position": at}
        return await _take_up(settings(), found, discard=True, why=why)

    if not _tell(run(verb()), as_json):
        raise typer.Exit(WRONG)


@app.command()
def discarded(tenant: Tenant = None, as_json: AsJson = False) -> None:
    """List the events that folding goes on without: who decided that, when and why.

    Example: kithlog parked discarded --tenant acme
    """

    async def verb() -> list[dict[str, Any]]:
        async with database(settings()) as connection:
            return [dict(row) for row in await connection.fetch(unparking.QUERIES["discarded"], wanted(tenant).tenant)]

    rows = [row | {"discarded_at": row["discarded_at"].isoformat()} for row in run(verb())]
    if as_json:
        show_json(rows)
    elif rows:
        show_table(
            ("tenant", "stream_id", "position", "type", "at", "who", "why"),
            [
                (row["tenant"], row["stream_id"], row["position"], row["type"], second(row["discarded_at"]),
                 row["actor"], row["why"])
                for row in rows
            ],
        )  # fmt: skip
    else:
        note("nothing was discarded")


async def _parked(settings: OperatorSettings, tenant: str | None, stream: UUID | None) -> list[dict[str, Any]]:
    async with database(settings) as connection:
        rows = await connection.fetch(unparking.QUERIES["list"], tenant, stream)
    return [dict(row) | {"stream_id": str(row["stream_id"]), "parked_at": row["parked_at"].isoformat()} for row in rows]


async def _the_one(settings: OperatorSettings, tenant: str | None, stream: str) -> dict[str, Any]:
    found = await _parked(settings, wanted(tenant).tenant, stream_id(stream))
    if not found:
        raise wrong(f"stream {stream} is not parked: `kithlog parked list` shows those that are")
    if len(found) > 1:
        raise misunderstood(f"several tenants have a stream {stream}: name one with --tenant")
    return found[0]


async def _retry(row: dict[str, Any], why: str | None) -> dict[str, Any]:
    """What keeps one stream from being taken up keeps no other."""
    try:
        return await _take_up(settings(), row, discard=False, why=why)
    except Ended as ended:
        if ended.code != WRONG:
            raise
        note(str(ended))
        return _outcome(row, parked_at=row["position"], error=str(ended))


async def _take_up(
    settings: OperatorSettings, row: dict[str, Any], *, discard: bool, why: str | None
) -> dict[str, Any]:
    """Fold what waits of one stream, and record that it was done."""
    tenant, stream = row["tenant"], row["stream_id"]
    verb = "parked discard" if discard else "parked retry"

    async def recording(connection: Any, unparked: Unparked) -> None:
        await record(connection, settings, verb, f"{tenant}/{stream}", why=why, **_as_object(row, unparked))

    folder = Folder(MODELS, TimingFold(policies_of(settings.policies)))
    try:
        unparked = await unpark(
            settings.database_url,
            folder,
            tenant,
            UUID(stream),
            discard=discard,
            at=row["position"],
            recording=recording,
        )
    except NotParked as error:
        raise wrong(f"{error} any more: somebody else was quicker") from None
    except DiscardedBefore as error:
        raise wrong(f"{error}, nothing was changed: `kithlog parked retry {stream}` folds what waits") from None
    except (UnknownEventType, StillUnwritable, Refused) as error:
        raise wrong(f"stream {stream} stays parked, nothing was changed: {error}") from None
    except Halted as halted:
        raise Ended(WRONG, str(halted)) from None
    return _as_object(row, unparked)


def _as_object(row: dict[str, Any], unparked: Unparked) -> dict[str, Any]:
    still = unparked.still
    return _outcome(
        row,
        folded=unparked.folded,
        discarded=None if unparked.discarded is None else unparked.discarded.position,
        parked_at=None if still is None else still.position,
        error=None if still is None else f"{still.model}: {still.error}",
    )


def _outcome(
    row: dict[str, Any], *, folded: int = 0, discarded: int | None = None, parked_at: int | None, error: str | None
) -> dict[str, Any]:
    return {
        "tenant": row["tenant"],
        "stream_id": row["stream_id"],
        "was_at": row["position"],
        "folded": folded,
        "discarded": discarded,
        "parked_at": parked_at,
        "error": error,
    }


def _tell(outcome: dict[str, Any], as_json: bool) -> bool:
    """Whether the stream goes on."""
    if as_json:
        show_json([outcome])
    else:
        done = [f"{outcome['folded']} events folded"]
        if outcome["discarded"] is not None:
            done.insert(0, f"position {outcome['discarded']} discarded")
        if outcome["error"]:
            done.append(f"parked at position {outcome['parked_at']}: {outcome['error']}")
        typer.echo(printable(f"{outcome['tenant']} {outcome['stream_id']}: {', '.join(done)}"))
    return outcome["error"] is None
