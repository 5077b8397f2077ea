"""Verifying: the log in itself, and whether what is live is what the log says."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import TYPE_CHECKING
from uuid import UUID

from pydantic import ValidationError

from services.projector.folding.changes import RowId
from services.projector.folding.selection import EVERYTHING, Selection
from services.projector.folding.timing_rows import CONTACT, RECIPIENT, SUBJECT, TIMING, touched
from services.projector.models import MODELS
from services.projector.rebuild.past import read_event
from services.projector.rebuild.rebuild import begun
from services.projector.rebuild.report import HEALED, Refused, Report
from services.projector.rebuild.staging import QUERIES as REBUILD
from services.projector.rebuild.work import Progress, Recording, models_of
from shared.codec import UnknownEventType, decode
from shared.database.pool import connect
from shared.database.queries import load_queries
from shared.domain.catalogue import EVENTS
from shared.envelope import Recorded
from shared.log.reading import QUERIES as LOG_QUERIES
from shared.timing.policies import Policies
from shared.timing.routing import timed

if TYPE_CHECKING:
    import asyncpg

    Connection = asyncpg.Connection[asyncpg.Record]

QUERIES = load_queries("services.projector.rebuild", "verify.sql")
_CHECKS = ("positions", "versions", "epochs", "receipts")
_SHOWN = 100
_PAGE = 1_000
_STEP = 10_000
"""Events that are looked at between two reports of progress, or about so many."""


async def compare(
    database_url: str,
    policies: Policies,
    names: Sequence[str],
    *,
    selection: Selection = EVERYTHING,
    heal: bool = False,
    processes: int | None = None,
    progress: Progress | None = None,
    recording: Recording | None = None,
) -> Report:
    """Fold afresh what is selected and compare it with what is live; with `heal`, mend what differs.

    `recording` is called in the transaction that mends, to write down who did it.
    Raises as `rebuild`, and `Refused` when so much differs that it wants a rebuild.
    """
    async with begun(database_url, policies, "verify", names, processes, progress, selection) as (work, builder):
        work.recording = recording
        await work.compare(builder)
        if heal and work.report.ids:
            if len(work.report.ids) > HEALED:
                raise Refused(f"more than {HEALED} rows differ: use `kithlog rebuild` for these models")
            await work.heal(builder)
    return work.report


async def rows_of_stream(database_url: str, names: Sequence[str], tenant: str, stream_id: UUID) -> Selection:
    """The rows that the events of one stream have touched, the timers' subjects among them; where by them timing knows
    something of contacts and seekers, all subjects about those, too, as far as what is live leads there.

    Raises `Refused` when there is no such stream, `UnknownEventType`, and `Unusable` for an unreadable event.
    """
    models = [model for model in MODELS if model.name in models_of(names)]
    connection = await connect(database_url)
    try:
        rows = await connection.fetch(LOG_QUERIES["read_streams"], [tenant], [stream_id], [0])
        if not rows:
            raise Refused(f"tenant {tenant} has no stream {stream_id}")
        discarded = {tuple(row) for row in await connection.fetch(REBUILD["discarded"])}
        events = [read_event(Recorded(*row)) for row in rows if (tenant, row["event_id"]) not in discarded]
        ids: set[RowId] = {(model.name, tenant, key) for e in events for model in models for key in model.keys(e)}
        if TIMING in names:
            ids.update(id for e in events for id in touched(e))
        people = [UUID(key) for name, _, key in ids if name in (CONTACT, RECIPIENT)]
        ids |= {(SUBJECT, tenant, row["key"]) for row in await connection.fetch(QUERIES["subjects"], tenant, people)}
    finally:
        connection.terminate()
    return Selection(ids=frozenset(ids))


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that is wrong with the log itself."""

    check: str
    """`positions`, `versions`, `epochs`, `receipts` or `payloads`."""
    subject: str
    detail: str


async def check_log(database_url: str, names: Sequence[str], progress: Progress | None = None) -> list[Finding]:
    """Whether positions are dense, versions without holes, epochs rising, and receipts there and true to what was
    written; and whether the events can be read that folding the models `names` passes over, and those that wait of
    parked streams: of the others, folding tells, and what was discarded nobody reads.

    Of each check the first hundred findings; each goes through all events, which `progress` hears of. One snapshot,
    which blocks nobody. Raises what asyncpg raises while PostgreSQL is away.
    """
    connection = await connect(database_url, server_settings={"work_mem": "64MB", "jit": "off"})
    found: list[Finding] = []
    try:
        async with connection.transaction(isolation="repeatable_read", readonly=True):
            events: int = await connection.fetchval(LOG_QUERIES["head"])

            def advance(n: int) -> None:
                if progress is not None:
                    progress("checking the log", n, events * (len(_CHECKS) + 1))

            searches = [_search(connection, check) for check in _CHECKS]
            for search in (*searches, _unreadable(connection, passed_over(names))):
                found += await _first_of(search, events, advance)
    finally:
        connection.terminate()
    return found


async def _first_of(
    search: AsyncGenerator[Finding | None, None], events: int, advance: Callable[[int], None]
) -> list[Finding]:
    """Findings of a search, not too many. `advance` hears of all `events` by its end, however irregular its steps."""
    found: list[Finding] = []
    left = events
    async with aclosing(search):
        async for one in search:
            if one is not None:
                found.append(one)
                if len(found) == _SHOWN:
                    break
            elif left > _STEP:
                advance(_STEP)
                left -= _STEP
    advance(left)
    return found


async def _search(connection: Connection, check: str) -> AsyncGenerator[Finding | None, None]:
    """What a query finds; None about every `_STEP` events."""
    async for row in connection.cursor(QUERIES[check], _STEP, prefetch=1):
        yield Finding(check, row["subject"], row["detail"]) if row["wrong"] else None


def passed_over(names: Sequence[str]) -> list[str]:
    """The event types that folding some read models does not read."""
    read = [model.folds for model in MODELS if model.name in names]
    return [
        type
        for type, kind in EVENTS.items()
        if not (any(folds is None or kind in folds for folds in read) or (TIMING in names and timed(kind)))
    ]


async def _unreadable(connection: Connection, types: Sequence[str]) -> AsyncGenerator[Finding | None, None]:
    """Those events that are not what their types say, of some types and of what waits; None about every `_STEP`."""
    position = 0
    async for row in connection.cursor(QUERIES["unfolded"], types, prefetch=_PAGE):
        recorded: Recorded[bytes] = Recorded(*row)
        for _ in range(recorded.position // _STEP - position // _STEP):
            yield None
        position = recorded.position
        try:
            decode(recorded)
        except (ValidationError, UnknownEventType) as error:
            told = " ".join(str(error).split())
            yield Finding("payloads", f"position {position}", f"{recorded.type} can't be read: {told}")
