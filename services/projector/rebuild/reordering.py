"""What timers follow from that got an event late, folded again from the log in its order.

What an event ends or begins depends on what came before it: a thank-you that is folded after the end of the
relationship would begin reminders to keep in touch, and an earlier enrolment would be taken for the latest. What such a
subject or recipient is folded from is all on streams that the seeker has to do with, few enough to be read while the
checkpoint is held.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING
from uuid import UUID

from services.projector.folding.changes import Changes, Checkpoint, RowId
from services.projector.folding.folder import Folder
from services.projector.folding.rows import Rows
from services.projector.folding.selection import Selection
from services.projector.folding.timing_facts import TimingFacts
from services.projector.folding.timing_rows import RECIPIENT, SUBJECT
from services.projector.rebuild.building import CannotFold
from services.projector.rebuild.comparing import Facts, timers_of, write_timers
from services.projector.rebuild.staging import QUERIES as REBUILD
from services.projector.storing.store import Store
from shared.database.queries import load_queries
from shared.domain.catalogue import EVENTS
from shared.envelope import Recorded
from shared.timing.policies import Policies
from shared.timing.recipient import Recipient
from shared.timing.routing import timed
from shared.timing.subject import Subject

if TYPE_CHECKING:
    import asyncpg

    Connection = asyncpg.Connection[asyncpg.Record]

QUERIES = load_queries("services.projector.rebuild", "unparking.sql")


_SEEKERS = 200
"""Whose events are held in memory at a time."""
_TIMED = [type for type, kind in EVENTS.items() if timed(kind)]


async def put_in_order(
    store: Store,
    connection: Connection,
    checkpoint: Checkpoint,
    policies: Policies,
    tenant: str,
    late: Mapping[RowId, Subject | Recipient],
) -> None:
    """Make some subjects and recipients of a tenant, given as they are, and their timers what the log says.

    Within `Store.turn`. Raises `CannotFold`, `UnknownEventType`, and what asyncpg raises while PostgreSQL is away.
    """
    other: dict[RowId, Subject | Recipient] = {}
    seekers = sorted({_seeker_id(row) for row in late.values()})
    for first in range(0, len(seekers), _SEEKERS):
        some = set(seekers[first : first + _SEEKERS])
        rows = await connection.fetch(QUERIES["events_of_seekers"], tenant, some, checkpoint.position, _TIMED)
        ids = [id for id, row in late.items() if _seeker_id(row) in some]
        folded = _folded([Recorded(*row) for row in rows], ids, policies)
        other |= {id: row for id, row in folded.items() if row != late[id]}
    await store.apply(checkpoint, checkpoint.position, Changes(rows=other))
    subjects = {id[1:] for id in late if id[0] == SUBJECT}
    for id in other:
        if id[0] == RECIPIENT:
            theirs = await connection.fetch(REBUILD["subjects_of"], store.generations[SUBJECT], tenant, UUID(id[2]))
            subjects |= {(tenant, row["key"]) for row in theirs}
    facts = Facts(store.generations[SUBJECT], store.generations[RECIPIENT], checkpoint.position, policies)
    differing = timers_of(connection, facts, subjects)
    await write_timers(connection, [one async for one in differing if one.explained is None])


def _seeker_id(row: Subject | Recipient) -> UUID:
    return row.id if isinstance(row, Recipient) else row.seeker_id


def _folded(
    events: Sequence[Recorded[bytes]], ids: Iterable[RowId], policies: Policies
) -> dict[RowId, Subject | Recipient]:
    """Those subjects and recipients as the events lead to them, which are all that they follow from."""
    selection = Selection(ids=frozenset(ids))
    folder = Folder((), TimingFacts(policies, selection))
    plan = folder.plan(events, ())
    if plan.unknown is not None:
        raise plan.unknown
    nothing = Rows()
    nothing.add(dict.fromkeys(plan.wanted))
    for owner in plan.owners:
        nothing.add_owned(owner, ())
    changes = folder.fold(plan, nothing)
    for failure in changes.parked.values():
        raise CannotFold(failure)
    return {id: row for id, row in changes.rows.items() if id in selection}
