"""Which due timers may be needless by what is in the log and not folded yet: those wait.

Asked while the log's head is held, so nothing comes after. Where the projector is near, what is missing is read and
says whom it concerns, exactly. Where it is far behind, that is too much to read: then a timer waits if a stream that it
names as its guard has moved on, and those that events of other streams disarm wait in any case.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any
from uuid import UUID

from pydantic import ValidationError

from services.projector.verdicts import Claimed
from shared.codec import UnknownEventType, decode
from shared.database.queries import load_queries
from shared.envelope import Recorded
from shared.log.writing import QUERIES as LOG
from shared.timing.routing import subjects

if TYPE_CHECKING:
    import asyncpg

    Connection = asyncpg.Connection[asyncpg.Record]

_MOVED = load_queries("services.projector", "firing.sql")["moved"]
NEAR = 200
"""Events not folded yet up to which they are read: some milliseconds, in which nobody appends."""
_BY_OTHER_STREAMS = ("relationship", "seeker")
"""Subjects that events of interviews concern, too."""


async def needless(connection: Connection, claimed: Sequence[Claimed], head: int) -> set[int]:
    """The places among `claimed` of those that must wait; `head` is the log's last position."""
    checkpoint = claimed[0].checkpoint
    if head == checkpoint:
        return set()
    if head - checkpoint > NEAR:
        return await _far(connection, claimed, checkpoint)
    rows = await connection.fetch(LOG["read"], checkpoint, NEAR)
    try:
        touched = _touched([Recorded(*row) for row in rows])
    except (UnknownEventType, ValidationError):
        return await _far(connection, claimed, checkpoint)  # whom it concerns can't be said
    return {place for place, one in enumerate(claimed) if any((one.tenant, guard) in touched for guard in one.guards)}


def _touched(events: Sequence[Recorded[Any]]) -> set[tuple[str, UUID]]:
    """The streams that moved on and the subjects that events of other streams concern.

    That a notification has come to its end (its version 1, written by firing itself) makes no other needless.
    """
    touched = set()
    for e in map(decode, events):
        touched.add((e.tenant, e.stream_id))
        if e.category != "notification" or e.version > 1:
            touched |= {(e.tenant, id) for id in subjects(e)}
    return touched


async def _far(connection: Connection, claimed: Sequence[Claimed], checkpoint: int) -> set[int]:
    guards = [(one.tenant, id, place) for place, one in enumerate(claimed) for id in one.guards]
    rows = await connection.fetch(_MOVED, [tenant for tenant, _, _ in guards], [id for _, id, _ in guards], checkpoint)
    moved = {guards[row["ordinal"] - 1][2] for row in rows}
    return moved | {place for place, one in enumerate(claimed) if one.subject in _BY_OTHER_STREAMS}
