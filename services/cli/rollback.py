"""`kithlog rollback`: back to what was live before a rebuild."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from services.cli.database import record
from services.cli.rebuild_showing import PolicyFile, Processes, bars, chosen, ending_well, policies_of, show
from services.cli.terminal import AsJson, Why, note, run, settings
from services.projector.rebuild.rebuild import roll_back
from services.projector.rebuild.report import Report

app = typer.Typer()


@app.command("rollback")
def rollback(
    models: Annotated[list[str], typer.Argument(metavar="MODEL", help="Read models, as `kithlog rebuild` names them.")],
    why: Why,
    policies: PolicyFile = None,
    processes: Processes = None,
    as_json: AsJson = False,
) -> None:
    """Make the generations live again that were live before the last rebuild, and fold into them what came since.

    A generation of another version is rolled back to by the release that folds that version. What was live is kept in
    turn.

    Example: kithlog rollback pipeline --why "the new one counts follow-ups twice"
    """

    async def verb() -> Report:
        own = settings()
        names, in_force = chosen(models), policies_of(policies)

        async def recording(connection: Any, report: Report) -> None:
            await record(connection, own, "rollback", " ".join(names), why=why, position=report.position)

        then = "look into `kithlog log operations` then, for a second rollback goes forth again"
        with ending_well(then), bars(json=as_json) as progress:
            return await roll_back(
                own.database_url, in_force, names, note=why, processes=processes, progress=progress,
                recording=recording,
            )  # fmt: skip

    show(run(verb()), json=as_json)
    note("switched back")
