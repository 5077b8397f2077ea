"""`kithlog asof`: a stream, or a seeker's rows, as they were known and as they were valid."""

from __future__ import annotations

import json as jsons
from dataclasses import fields
from typing import Annotated, Any
from uuid import UUID

import typer

from services.cli.database import database
from services.cli.tables import show_table
from services.cli.terminal import AsJson, misunderstood, note, run, second, settings, show_json
from services.cli.wanted import instant, wanted
from services.projector.rebuild.past import OF_SEEKERS, Moment, Past, PastRows
from shared.domain.kernel import Event
from shared.envelope import Recorded

app = typer.Typer(no_args_is_help=True, help="The past: as of a position or a recorded time, or valid at a time.")
OfTenant = Annotated[str, typer.Option("--tenant", help="Whose it is.")]
AsOf = Annotated[
    str | None, typer.Option("--as-of", help="Only what was written down up to this position, or this time.")
]
ValidAt = Annotated[str | None, typer.Option("--valid-at", help="Only what had happened by then.")]
_WIDE = 100


def _moment(as_of: str | None, valid_at: str | None) -> Moment:
    try:
        return Moment.parse(as_of, instant(valid_at, "--valid-at"))
    except ValueError:
        raise misunderstood(f"--as-of {as_of!r} is neither a position nor a time such as 2026-03-02T09:00Z") from None


def _id(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError:
        raise misunderstood(f"{text!r} is not an id: a UUID") from None


@app.command()
def stream(
    stream: Annotated[str, typer.Argument(metavar="STREAM", help="The stream's id.")],
    tenant: OfTenant,
    as_of: AsOf = None,
    valid_at: ValidAt = None,
    json: AsJson = False,
) -> None:
    """Show the events of a stream that were known, or had happened, by then.

    Example: kithlog asof stream 6a2e0c1e-7d55-4d0b-9a0b-7b0f5f5f3a03 --tenant acme --as-of 2026-03-02T09:00Z
    """

    async def verb() -> list[Recorded[Event]]:
        wanted(tenant)
        id, moment = _id(stream), _moment(as_of, valid_at)
        async with database(settings()) as connection:
            found = await Past(connection).stream(tenant, id, moment)
            if found is None:
                raise misunderstood(f"tenant {tenant} has no stream {id}")
            return found

    events = run(verb())
    rows = [
        {
            "position": e.position,
            "version": e.version,
            "type": e.type,
            "occurred_at": e.occurred_at.isoformat(),
            "recorded_at": e.recorded_at.isoformat(),
            "actor": e.actor,
            "data": e.data.model_dump(mode="json", exclude_none=True),
        }
        for e in events
    ]
    if json:
        show_json(rows)
    else:
        show_table(
            ("position", "version", "type", "occurred", "recorded", "actor", "data"), [_cut(row) for row in rows]
        )
    note(f"{len(rows)} events")


@app.command()
def seeker(
    model: Annotated[str, typer.Argument(metavar="MODEL", help=f"One of {', '.join(OF_SEEKERS)}.")],
    seeker: Annotated[str, typer.Argument(metavar="SEEKER", help="The seeker's id.")],
    tenant: OfTenant,
    as_of: AsOf = None,
    valid_at: ValidAt = None,
    json: AsJson = False,
) -> None:
    """Show a seeker's rows of a read model as they were, folded afresh from the log.

    Example: kithlog asof seeker pipeline 6a2e0c1e-7d55-4d0b-9a0b-7b0f5f5f3a03 --tenant acme --valid-at 2026-03-02
    """

    async def verb() -> PastRows:
        wanted(tenant)
        if model not in OF_SEEKERS:
            raise misunderstood(f"there is no read model {model!r} of seekers: one of {', '.join(OF_SEEKERS)}")
        id, moment = _id(seeker), _moment(as_of, valid_at)
        async with database(settings()) as connection:
            past = Past(connection)
            if await past.stream(tenant, id, Moment()) is None:
                raise misunderstood(f"tenant {tenant} has no seeker {id}")
            return await past.rows(model, tenant, id, moment)

    found = run(verb())
    rows = [jsons.loads(OF_SEEKERS[model].encode(row)) for row in found.rows]
    if json:
        show_json(rows)
    else:
        names = [field.name for field in fields(OF_SEEKERS[model].row)]
        for row in rows:
            show_table(("field", "value"), [(name, _short(row[name])) for name in names if row[name] not in (None, [])])
    note(f"{len(rows)} rows as of position {found.position}")


def _cut(row: dict[str, Any]) -> list[str | None]:
    return [second(value) if name.endswith("_at") else _short(value) for name, value in row.items()]


def _short(value: Any) -> str:
    text = value if isinstance(value, str) else jsons.dumps(value, ensure_ascii=False)
    return text if len(text) <= _WIDE else text[: _WIDE - 1] + "…"
