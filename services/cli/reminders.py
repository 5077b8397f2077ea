"""`kithlog reminders`: why somebody is reminded, or is not, and when, as `GET …/reminders/{id}` tells it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated
from uuid import UUID

import typer
from pydantic import TypeAdapter

from services.cli.asof import OfTenant
from services.cli.database import database
from services.cli.rebuild_showing import PolicyFile, policies_of
from services.cli.tables import show_table
from services.cli.terminal import AsJson, misunderstood, note, run, second, settings, show_json, wrong
from services.cli.wanted import wanted
from services.projector.folding.timing_rows import SUBJECT
from services.projector.queries.notifications import Explained, Reminder, explained
from services.projector.queries.reader import OtherVersion, Reader
from services.projector.rebuild.report import Refused
from services.projector.rebuild.retiming import refuse_others
from services.projector.storing.store import QUERIES
from shared.timing import timers

app = typer.Typer()
_MOST = 10_000
"""Conversations, ties and leads of one seeker that are told of."""
_EXPLAINED = TypeAdapter(Explained)


@app.command()
def reminders(
    id: Annotated[str, typer.Argument(metavar="ID", help="A seeker's id, or an interview's, relationship's, lead's.")],
    tenant: OfTenant,
    policies: PolicyFile = None,
    json: AsJson = False,
) -> None:
    """Say of each policy and stage what it waits for, when it is due, or what has ended it and why: of all that a
    seeker has, or of one interview, relationship or lead. It reads what was folded, and needs no running projector.

    Example: kithlog reminders 6a2e0c1e-7d55-4d0b-9a0b-7b0f5f5f3a03 --tenant acme
    """

    async def verb() -> tuple[int, list[Explained]]:
        wanted(tenant, id)
        about, in_force = UUID(id), policies_of(policies)
        async with (
            database(settings()) as connection,
            connection.transaction(isolation="repeatable_read", readonly=True),  # all of one moment
        ):
            reader = Reader(connection)
            try:
                refuse_others(await connection.fetchval(QUERIES["reckoned_by"]), in_force)
                bodies = await reader.rows_of_owners(SUBJECT, tenant, [about], limit=_MOST)
                bodies = bodies or list((await reader.rows(SUBJECT, tenant, [str(about)])).values())
                subjects = [timers.SUBJECT.validate_json(body) for body in bodies]
                told = [await explained(reader, tenant, subject, in_force) for subject in subjects]
            except Refused as error:
                raise wrong(str(error)) from None
            except OtherVersion as error:
                raise wrong(f"{error}: `kithlog doctor` says which rebuild is wanted") from None
            if not told:
                raise misunderstood(f"nobody could be reminded of anything with the id {id} in tenant {tenant}")
            return await reader.position(), told

    position, told = run(verb())
    if json:
        show_json({**_EXPLAINED.dump_python(one, mode="json"), "position": position} for one in told)
    else:
        show_table(("about", "policy", "status", "due", "why"), [row for one in told for row in _rows(one)])
        for each in told[0].left_aside:
            note(f"what the seeker has set is left aside: {each}")
    note(f"as of position {position}")


def _rows(one: Explained) -> Iterator[tuple[object, ...]]:
    for each in one.policies:
        due = each.due_at and second(each.due_at.isoformat())
        policy = f"{each.policy}/{each.stage}" if each.stage else each.policy
        yield f"{one.subject} {one.subject_id}", policy, each.state or each.status, due, _why(each)


def _why(one: Reminder) -> str:
    parts = (
        one.reason or "",
        one.because,
        f"waits for {' or '.join(one.would_arm)}" if one.status == "never_armed" else "",
        f"moved by {', '.join(one.moved_by)}" if one.moved_by else "",
        f"would not be told now: {one.will_be}" if one.will_be else "",
    )
    return "; ".join(filter(None, parts))
