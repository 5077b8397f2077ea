"""Which due timers may be needless by what is in the log and not folded yet: those wait.

Asked while the log's head is held, so nothing comes after. Where the projector is near, what is missing is read and
says whom it concerns, exactly. Where it is far behind, that is too much to read: then a timer waits if a stream that it
names as its guard has moved on, and those that events of other streams disarm wait in any case.

What waits of parked streams is not folded either. It lies before the checkpoint, where nothing is appended, so it is
read before the head is held; and only what leads to other subjects: timers that a parked stream guards are not claimed
at all. Where it is too much, all of its tenant's timers wait that other streams disarm.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from uuid import UUID

from pydantic import ValidationError

from services.projector.verdicts import Claimed
from shared.codec import UnknownEventType, decode
from shared.database.queries import load_queries
from shared.domain.catalogue import EVENTS
from shared.envelope import Recorded
from shared.timing.routing import leads_elsewhere, subjects

if TYPE_CHECKING:
    import asyncpg

    Connection = asyncpg.Connection[asyncpg.Record]

QUERIES = load_queries("services.projector", "firing.sql")
NEAR = 200
"""Events not folded yet up to which they are read: some milliseconds, in which nobody appends."""
_SCANNED = 10
"""How many times as many positions may be gone through for them: firing's own events lie between."""
WAITING = 2_000
"""Events of parked streams that lead to other subjects, up to which they are read for one batch, each of its tenants
having the same share."""
_LEADING_ELSEWHERE = [type for type, kind in EVENTS.items() if leads_elsewhere(kind)]
_BY_OTHER_STREAMS = ("relationship", "seeker")
"""Subjects that events of interviews concern, too."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """What is not folded because its streams are parked."""

    touched: frozenset[tuple[str, UUID]]
    """The subjects elsewhere that it concerns, and the streams that it is on, with their tenants."""
    crowded: frozenset[str]
    """Tenants for whom it is too much to say."""


async def waiting(connection: Connection, claimed: Sequence[Claimed]) -> Waiting:
    """What waits of the parked streams of the claimed timers' tenants; to be asked before the head is held."""
    tenants = list({one.tenant for one in claimed})
    share = WAITING // len(tenants)
    rows = await connection.fetch(QUERIES["behind"], claimed[0].checkpoint, tenants, share + 1, _LEADING_ELSEWHERE)
    counted = Counter(row["tenant"] for row in rows)
    crowded = frozenset(tenant for tenant, count in counted.items() if count > share)
    return Waiting(frozenset(_parked([row for row in rows if row["tenant"] not in crowded])), crowded)


async def needless(connection: Connection, claimed: Sequence[Claimed], head: int, parked: Waiting) -> set[int]:
    """The places among `claimed` of those that must wait; `head` is the log's last position."""
    checkpoint = claimed[0].checkpoint
    touched = set(parked.touched)
    far = {place for place in _by_other_streams(claimed) if claimed[place].tenant in parked.crowded}
    try:
        touched |= _touched(await _ahead(connection, checkpoint, head))
    except (_TooMuch, UnknownEventType, ValidationError):  # or whom it concerns can't be said
        far |= await _far(connection, claimed, checkpoint)
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
    return moved | _by_other_streams(claimed)


def _by_other_streams(claimed: Sequence[Claimed]) -> set[int]:
    """Those of these subjects, and what tells a coach: who that is, a programme's events say that is no guard yet."""
    return {place for place, one in enumerate(claimed) if one.subject in _BY_OTHER_STREAMS or one.role == "coach"}
