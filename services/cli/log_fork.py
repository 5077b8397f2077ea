"""A new timeline after a restore: what it changes, and what has to be done next."""

from __future__ import annotations

from typing import Any

import typer

from services.cli.database import QUERIES, database, record
from services.cli.settings import OperatorSettings
from services.cli.terminal import misunderstood, wrong

NEXT = (
    "Before any projector runs, unless the broker lost its messages, too: `rabbitmqctl purge_queue kithlog.projector`. "
    "It may hold events of the old timeline beyond the log's end, and the projector stops at those; what one has been "
    "handed already is not purged.",
    "Start the services. The projector stops before it folds anything, and `/readyz` says so: its read models are of "
    "the old timeline.",
    "Run `kithlog rebuild`: the read models and timers are made anew from the log as it is now.",
    "Tell the consumers: from the next event on every message carries the new epoch. What they have seen after "
    "position {position} in an earlier epoch did not happen; they go back to {position} and read on from there.",
    "Run `kithlog doctor`.",
)


async def fork_log(settings: OperatorSettings, *, why: str, sure: bool) -> dict[str, Any]:
    """Raise the epoch, once; recorded. Raises `Ended`."""
    async with database(settings) as connection:
        places = await connection.fetchrow(QUERIES["places"])
        if not sure:
            _ask(places)
        async with connection.transaction():
            raised = await connection.fetchrow(QUERIES["raise_epoch"], places["epoch"])
            if raised is None:
                raise wrong("somebody else has begun a new timeline at this moment: nothing was done")
            position, epoch = raised["position"], raised["epoch"]
            await record(connection, settings, "log fork", f"position {position}", why=why, epoch=epoch)
    return {"position": position, "epoch": epoch, "next": [step.format(position=position) for step in NEXT]}


def _ask(places: Any) -> None:
    typer.echo(
        f"The log ends at position {places['head']} of epoch {places['epoch']}; the read models are at "
        f"{places['folded']} of epoch {places['folded_epoch']}. All of them will have to be rebuilt.",
        err=True,
    )
    try:
        typer.confirm("Begin a new timeline here?", abort=True, err=True)
    except typer.Abort:
        raise misunderstood("not confirmed, nothing was done: --yes does without asking") from None
