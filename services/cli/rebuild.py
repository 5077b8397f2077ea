"""`kithlog rebuild`: read models built afresh beside the live ones."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from services.cli.database import record
from services.cli.rebuild_showing import Models, PolicyFile, Processes, bars, chosen, ending_well, policies_of, show
from services.cli.terminal import WRONG, AsJson, given, note, run, settings
from services.projector.rebuild.rebuild import rebuild
from services.projector.rebuild.report import Report

app = typer.Typer()


@app.command("rebuild")
def rebuild_(
    models: Models = None,
    accept: Annotated[
        str | None,
        typer.Option(
            "--accept", metavar="WHY", help="Switch although rows differ; the reason is recorded.", callback=given
        ),
    ] = None,
    policies: PolicyFile = None,
    processes: Processes = None,
    as_json: AsJson = False,
) -> None:
    """Build read models afresh beside the live ones, compare, and switch to them.

    What is live goes on meanwhile. Where the comparison finds a difference, nothing is switched, unless the model's
    version rose or --accept says why. `timing` stands for the pending notifications and what they follow from; none
    fires from this. The generations that were live are kept: `kithlog rollback`. What a killed rebuild has built, the
    next one goes on with.

    Example: kithlog rebuild pipeline timeline
    """

    async def verb() -> Report:
        own = settings()
        names, in_force = chosen(models), policies_of(policies)

        async def recording(connection: Any, report: Report) -> None:
            details = {"position": report.position, "differences": report.unexplained}
            await record(connection, own, "rebuild", " ".join(names), why=accept, **details)

        then = (
            "look into `kithlog log operations` then: where it tells of this one, it is switched, and another rebuild "
            "would drop the way back; else the same command goes on with what is built"
        )
        with ending_well(then), bars(json=as_json) as progress:
            return await rebuild(
                own.database_url, in_force, names, accept=accept, processes=processes, progress=progress,
                recording=recording,
            )  # fmt: skip

    report = run(verb())
    show(report, json=as_json)
    if not report.switched:
        note(f"{report.unexplained} differences without an explanation: nothing was switched; --accept WHY does it")
        raise typer.Exit(WRONG)
    note("switched")
