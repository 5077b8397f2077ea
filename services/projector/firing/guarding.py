"""Which due timers may be needless by what is in the log and not folded yet: those wait.

What the log holds beyond the checkpoint says whom it concerns, exactly. It is read before the log's head is held, once
however many batches fire meanwhile, so that little is left to be read while nobody may append. Only where the projector
is so far behind that it would take long to read even once, a timer waits if a stream that it names as its guard has
moved on, and those that events of other streams disarm wait in any case.

What waits of parked streams is not folded either. It lies before the checkpoint, where nothing is appended, so it is
read before the head is held; and only what leads to other subjects: timers that a parked stream guards are not claimed
at all. Where it is too much, all of its tenant's timers wait that other streams disarm.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from uuid import UUID

from pydantic import ValidationError

from services.projector.firing.verdicts import Claimed
from shared.codec import UnknownEventType, decode
from shared.database.queries import load_queries
from shared.domain.catalogue import EVENTS
from shared.domain.identity import relationship_id
from shared.domain.notification import Withdrawn
from shared.envelope import Recorded
from shared.timing.routing import leads_elsewhere, subjects

if TYPE_CHECKING:
    import asyncpg

    Connection = asyncpg.Connection[asyncpg.Record]

QUERIES = load_queries("services.projector.firing", "firing.sql")
NEAR = 200
"""Events that are read while the log's head is held, at most: some milliseconds, in which nobody appends."""
FAR = 10_000
"""Positions from the checkpoint to the log's end from which on they are not read at all: less than a second's work, and
as much as is kept in memory, twice over."""
_PAGE = 500
"""Events read at a time, for the fold has to come to its turn between them."""
_SCANNED = 10
"""How many times as many positions may be gone through for `NEAR` events: firing's own lie between."""
WAITING = 2_000
"""Events of parked streams that lead to other subjects, up to which they are read for one batch, each of its tenants
having the same share."""
_LEADING_ELSEWHERE = [type for type, kind in EVENTS.items() if leads_elsewhere(kind)]
_BY_OTHER_STREAMS = ("relationship", "seeker")
"""Subjects that events of interviews, leads and seekers concern, too."""

_Id = tuple[str, UUID]
"""With its tenant."""


@dataclass(slots=True)
class Touched:
    """Whom some events concern, and where the last of them stands that does."""

    streams: dict[_Id, int] = field(default_factory=dict)
    """Those that the events are on, and those of notifications of which one says that they never fall due."""
    subjects: dict[_Id, int] = field(default_factory=dict)
    """Those whose timing they may change. A seeker's stream moves without that, and a seeker is concerned by what is on
    other streams: the same id here and there says different things."""

    def add(self, e: Recorded[Any], concerned: Sequence[UUID]) -> None:
        self.streams[e.tenant, e.stream_id] = e.position
        for id in concerned:
            self.subjects[e.tenant, id] = e.position

    def add_ended(self, tenant: str, ended: Withdrawn, position: int) -> None:
        """What firing itself has ended makes nothing else needless but the stages that end with it. Where what ended
        them has been taken back meanwhile, the fold has them pending again until it comes to this event."""
        for other in ended.others:
            self.streams[tenant, other.id] = position

    def holds(self, one: Claimed, beyond: int) -> bool:
        """Whether something at a position beyond that one may make a timer needless."""
        if one.outcome is not None:  # its end is known, whatever follows
            return False
        concerned = [one.subject_id]
        if one.role == "coach":  # enrolments say who that is, and are no guards before they are known
            concerned.append(one.seeker_id)
        return any(self.streams.get((one.tenant, id), 0) > beyond for id in (one.id, *one.guards)) or any(
            self.subjects.get((one.tenant, id), 0) > beyond for id in concerned
        )

    def forget(self, upto: int) -> None:
        self.streams = {id: last for id, last in self.streams.items() if last > upto}
        self.subjects = {id: last for id, last in self.subjects.items() if last > upto}


class Ahead:
    """What the log holds beyond the checkpoint, as far as it has been read: kept from batch to batch."""

    def __init__(self) -> None:
        self._touched = Touched()
        self._from = self._to = 0
        """Positions: what lies between them has been read."""
        self._unclear = 0
        """The last position of which it can't be said whom it concerns."""
        self.too_far = False
        """Whether the log's end was too far from the checkpoint to be read up to."""

    async def approach(self, connection: Connection, checkpoint: int) -> None:
        """Read on, to the end of the log as it is now; not where that is too far from the checkpoint, or in vain."""
        head: int = await connection.fetchval(QUERIES["head"])
        self.too_far = head - checkpoint > FAR
        if self.too_far or self._unclear > checkpoint:
            self._touched, self._from, self._to = Touched(), checkpoint, checkpoint
            return
        self._start_from(checkpoint)
        while self._to < head:
            if await self._read(connection, head, _PAGE) < _PAGE:
                self._to = head

    async def arrive(self, connection: Connection, checkpoint: int, head: int) -> Touched | None:
        """While the head is held: whom all that is beyond the checkpoint concerns; None where that can't be said, or is
        too much to be read now."""
        if self._unclear > checkpoint:
            return None
        if self._to < head <= self._to + NEAR * _SCANNED and await self._read(connection, head, NEAR + 1) <= NEAR:
            self._to = head
        return self._touched if self._to >= head and self._unclear <= checkpoint else None

    def _start_from(self, checkpoint: int) -> None:
        if not self._from <= checkpoint <= self._to:
            self._touched, self._to = Touched(), checkpoint
        elif checkpoint - self._from >= FAR:
            self._touched.forget(checkpoint)
        else:
            return
        self._from = checkpoint

    async def _read(self, connection: Connection, head: int, most: int) -> int:
        rows = await connection.fetch(QUERIES["ahead"], self._to, head, most)
        for row in rows:
            recorded: Recorded[bytes] = Recorded(*row)
            try:
                e = decode(recorded)
            except (UnknownEventType, ValidationError):
                self._unclear = recorded.position
            else:
                if isinstance(e.data, Withdrawn) and e.version == 1:
                    self._touched.add_ended(e.tenant, e.data, e.position)
                else:
                    self._touched.add(e, subjects(e))
            self._to = recorded.position
        return len(rows)


@dataclass(frozen=True, slots=True)
class Waiting:
    """What is not folded because its streams are parked."""

    touched: Touched
    crowded: frozenset[str]
    """Tenants for whom it is too much to say, or can't be said, whom it concerns."""


async def waiting(connection: Connection, claimed: Sequence[Claimed]) -> Waiting:
    """What waits of the parked streams of the claimed timers' tenants; to be asked before the head is held."""
    tenants = list({one.tenant for one in claimed})
    share = WAITING // len(tenants)
    rows = await connection.fetch(QUERIES["behind"], claimed[0].checkpoint, tenants, share + 1, _LEADING_ELSEWHERE)
    counted = Counter(row["tenant"] for row in rows)
    crowded = {tenant for tenant, count in counted.items() if count > share}
    touched = Touched()
    for row in rows:
        recorded: Recorded[bytes] = Recorded(*row)
        if recorded.tenant in crowded:
            continue
        try:
            touched.add(recorded, _concerned(recorded))
        except ValueError:
            crowded.add(recorded.tenant)
    return Waiting(touched, frozenset(crowded))


async def needless(
    connection: Connection, claimed: Sequence[Claimed], head: int, parked: Waiting, ahead: Ahead
) -> set[int]:
    """The places among `claimed` of those that must wait; `head` is the log's last position, and held."""
    checkpoint = claimed[0].checkpoint
    held = {place for place in _by_other_streams(claimed) if claimed[place].tenant in parked.crowded}
    held |= {place for place, one in enumerate(claimed) if parked.touched.holds(one, 0)}
    touched = await ahead.arrive(connection, checkpoint, head)
    if touched is None:
        return held | await _far(connection, claimed, checkpoint)
    return held | {place for place, one in enumerate(claimed) if touched.holds(one, checkpoint)}


def _concerned(recorded: Recorded[bytes]) -> Sequence[UUID]:
    """Whom an event concerns that may be the reason why its stream is parked. Of one that this release can't read, all
    whom it names may be. Raises ValueError where it names nobody in a way that is known."""
    try:
        return subjects(decode(recorded))
    except (UnknownEventType, ValidationError):
        said = json.loads(recorded.data)
    try:
        seeker_id = UUID(said["seeker_id"])
        people = [UUID(id) for name in _PEOPLE for id in said.get(name) or ()]
        people += [UUID(said[name]) for name in ("contact_id", "connector_id") if name in said]
        about = [UUID(said["subject_id"])] if "subject_id" in said else []
    except (AttributeError, KeyError, TypeError) as error:
        raise ValueError(f"whom the event at {recorded.position} concerns can't be said") from error
    return [recorded.stream_id, seeker_id, *about, *(relationship_id(seeker_id, person) for person in people)]


_PEOPLE = ("contact_ids", "introduced_by", "thanked_ids")
"""Fields of events that lead to relationships, beside the one contact of a lead."""


async def _far(connection: Connection, claimed: Sequence[Claimed], checkpoint: int) -> set[int]:
    guards = [(one.tenant, id, place) for place, one in enumerate(claimed) for id in one.guards]
    tenants, ids = [tenant for tenant, _, _ in guards], [id for _, id, _ in guards]
    rows = await connection.fetch(QUERIES["moved"], tenants, ids, checkpoint)
    moved = {guards[row["ordinal"] - 1][2] for row in rows}
    return moved | _by_other_streams(claimed)


def _by_other_streams(claimed: Sequence[Claimed]) -> set[int]:
    """Those of these subjects, and what tells a coach: who that is, a programme's events say that is no guard yet."""
    return {place for place, one in enumerate(claimed) if one.subject in _BY_OTHER_STREAMS or one.role == "coach"}
