"""`kithlog policy`: what other timing policies would have done."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Sequence
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Annotated
from uuid import UUID

import typer

from services.cli.database import database
from services.cli.rebuild_showing import PolicyFile, policies_of
from services.cli.tables import show_table
from services.cli.terminal import AsJson, misunderstood, note, progress, run, settings, show_json
from services.cli.wanted import Tenant, instant, wanted
from services.projector.folding.simulation import Firing, Simulation
from services.projector.rebuild.past import Unusable, read_event
from services.projector.rebuild.staging import QUERIES as REBUILD
from services.projector.storing.loading import PAGE_BYTES
from shared.domain.catalogue import COMMANDS, EVENTS
from shared.domain.kernel import Event
from shared.envelope import Recorded
from shared.log.reading import QUERIES as LOG_QUERIES
from shared.timing.policies import Policies, PolicyError, check_policies, other_policies

app = typer.Typer(no_args_is_help=True, help="Timing policies.")
Firings = dict[tuple[str, UUID], Firing]
_PAGE = 2_000


@app.callback()
def group() -> None:
    """Timing policies."""


@app.command("simulate")
def simulate_(
    policy: Annotated[
        Path,
        typer.Option(
            "--policy", help="The policies to try: TOML like those of this release, or like KITHLOG_POLICIES."
        ),
    ],
    since: Annotated[str, typer.Option("--from", help="Count what fires from this time on.")],
    until: Annotated[str, typer.Option("--to", help="… up to this time.")],
    tenant: Tenant = None,
    most: Annotated[int, typer.Option("-n", "--most", min=0, help="List so many of the changes one by one.")] = 20,
    policies: PolicyFile = None,
    json: AsJson = False,
) -> None:
    """Run history through changed timing policies, and show against today's what would have fired when, for whom.

    A file like this release's policies.toml is tried with what tenants change today; one like KITHLOG_POLICIES brings
    other changes of theirs. Writes nothing. The facts of all subjects up to --to are kept in memory: choose a tenant
    of a large log.

    Example: kithlog policy simulate --policy new.toml --from 2026-03-01 --to 2026-04-01 --tenant acme
    """

    async def verb() -> tuple[list[Firing], list[Firing]]:
        wanted(tenant)
        begin, end = instant(since, "--from"), instant(until, "--to")
        assert begin is not None
        assert end is not None
        if begin >= end:
            raise misunderstood("--from must be before --to")
        today = policies_of(policies)
        return await _run_both(today, _read(policy, today), tenant, begin, end, json)

    today, changed = run(verb())
    if json:
        show_json([{"policies": "today", **asdict(one)} for one in today])
        show_json([{"policies": "changed", **asdict(one)} for one in changed])
    else:
        _show(today, changed, most)


def _read(file: Path, today: Policies) -> Policies:
    try:
        found = other_policies(file.read_text("utf-8"), today)
        check_policies(found, EVENTS, COMMANDS)
    except (OSError, UnicodeDecodeError, PolicyError) as error:
        raise misunderstood(f"--policy can't be used: {error}") from None
    return found


async def _run_both(
    today: Policies, changed: Policies, tenant: str | None, since: datetime, until: datetime, json: bool
) -> tuple[list[Firing], list[Firing]]:
    sides: list[tuple[Simulation, list[Firing]]] = [(Simulation(each), []) for each in (today, changed)]
    events = 0
    async for e in _history(tenant, until, json):
        events += 1
        for simulation, found in sides:
            try:
                found += (one for one in simulation.fold(e) if one.at >= since)
            except Exception as error:
                raise Unusable(e, "folded", error) from error
    if not events:
        whose = "" if tenant is None else f" of tenant {tenant}"
        raise misunderstood(f"the log holds nothing{whose} from before {until.isoformat()}")
    for simulation, found in sides:
        found += (one for one in simulation.pass_to(until) if one.at >= since)
    return sides[0][1], sides[1][1]


async def _history(tenant: str | None, until: datetime, json: bool) -> AsyncIterator[Recorded[Event]]:
    """What was written down before `until`."""
    async with database(settings()) as connection:
        head: int = (await connection.fetchrow(LOG_QUERIES["head"]))["position"]
        discarded = {tuple(row) for row in await connection.fetch(REBUILD["discarded"])}
        after = 0
        with progress("folding", head, json=json) as advance:
            while rows := await connection.fetch(LOG_QUERIES["read"], after, _PAGE, PAGE_BYTES):
                for row in rows:
                    recorded: Recorded[bytes] = Recorded(*row)
                    if recorded.recorded_at >= until:
                        return
                    if tenant in (None, recorded.tenant) and (recorded.tenant, recorded.event_id) not in discarded:
                        yield read_event(recorded)
                after = rows[-1]["position"]
                advance(len(rows))


def _show(today: Sequence[Firing], changed: Sequence[Firing], most: int) -> None:
    before, after = ({(one.tenant, one.id): one for one in side} for side in (today, changed))
    _show_policies(before, after)
    _show_changes(before, after, most)
    days = [Counter(one.local.date() for one in side) for side in (today, changed)]
    show_table(
        ("day", "today", "changed"),
        [(day, days[0][day], days[1][day]) for day in sorted(days[0].keys() | days[1].keys())],
        title="A day",
    )
    sides = (today, changed)
    figures: list[list[object]] = [
        ["in all", *(len(side) for side in sides)],
        ["in quiet hours", *(sum(one.in_quiet_hours for one in side) for side in sides)],
        ["people", *(len({one.recipient_id for one in side}) for side in sides)],
        ["most for one person on one day", *(_most(side) for side in sides)],
    ]
    show_table(("", "today", "changed"), figures)
    note("nothing was written")


def _show_policies(before: Firings, after: Firings) -> None:
    by_policy: dict[str, Counter[str]] = {}
    for id in before.keys() | after.keys():
        was, will = before.get(id), after.get(id)
        counts = by_policy.setdefault((was or will).policy, Counter())  # type: ignore[union-attr]
        counts["today"] += was is not None
        counts["changed"] += will is not None
        counts["new"] += was is None
        counts["gone"] += will is None
        counts["moved"] += was is not None and will is not None and was.at != will.at
    columns = ("today", "changed", "new", "gone", "moved")
    rows = [(policy, *(counts[column] for column in columns)) for policy, counts in sorted(by_policy.items())]
    show_table(("policy", *columns), rows, title="What would have fired")


def _show_changes(before: Firings, after: Firings, most: int) -> None:
    """When, and for whom: the first firings that are not the same, each on its recipient's clock."""
    pairs = [(before.get(id), after.get(id)) for id in before.keys() | after.keys()]
    changes = [(was, will, was or will) for was, will in pairs if was is None or will is None or was.at != will.at]
    changes.sort(key=lambda change: (change[2].at, str(change[2].id)))  # type: ignore[union-attr]
    rows = [
        (f"{one.policy}/{one.stage}", one.tenant, f"{one.role} {one.recipient_id or ''}", _local(was), _local(will))
        for was, will, one in changes[:most]
        if one is not None
    ]
    if rows:
        show_table(("notification", "tenant", "for", "today", "changed"), rows, title="What changes")
    if len(changes) > len(rows):
        note(f"{len(changes) - len(rows)} more changes: -n lists more, --json everything that fires")


def _local(one: Firing | None) -> str:
    return "–" if one is None else f"{one.local:%Y-%m-%d %H:%M}{' in quiet hours' if one.in_quiet_hours else ''}"


def _most(side: Sequence[Firing]) -> int:
    return max(Counter((one.tenant, one.recipient_id, one.local.date()) for one in side).values(), default=0)
