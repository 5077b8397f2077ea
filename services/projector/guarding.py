"""Which due timers may be needless by what is in the log and not folded yet: those wait.

Asked while the log's head is held, so nothing comes after. Where the projector is near, what is missing is read and
says whom it concerns, exactly. Where it is far behind, that is too much to read: then a timer waits if a stream that it
names as its guard has moved on, and those that events of other streams disarm wait in any case. What waits of parked
streams is not folded either, and is read as well.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any
from uuid import UUID

from pydantic import ValidationError

from services.projector.verdicts import Claimed
from shared.codec import UnknownEventType, decode
from shared.database.queries import load_queries
from shared.envelope import Recorded
from shared.timing.routing import subjects

if TYPE_CHECKING:
    import asyncpg

    Connection = asyncpg.Connection[asyncpg.Record]

QUERIES = load_queries("services.projector", "firing.sql")
NEAR = 200
"""Events not folded yet up to which they are read, and of each parked stream: some milliseconds, in which nobody
appends."""
_SCANNED = 10
"""How many times as many positions may be gone through for them: firing's own events lie between."""
_BY_OTHER_STREAMS = ("relationship", "seeker")
"""Subjects that events of interviews concern, too."""


async def needless(connection: Connection, claimed: Sequence[Claimed], head: int) -> set[int]:
    """The places among `claimed` of those that must wait; `head` is the log's last position."""
    checkpoint = claimed[0].checkpoint
    touched = _parked(await connection.fetch(QUERIES["behind"], checkpoint, NEAR))
    far: set[int] = set()
    try:
        touched |= _touched(await _ahead(connection, checkpoint, head))
    except (_TooMuch, UnknownEventType, ValidationError):  # or whom it concerns can't be said
        far = await _far(connection, claimed, checkpoint)
    return far | {
        place for place, one in enumerate(claimed) if any((one.tenant, guard) in touched for guard in one.guards)
    }


class _TooMuch(Exception):
    """The projector is too far behind to read what it has not folded."""


async def _ahead(connection: Connection, checkpoint: int, head: int) -> list[Recorded[Any]]:
    if head - checkpoint > NEAR * _SCANNED:
        raise _TooMuch
    rows = await connection.fetch(QUERIES["ahead"], checkpoint, NEAR + 1) if head > checkpoint else []
    if len(rows) > NEAR:
        raise _TooMuch
    return [decode(Recorded(*row)) for row in rows]


def _parked(rows: Sequence[Any]) -> set[tuple[str, UUID]]:
    """Whom the events concern that wait; of one that can't be read, nothing but its stream is known."""
    touched = set()
    for row in rows:
        recorded: Recorded[bytes] = Recorded(*row)
        with suppress(UnknownEventType, ValidationError):
            touched |= _touched([decode(recorded)])
    return touched


def _touched(events: Sequence[Recorded[Any]]) -> set[tuple[str, UUID]]:
    """The streams that moved on and the subjects that events of other streams concern."""
    touched = set()
    for e in events:
        touched.add((e.tenant, e.stream_id))
        touched |= {(e.tenant, id) for id in subjects(e)}
    return touched


async def _far(connection: Connection, claimed: Sequence[Claimed], checkpoint: int) -> set[int]:
    guards = [(one.tenant, id, place) for place, one in enumerate(claimed) for id in one.guards]
    tenants, ids = [tenant for tenant, _, _ in guards], [id for _, id, _ in guards]
    rows = await connection.fetch(QUERIES["moved"], tenants, ids, checkpoint)
    moved = {guards[row["ordinal"] - 1][2] for row in rows}
    return moved | {place for place, one in enumerate(claimed) if one.subject in _BY_OTHER_STREAMS}
