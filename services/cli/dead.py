"""`kithlog dead`: commands from the broker that could not be executed."""

from __future__ import annotations

from collections.abc import Collection
from typing import Annotated, Any

import typer

from services.cli.database import QUERIES, database, record
from services.cli.dead_letters import MOST, DeadLetter, DeadLetters, dead_letters
from services.cli.tables import show_table
from services.cli.terminal import WRONG, AlsoWhy, AsJson, Why, note, run, settings, show_json, wrong

app = typer.Typer(no_args_is_help=True, help="Commands sent over AMQP that could not be executed, with the reason.")
Id = Annotated[str, typer.Argument(metavar="ID", help="As `kithlog dead list` shows it.")]


_NONE = "there are no dead letters"
_HELD = "somebody else is looking at dead letters, and may hold them: look again when that has ended"


@app.command("list")
def list_(
    most: Annotated[int, typer.Option("-n", "--most", min=1, max=MOST, help="List so many, the longest dead.")] = 1_000,
    as_json: AsJson = False,
) -> None:
    """List dead letters in the order in which they came. Exit code 1 when there are any, or somebody else holds them.

    Example: kithlog dead list -n 20
    """

    async def verb() -> tuple[list[dict[str, Any]], int, bool]:
        async with dead_letters(settings().amqp_url) as letters:
            rows: list[dict[str, Any]] = []
            async for letter in letters.each():
                if len(rows) < most:
                    rows.append(letter.to_dict())
            return rows, letters.count - len(rows), letters.others

    rows, more, others = run(verb())
    if as_json:
        show_json(rows)
    elif rows:
        columns = ("id", "command", "tenant", "stream_id", "reason", "detail")
        show_table(columns, [[row[column] for column in columns] for row in rows])
    elif not others:
        note(_NONE)
    if others and not rows:
        note(_HELD)
    if rows and more > 0:
        note(f"{more:,} more lie behind these {len(rows):,}: -n lists more")
    if rows or others:
        raise typer.Exit(WRONG)


@app.command()
def show(id: Id, as_json: AsJson = False) -> None:
    """Show one with its headers and body.

    Example: kithlog dead show 3f2a91c04be7
    """

    async def verb() -> dict[str, Any]:
        async with dead_letters(settings().amqp_url) as letters:
            return (await _those(letters, [id]))[0].to_dict(whole=True)

    found = run(verb())
    if as_json:
        show_json([found])
    else:
        show_table(("", "dead letter"), list(found.items()))


@app.command()
def retry(
    ids: Annotated[list[str] | None, typer.Argument(metavar="ID...", help="As `kithlog dead list` shows them.")] = None,
    every: Annotated[bool, typer.Option("--all", help="All that are there now, in order.")] = False,
    why: AlsoWhy = None,
    as_json: AsJson = False,
) -> None:
    """Send commands again, as they were. One that was executed meanwhile is answered as before, not executed twice; one
    that was refused is judged anew.

    Each is told once it is on its way. Whatever ends this early, the others stay: repeat it for those.

    Example: kithlog dead retry 3f2a91c04be7
    """
    if bool(ids) == every:
        raise typer.BadParameter("name dead letters, or --all")

    async def verb() -> None:
        async with database(settings()) as connection, dead_letters(settings().amqp_url) as letters:

            async def send(letter: DeadLetter) -> None:
                if letter.key is not None:
                    await connection.execute(QUERIES["lift_refusal"], *letter.key)
                await letters.send_again(letter)
                await record(connection, settings(), "dead retry", letter.id, why=why, **letter.to_dict())
                await letters.settle(letter)
                _tell(letter, "sent again", as_json)

            if ids:
                for letter in await _those(letters, ids):
                    await send(letter)
            else:
                done = 0
                async for letter in letters.each():
                    await send(letter)
                    done += 1
                if done < letters.count:
                    note(f"{letters.count - done:,} more are being looked at by somebody else: repeat it for those")
                elif not letters.count:
                    note(_HELD if letters.others else _NONE)

    run(verb())


@app.command()
def discard(id: Id, why: Why, as_json: AsJson = False) -> None:
    """Give a command up. Its name, its ids and its reason stay in the record of operations; its content does not: look
    at it with `kithlog dead show` first.

    Example: kithlog dead discard 3f2a91c04be7 --why "a test client sent it"
    """

    async def verb() -> None:
        async with database(settings()) as connection, dead_letters(settings().amqp_url) as letters:
            for letter in await _those(letters, [id]):
                await record(connection, settings(), "dead discard", letter.id, why=why, **letter.to_dict())
                await letters.settle(letter)
                _tell(letter, "discarded", as_json)

    run(verb())


async def _those(letters: DeadLetters, ids: Collection[str]) -> list[DeadLetter]:
    """Those with some ids: more than one of an id when the same command came, and failed, several times.

    Raises `Ended` for an id that none has.
    """
    found = [letter async for letter in letters.each() if letter.id in ids]
    unknown = set(ids) - {letter.id for letter in found}
    if unknown:
        those = (
            "all" if letters.count <= MOST else f"the first {MOST:,}, further ones can't be looked at before these go"
        )
        raise wrong(f"there is no dead letter {', '.join(sorted(unknown))}: `kithlog dead list` shows {those}")
    return found


def _tell(letter: DeadLetter, done: str, as_json: bool) -> None:
    row = letter.to_dict()
    if as_json:
        show_json([row])
    else:
        typer.echo(f"{done}: {row['id']} ({row['command'] or 'no command'}, {row['reason']})")
