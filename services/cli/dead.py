"""`kithlog dead`: commands from the broker that could not be executed."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from services.cli.database import QUERIES, database, record
from services.cli.dead_letters import DeadLetter, dead_letters, send_again, settle
from services.cli.terminal import WRONG, AsJson, Why, note, run, settings, show_json, show_table, wrong

app = typer.Typer(no_args_is_help=True, help="Commands sent over AMQP that could not be executed, with the reason.")
Id = Annotated[str, typer.Argument(metavar="ID", help="As `kithlog dead list` shows it.")]


@app.command("list")
def list_(as_json: AsJson = False) -> None:
    """List dead letters in the order in which they came. Exit code 1 when there are any.

    Example: kithlog dead list --json
    """

    async def verb() -> list[dict[str, Any]]:
        async with dead_letters(settings().amqp_url) as (_, letters):
            return [letter.to_dict() for letter in letters]

    rows = run(verb())
    if as_json:
        show_json(rows)
    elif rows:
        columns = ("id", "command", "tenant", "stream_id", "reason", "detail")
        show_table(columns, [[row[column] for column in columns] for row in rows])
    else:
        note("there are no dead letters")
    if rows:
        raise typer.Exit(WRONG)


@app.command()
def show(id: Id, as_json: AsJson = False) -> None:
    """Show one with its headers and body.

    Example: kithlog dead show 3f2a91c04be7
    """

    async def verb() -> dict[str, Any]:
        async with dead_letters(settings().amqp_url) as (_, letters):
            return _those(letters, id)[0].to_dict(whole=True)

    found = run(verb())
    if as_json:
        show_json([found])
    else:
        show_table(("", "dead letter"), list(found.items()))


@app.command()
def retry(
    ids: Annotated[list[str] | None, typer.Argument(metavar="ID...", help="As `kithlog dead list` shows them.")] = None,
    every: Annotated[bool, typer.Option("--all", help="All of them, in order.")] = False,
    as_json: AsJson = False,
) -> None:
    """Send commands again, as they were. One that was executed meanwhile is answered as before, not executed twice; one
    that was refused is judged anew.

    Example: kithlog dead retry 3f2a91c04be7
    """
    if bool(ids) == every:
        raise typer.BadParameter("name dead letters, or --all")

    async def verb() -> list[dict[str, Any]]:
        async with database(settings()) as connection, dead_letters(settings().amqp_url) as (channel, letters):
            wanted = letters if ids is None else [each for id in dict.fromkeys(ids) for each in _those(letters, id)]
            for letter in wanted:
                if letter.key is not None:
                    await connection.execute(QUERIES["lift_refusal"], *letter.key)
                await send_again(channel, letter)
                await record(connection, settings(), "dead retry", letter.id, **letter.to_dict())
                await settle(channel, letter)
            return [letter.to_dict() for letter in wanted]

    _report(run(verb()), "sent again", as_json)


@app.command()
def discard(id: Id, why: Why, as_json: AsJson = False) -> None:
    """Give a command up. What it was stays in the record of operations.

    Example: kithlog dead discard 3f2a91c04be7 --why "a test client sent it"
    """

    async def verb() -> list[dict[str, Any]]:
        async with database(settings()) as connection, dead_letters(settings().amqp_url) as (channel, letters):
            wanted = _those(letters, id)
            for letter in wanted:
                await record(connection, settings(), "dead discard", letter.id, why=why, **letter.to_dict())
                await settle(channel, letter)
            return [letter.to_dict() for letter in wanted]

    _report(run(verb()), "discarded", as_json)


def _those(letters: list[DeadLetter], id: str) -> list[DeadLetter]:
    """Those with this id: more than one when the same command came, and failed, several times."""
    found = [letter for letter in letters if letter.id == id]
    if not found:
        raise wrong(f"there is no dead letter {id}: `kithlog dead list` shows all")
    return found


def _report(rows: list[dict[str, Any]], done: str, as_json: bool) -> None:
    if as_json:
        show_json(rows)
        return
    for row in rows:
        typer.echo(f"{done}: {row['id']} ({row['command'] or 'no command'}, {row['reason']})")
    if not rows:
        note("there are no dead letters")
