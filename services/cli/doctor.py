"""`kithlog doctor`: what is wrong here, and what to do."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Annotated

import typer

from services.cli.doctor_broker import look_at_broker
from services.cli.doctor_database import look_at_database
from services.cli.doctor_services import look_at_services
from services.cli.findings import Finding, State
from services.cli.tables import show_table
from services.cli.terminal import UNAVAILABLE_CODE, WRONG, AsJson, note, run, settings, show_json
from shared.operations.variables import unread

app = typer.Typer()
_STATES: tuple[State, ...] = ("away", "wrong", "look", "unknown", "ok")
_STYLES = {"away": "bold red", "wrong": "bold red", "look": "yellow", "unknown": "dim"}


@app.callback(invoke_without_command=True)
def doctor(
    watch: Annotated[
        float, typer.Option(min=0.5, max=600, help="Seconds to see whether what is behind the log moves.")
    ] = 2.0,
    as_json: AsJson = False,
) -> None:
    """Look at PostgreSQL, the log, the relay, the projector, RabbitMQ, the services and the environment, and say what
    to do. Changes nothing.

    Exit code 0: nothing is wrong (some things may be worth a look); 1: something is; 3: a server is away.

    Example: kithlog doctor --watch 5
    """

    async def verb() -> list[Finding]:
        chosen = settings()
        database, broker, services = await asyncio.gather(
            look_at_database(chosen.database_url, watch=watch),
            look_at_broker(chosen.amqp_url, chosen.management_url),
            look_at_services(chosen.command_url, chosen.projector_url),
        )
        return [*database, *broker, *services, *_environment()]

    findings = run(verb())
    if as_json:
        show_json(finding.to_dict() for finding in findings)
    else:
        show_table(
            ("where", "what", "state", "detail, and what to do"),
            [
                (each.where, each.what, each.state, "\n→ ".join(filter(None, (each.detail, each.remedy))))
                for each in sorted(findings, key=lambda each: _STATES.index(each.state))
            ],
            style=lambda row: _STYLES.get(row[2]),
        )
        note(_summary(findings))
    states = {finding.state for finding in findings}
    if "away" in states:
        raise typer.Exit(UNAVAILABLE_CODE)
    if "wrong" in states:
        raise typer.Exit(WRONG)


def _environment() -> list[Finding]:
    return [Finding("environment", each.variable, "look", "nothing reads it", each.remedy) for each in unread()]


def _summary(findings: list[Finding]) -> str:
    counts = Counter(finding.state for finding in findings)
    if set(counts) <= {"ok", "unknown"}:
        return "nothing is wrong" + (f"; {counts['unknown']} could not be looked at" if counts["unknown"] else "")
    named = {"away": "away", "wrong": "wrong", "look": "worth a look", "unknown": "unknown", "ok": "in order"}
    return ", ".join(f"{counts[state]} {named[state]}" for state in _STATES if counts[state])
