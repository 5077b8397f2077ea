"""`kithlog log`: look at the log, carry it elsewhere, begin a new timeline after a restore."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from services.cli import log_files, log_reading
from services.cli.log_fork import fork_log
from services.cli.showing import as_object, branches, line, stream_tree, trees
from services.cli.tables import console, show_table
from services.cli.terminal import AsJson, Why, misunderstood, note, run, second, settings, show_json
from services.cli.wanted import Categories, StreamOption, Tenant, Types, wanted

app = typer.Typer(no_args_is_help=True, help="The log: tail, show, stats, export, import, fork.")
_HELD = "{events:,} events, {receipts:,} receipts, {discarded:,} discarded events"


@app.command()
def tail(
    tenant: Tenant = None,
    types: Types = None,
    categories: Categories = None,
    stream: StreamOption = None,
    last: Annotated[int, typer.Option("-n", "--last", min=0, help="Begin with so many that are there already.")] = 10,
    follow: Annotated[bool, typer.Option(help="Stay, and print what comes.")] = True,
    count: Annotated[int | None, typer.Option(min=1, help="End after so many.")] = None,
    as_json: AsJson = False,
) -> None:
    """Print events as they are written.

    Example: kithlog log tail --tenant acme --type interview.held --type interview.missed
    """

    def show(event: log_reading.Event) -> None:
        if as_json:
            show_json([as_object(event)])
        else:
            typer.echo(line(event))

    async def verb() -> None:
        chosen = wanted(tenant, stream, types, categories)
        await log_reading.tail(settings(), chosen, last=last, follow=follow, count=count, show=show)

    run(verb())


@app.command()
def show(
    what: Annotated[str, typer.Argument(help="A position, or the id of a stream.")],
    tenant: Tenant = None,
    whole: Annotated[bool, typer.Option("--whole", help="With all that shares its first causes.")] = False,
    after: Annotated[int, typer.Option(min=0, help="Of a stream, only what follows this version.")] = 0,
    as_json: AsJson = False,
) -> None:
    """Show the event at a position, or a stream, with causes and effects as a tree: each event under its command, each
    command under what caused it.

    Of a stream so many events at once: what was left out is told. With --json an object for each event of the stream
    and each of others that is shown with them, with the positions of its causes and effects.

    Examples: kithlog log show 4711
    kithlog log show 6a2e0c1e-7d55-4d0b-9a0b-7b0f5f5f3a03 --tenant acme
    """

    async def verb() -> None:
        stream = not what.isdecimal()
        if stream:
            found = await log_reading.of_stream(settings(), tenant, what, after=after, whole=whole)
        elif after:
            raise misunderstood("--after is for a stream")
        else:
            found = await log_reading.at_position(settings(), int(what), whole=whole)
        if as_json:
            for event in found.near if stream else found.asked_for:
                causes, effects = branches(found.near, event)
                show_json([as_object(event) | {"causes": causes, "effects": effects}])
        elif stream:
            console().print(stream_tree(found.near, found.asked_for))
        else:
            log_reading.print_event(found.asked_for[0])
            console().print(*trees(found.near, found.asked_for), sep="\n")
        _note_left_out(found)

    run(verb())


def _note_left_out(found: log_reading.Connected) -> None:
    if found.later:
        note(f"{found.later} later events of the stream are left out: --after {found.asked_for[-1].version}")
    if found.left_out:
        note(f"{found.left_out} more events that are connected with it are left out")
    if found.sharing:
        note(f"{found.sharing} more events share the first cause: --whole shows them")


@app.command()
def stats(
    by: Annotated[Literal["tenant", "category", "type", "day"], typer.Option(help="What to count by.")] = "type",
    tenant: Tenant = None,
    as_json: AsJson = False,
) -> None:
    """Count events, streams and bytes by tenant, category, type or day recorded (UTC).

    Example: kithlog log stats --by day --tenant acme
    """

    async def verb() -> None:
        rows = await log_reading.stats(settings(), wanted(tenant).tenant, by)
        if as_json:
            show_json(rows)
        else:
            show_table(
                (by, "events", "streams", "bytes", "first recorded", "last recorded"),
                [(row[by], f"{row['events']:,}", f"{row['streams']:,}", f"{row['bytes']:,}", 
                  second(row["first"]), second(row["last"])) for row in rows],
            )  # fmt: skip

    run(verb())


@app.command("export")
def export(
    file: Annotated[Path, typer.Argument(help="Where to; it must not be there yet.")],
    upto: Annotated[
        int | None,
        typer.Option(min=0, help="The last position; by default the log's end, with --resume the end it was to have."),
    ] = None,
    resume: Annotated[bool, typer.Option(help="Go on with an export that was cut off (<file>.part).")] = False,
    as_json: AsJson = False,
) -> None:
    """Write the log with its receipts and discards to a file of JSON lines, each sealed with a sum over all before it.

    The file takes its name when it is complete; until then it is <file>.part.

    Example: kithlog log export acme.jsonl
    """

    async def verb() -> None:
        report = await log_files.export(settings(), file, upto=upto, resume=resume, json=as_json)
        if as_json:
            show_json([report])
        else:
            typer.echo(f"{_HELD} in {{file}}, sum {{sum}}".format_map(report))

    run(verb())


@app.command("import")
def import_(
    file: Annotated[Path, typer.Argument(help="What `kithlog log export` wrote.")],
    check_only: Annotated[bool, typer.Option("--check", help="Only see whether the file is whole.")] = False,
    as_json: AsJson = False,
) -> None:
    """Write an exported log into an empty database: the same positions, times, receipts and discards.

    The whole file is checked before anything is written. An import that was cut off is gone on with by repeating it.
    Keep the services stopped until it is done.

    Example: kithlog log import acme.jsonl
    """

    async def verb() -> None:
        report = await log_files.import_(settings(), file, check_only=check_only, json=as_json)
        if as_json:
            show_json([report])
        elif check_only:
            typer.echo(f"whole: {_HELD}, sum {{sum}}".format_map(report))
        else:
            typer.echo("{written:,} events written, {there:,} were there; the log ends at {events}".format_map(report))

    run(verb())


@app.command()
def fork(
    why: Why,
    epoch: Annotated[
        int | None,
        typer.Option(
            max=2**31 - 1,
            help="The new epoch, above every one that a consumer has seen; by default the next that PostgreSQL's own "
            "timelines leave free, which tell of restores from its archive, not of dumps or exports.",
        ),
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    as_json: AsJson = False,
) -> None:
    """Begin a new timeline, after the database was restored to an earlier point.

    Readers that have seen what is no longer in the log stop, and say what to do, rather than go on with both.

    Example: kithlog log fork --why "restored to 2026-03-02 09:00, the disk had failed"
    """

    async def verb() -> None:
        report = await fork_log(settings(), epoch=epoch, why=why, sure=yes)
        if as_json:
            show_json([report])
        else:
            typer.echo("the log goes on after position {position} in epoch {epoch}".format_map(report))
            for number, step in enumerate(report["next"], start=1):
                typer.echo(f"{number}. {step}")

    run(verb())


@app.command()
def operations(
    about: Annotated[
        str | None, typer.Option(help="Only this verb, such as `parked retry`, or what was done to this id or file.")
    ] = None,
    last: Annotated[int, typer.Option("-n", "--last", min=1, help="How many.")] = 50,
    as_json: AsJson = False,
) -> None:
    """List what operators did with this tool, newest first: who, what, why.

    Example: kithlog log operations --about "dead discard" -n 10
    """

    async def verb() -> None:
        rows = await log_reading.operations(settings(), about, last)
        if as_json:
            show_json(rows)
        else:
            show_table(
                ("at", "who", "what", "to what", "why"),
                [(second(row["at"]), row["actor"], row["verb"], row["subject"], row["why"]) for row in rows],
            )

    run(verb())
