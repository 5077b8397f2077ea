"""A new timeline after a restore: what it changes, and what has to be done next.

No two timelines of a log may have the same epoch: readers would take events of one for those of the other. What the
database knows of epochs was restored with it, so its next one may have been used, by a fork after an earlier restore.
PostgreSQL's own timelines are told apart by its archive, which is not restored, and each restore from that begins one.
"""

from __future__ import annotations

import asyncio
from typing import Any
from urllib.parse import parse_qs, urlsplit

import typer

from services.cli.database import QUERIES, database, record
from services.cli.settings import OperatorSettings
from services.cli.terminal import ended_by_ctrl_c, misunderstood, wrong
from shared.database.timeline import UNTOLD, timeline_of

UNSURE = (
    "Make sure that no consumer has seen epoch {epoch} or a later one, as it may have where this log was forked before "
    "and is from a dump, an export or another copy than PostgreSQL's archive: PostgreSQL, which is in its own timeline "
    "{timeline}, can't tell. If one has, fork once more, before anything is appended, with an `--epoch` above that."
)
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
SKIPPED = (
    "Epochs between {before} and {epoch} may have been those of timelines that are given up. A consumer that has "
    "been in one goes back to the position of that fork, where it is before {position}: `kithlog log operations "
    '--about "log fork"` tells it, in the database that was lost. Neither the history feed nor shared/client can know.'
)
_LOOKS = 10
"""How often sessions of services are looked for, 0.2 s apart: those that have just ended are seen for a moment yet."""


async def fork_log(settings: OperatorSettings, *, epoch: int | None, why: str, sure: bool) -> dict[str, Any]:
    """Raise the epoch, once, to `epoch` or to the next that PostgreSQL's timelines leave free; recorded.

    Raises `Ended`.
    """
    async with database(settings) as connection:
        places = await connection.fetchrow(QUERIES["places"])
        where = f"database {places['database']} at {_host(settings.database_url)}"
        await _refuse_served(connection, where)
        timeline = await _timeline(connection, needed=epoch is None)
        least = max(places["epoch"] + 1, timeline or 0)
        if epoch is not None and epoch < least:
            known = "" if timeline is None else f" and PostgreSQL in its timeline {timeline}"
            raise misunderstood(
                f"the log is in epoch {places['epoch']}{known}: --epoch {least} at least; nothing was done"
            )
        steps = NEXT if epoch is not None or places["epoch"] < (timeline or 0) else (UNSURE, *NEXT)
        epoch = epoch or least
        if epoch > places["epoch"] + 1:
            steps = (*steps, SKIPPED)
        if not sure:
            _ask(where, places, epoch)
        async with connection.transaction():
            raised = await connection.fetchrow(QUERIES["raise_epoch"], places["epoch"], epoch, places["head"])
            if raised is None:
                raise wrong("somebody has written to the log, or begun a new timeline, meanwhile: nothing was done")
            position = raised["position"]
            await record(connection, settings, "log fork", f"position {position}", why=why, epoch=epoch)
    told = {"position": position, "epoch": epoch, "timeline": timeline, "before": places["epoch"]}
    return {"position": position, "epoch": epoch, "next": [step.format_map(told) for step in steps]}


async def _refuse_served(connection: Any, where: str) -> None:
    """A log that services write to was not restored just now: to fork it would stop every projector."""
    for look in range(_LOOKS):
        if look:
            await asyncio.sleep(0.2)
        sessions = await connection.fetchval(QUERIES["served"])
        if not sessions:
            return
    raise wrong(
        f"{sessions} sessions of services, or of other verbs, are open in {where}: stop them first, or set "
        "KITHLOG_DATABASE_URL to the log that was restored; nothing was done"
    )


def _host(url: str) -> str:
    """As the URL names it, without user and password."""
    parts = urlsplit(url)
    return parts.netloc.rpartition("@")[2] or parse_qs(parts.query).get("host", ["the default address"])[0]


async def _timeline(connection: Any, *, needed: bool) -> int | None:
    try:
        return await timeline_of(connection)
    except UNTOLD as error:
        if needed:
            raise wrong(
                f"PostgreSQL does not tell its timeline ({error}): name an epoch above every one that a consumer has "
                "seen, by --epoch; nothing was done"
            ) from None
        return None


def _ask(where: str, places: Any, epoch: int) -> None:
    typer.echo(
        f"The log in {where} ends at position {places['head']} of epoch {places['epoch']}; the read models are at "
        f"{places['folded']} of epoch {places['folded_epoch']}. All of them will have to be rebuilt.",
        err=True,
    )
    try:
        with ended_by_ctrl_c():
            typer.confirm(f"Begin a new timeline here, epoch {epoch}?", abort=True, err=True)
    except typer.Abort:
        raise misunderstood("not confirmed, nothing was done: --yes does without asking") from None
