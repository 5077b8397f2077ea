"""`kithlog verify`: whether the log is sound, and whether what is live is what the log says."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from services.cli.database import record
from services.cli.rebuild_showing import (
    Models,
    PolicyFile,
    Processes,
    as_json,
    bars,
    chosen,
    ending_well,
    policies_of,
    show,
)
from services.cli.settings import OperatorSettings
from services.cli.tables import show_table
from services.cli.terminal import WRONG, AsJson, misunderstood, note, run, settings, show_json
from services.cli.wanted import StreamOption, Tenant, wanted
from services.projector.folding.selection import EVERYTHING, WHOLE, Selection
from services.projector.rebuild.report import Report
from services.projector.rebuild.verify import Finding, check_log, compare, rows_of_stream
from shared.timing.policies import Policies

app = typer.Typer()


@app.command()
def verify(
    models: Models = None,
    sample: Annotated[float, typer.Option(min=0.4, max=100, help="Percent of the rows to fold afresh.")] = 100,
    tenant: Tenant = None,
    stream: StreamOption = None,
    heal: Annotated[bool, typer.Option("--heal", help="Mend what differs; it is recorded.")] = False,
    policies: PolicyFile = None,
    processes: Processes = None,
    json: AsJson = False,
) -> None:
    """Check the log, fold it afresh, and tell each live row and timer that differs, field by field.

    Whole, a sample, or (with --tenant and --stream) only what one stream's events have touched. Commands are never held
    up; the projector is for a moment, in which the last events are folded to where it stands, and queries, for a tenth
    of a second at a time, while what was folded is dropped. Exit code 1 when anything is wrong and was not healed.

    Examples: kithlog verify --sample 10
    kithlog verify --tenant acme --stream 6a2e0c1e-7d55-4d0b-9a0b-7b0f5f5f3a03 --heal
    """

    async def verb() -> tuple[list[Finding], Report]:
        own = settings()
        names, in_force = chosen(models), policies_of(policies)
        wants = wanted(tenant, stream)
        if (wants.tenant is None) != (wants.stream_id is None) or (wants.stream_id and sample < 100):
            raise misunderstood("--tenant and --stream go together, and without --sample")
        with bars(json=json) as progress:
            findings = await check_log(own.database_url, names, progress)
        if findings and not json:
            show_table(
                ("check of the log", "what", "wrong"), [(one.check, one.subject, one.detail) for one in findings]
            )
        selection = Selection(below=max(1, round(sample * WHOLE / 100))) if sample < 100 else EVERYTHING
        try:
            with (
                ending_well("nothing is mended by halves, and mending twice does no harm"),
                bars(json=json) as progress,
            ):
                if wants.tenant is not None and wants.stream_id is not None:
                    selection = await rows_of_stream(own.database_url, names, wants.tenant, wants.stream_id)
                report = await _compare(own, in_force, names, selection, heal, processes, progress)
        except Exception:
            if findings and json:
                show_json([{"log": [vars_of(one) for one in findings]}])
            raise
        return findings, report

    findings, report = run(verb())
    if json:
        show_json([{**as_json(report), "log": [vars_of(one) for one in findings]}])
    else:
        show(report, json=False)
    if report.healed:
        note(f"{report.healed} rows and timers healed")
    if findings or report.failures or report.unexplained > report.healed:
        raise typer.Exit(WRONG)
    note(f"the log is sound, and what is live is what it says{_left_out(report)}" if not report.healed else "done")


def _left_out(report: Report) -> str:
    """What the log says and neither side has."""
    parked = f"parked streams: {report.parked} (`kithlog parked list`)" if report.parked else ""
    discarded = f"discarded events: {report.discarded} (`kithlog parked discarded`)" if report.discarded else ""
    told = ", ".join(filter(None, (parked, discarded)))
    return told and f", but for what is left out of it: {told}"


async def _compare(
    own: OperatorSettings,
    policies: Policies,
    names: list[str],
    selection: Selection,
    heal: bool,
    processes: int | None,
    progress: Any,
) -> Report:
    async def recording(connection: Any, report: Report) -> None:
        rows = [f"{model} {tenant} {key}" for model, tenant, key in sorted(report.ids)]
        await record(connection, own, "verify heal", " ".join(names), rows=rows, position=report.position)

    return await compare(
        own.database_url, policies, names, selection=selection, heal=heal, processes=processes, progress=progress,
        recording=recording,
    )  # fmt: skip


def vars_of(one: Finding) -> dict[str, str]:
    return {"check": one.check, "subject": one.subject, "detail": one.detail}
