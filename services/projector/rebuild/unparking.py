"""Taking up a parked stream again: its waiting events are folded in order, beside the fold, in one transaction.

A projector that runs meanwhile notices by the checkpoint's turn, and looks again at what it knew. Rows that the stream
shares with others get its events after those of the others; a rebuild puts them in the log's order. Not so what timers
follow from, for they would fire by then: it is folded in the log's order at once. A contact who was forgotten meanwhile
stays forgotten. Generations that are not live lack what waited, and are not gone on with.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from uuid import UUID

from services.projector.folding.changes import Changes, Parked, RowId
from services.projector.folding.folder import Folder, Plan, Unfoldable
from services.projector.folding.forgetting import contacts_of, new_contacts_of
from services.projector.folding.rows import Rows
from services.projector.folding.timing_rows import RECIPIENT, SUBJECT
from services.projector.models import CONTACTS
from services.projector.rebuild.reordering import put_in_order
from services.projector.rebuild.retiming import refuse_others
from services.projector.storing.halting import check_timeline
from services.projector.storing.loading import Loader
from services.projector.storing.store import Store
from shared.database.pool import is_away
from shared.database.queries import load_queries
from shared.envelope import Recorded
from shared.timing.recipient import Recipient
from shared.timing.subject import Subject

if TYPE_CHECKING:
    import asyncpg

    Connection = asyncpg.Connection[asyncpg.Record]

QUERIES = load_queries("services.projector.rebuild", "unparking.sql")


class NotParked(Exception):
    """No such stream is parked."""


class DiscardedBefore(Exception):
    """The event at which the stream is parked is passed over already, as after an import of a later export."""


class StillUnwritable(Exception):
    """What folding the stream leads to can't be reckoned, or PostgreSQL does not take it. Nothing was changed."""


@dataclass(frozen=True, slots=True)
class Unparked:
    """What came of it."""

    folded: int
    """Events that the read models and timers have now."""
    discarded: Recorded[bytes] | None
    """The event that was passed over."""
    still: Parked | None
    """Where the stream is parked again, at the same event or further on."""


async def unpark(
    database_url: str,
    folder: Folder,
    tenant: str,
    stream_id: UUID,
    *,
    discard: bool,
    at: int | None = None,
    recording: Callable[[Connection, Unparked], Awaitable[None]],
) -> Unparked:
    """Fold what waits of a stream up to the checkpoint; with `discard`, without the event that can't be folded.

    `at` is the position of that event, as far as whoever wishes it knows: at another one nothing is done. `recording`
    is called in the same transaction, to write down who did it. Raises `NotParked`, `DiscardedBefore`,
    `UnknownEventType`, `StillUnwritable`, `Refused`, `Halted` (also where the log was restored to an earlier point:
    then other events may be where those that waited were), and what asyncpg raises while PostgreSQL is away.
    """
    async with Store.open(database_url, folder.models) as store, store.turn() as (connection, checkpoint):
        refuse_others(await store.reckoned_by(), folder.policies)
        head = (await store.look()).head
        check_timeline(checkpoint, head, head)
        # What an operator has decided is not folded again after a crash.
        await connection.execute("SET LOCAL synchronous_commit = on")
        start = await connection.fetchval(QUERIES["take"], tenant, stream_id, at)
        if start is None:
            where = "" if at is None else f" at position {at}"
            raise NotParked(f"stream {stream_id} of tenant {tenant} is not parked{where}")
        found = await connection.fetch(QUERIES["waiting"], tenant, stream_id, start, checkpoint.position)
        waiting: list[Recorded[bytes]] = [Recorded(*row) for row in found]
        if discard and (not waiting or waiting[0].position != start):
            raise DiscardedBefore(f"position {start} of stream {stream_id} is discarded already")
        discarded = waiting.pop(0) if discard else None
        if discarded is not None:
            await connection.execute(QUERIES["discard"], tenant, discarded.event_id, stream_id, discarded.position)
        changes, late = Changes(), dict[RowId, Subject | Recipient]()
        if waiting:
            plan = folder.plan(waiting, ())
            if plan.unknown is not None:
                raise plan.unknown
            rows = await Loader(store, folder).gather(plan, Changes())
            try:
                changes = folder.fold(plan, rows)
            except Unfoldable as error:
                raise StillUnwritable(str(error.cause)) from error
            late = _late(plan, changes, rows)
            await _forget(store, folder, [step.event for step in plan.steps if step.failed is None], changes)
        still = changes.parked.get((tenant, stream_id))
        try:
            await store.apply(checkpoint, checkpoint.position, changes)
            await put_in_order(store, connection, checkpoint, folder.policies, tenant, late)
        except Exception as error:
            if is_away(error):
                raise
            raise StillUnwritable(str(error)) from error
        folded = sum(still is None or event.position < still.position for event in waiting)
        if folded or discarded is not None:
            done = "retried" if discarded is None else "discarded"
            why = f"stream {stream_id} of tenant {tenant} was {done} since"
            await connection.execute(QUERIES["outdate"], why, start)
        unparked = Unparked(folded, discarded, still)
        await recording(connection, unparked)
    return unparked


def _late(plan: Plan, changes: Changes, rows: Rows) -> dict[RowId, Subject | Recipient]:
    """The recipients who got an event late, and the subjects that it concerns, also where it came too late to change
    anything."""
    ids = {id for step in plan.steps for id in step.concern.subjects}
    ids |= {id for id in changes.rows if id[0] in (SUBJECT, RECIPIENT)}
    return {id: rows[id] for id in ids if rows[id] is not None}


async def _forget(store: Store, folder: Folder, waiting: Sequence[Recorded[Any]], changes: Changes) -> None:
    """Take out of the changed rows what they tell of contacts who are forgotten by now."""
    people = {(CONTACTS.name, e.tenant, str(id)) for e in waiting for id in (*contacts_of(e), *new_contacts_of(e))}
    forgotten = [row.contact_id for row in (await store.load(people)).values() if row.status == "forgotten"]
    for contact_id in forgotten:
        for id, row in changes.rows.items():
            if id[0] in folder.telling and row is not None:
                changes.rows[id] = row.forgetting(contact_id, waiting[-1].recorded_at)
