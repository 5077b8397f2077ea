"""Timing subjects that got an event late, folded again from the log in its order.

What an event ends or begins depends on what came before it: a thank-you that is folded after the end of the
relationship would begin reminders to keep in touch. What a subject is folded from is all on streams that its seeker has
to do with, few enough to be read while the checkpoint is held.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from typing import TYPE_CHECKING, Any
from uuid import UUID

from services.projector.changes import Changes, Checkpoint, RowId
from services.projector.rebuild_comparing import Facts, timers_of, write_timers
from services.projector.store import Store
from services.projector.timing_models import RECIPIENT, SUBJECT
from shared.codec import decode
from shared.database.queries import load_queries
from shared.domain.catalogue import EVENTS
from shared.envelope import Recorded
from shared.timing.contact import evolve_contact, wishing_contact
from shared.timing.policies import Policies
from shared.timing.routing import routes, timed
from shared.timing.subject import Subject, evolve

if TYPE_CHECKING:
    import asyncpg

    Connection = asyncpg.Connection[asyncpg.Record]

QUERIES = load_queries("services.projector", "unparking.sql")


_SEEKERS = 200
"""Whose events are held in memory at a time."""
_TIMED = [type for type, kind in EVENTS.items() if timed(kind)]


async def put_in_order(
    store: Store,
    connection: Connection,
    checkpoint: Checkpoint,
    policies: Policies,
    tenant: str,
    late: Mapping[RowId, Subject],
) -> None:
    """Make some subjects of a tenant, given as they are, and their timers what the log says.

    Within `Store.turn`. Raises what asyncpg raises while PostgreSQL is away.
    """
    other: dict[RowId, Any] = {}
    seekers = sorted({subject.seeker_id for subject in late.values()})
    for first in range(0, len(seekers), _SEEKERS):
        some = seekers[first : first + _SEEKERS]
        rows = await connection.fetch(QUERIES["events_of_seekers"], tenant, some, checkpoint.position, _TIMED)
        ids = {subject.id for subject in late.values() if subject.seeker_id in some}
        for id, subject in _folded([Recorded(*row) for row in rows], ids, policies).items():
            row_id = (SUBJECT, tenant, str(id))
            if subject != late[row_id]:
                other[row_id] = subject
    await store.apply(checkpoint, checkpoint.position, Changes(rows=other))
    facts = Facts(store.generations[SUBJECT], store.generations[RECIPIENT], checkpoint.position, policies)
    differing = timers_of(connection, facts, [id[1:] for id in late])
    await write_timers(connection, [one async for one in differing if one.explained is None])


def _folded(events: Sequence[Recorded[bytes]], ids: Set[UUID], policies: Policies) -> dict[UUID, Subject]:
    """Those subjects as the events lead to them."""
    subjects: dict[UUID, Subject] = {}
    closed: dict[UUID, Any] = {}
    for e in map(decode, events):
        found = routes(e)
        wishing = wishing_contact(e)
        if wishing is not None:
            closed[wishing] = evolve_contact(closed.get(wishing), e)
        concerned = ids & {route.id for route in found} if wishing is None else subjects.keys()
        for id in list(concerned):
            left_in_peace = [contact for contact, row in closed.items() if row is not None]
            subject = evolve(id, subjects.get(id), e, policies, found, left_in_peace)
            if subject is not None:
                subjects[id] = subject
    return subjects
