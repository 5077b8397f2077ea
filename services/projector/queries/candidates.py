"""Whom a coach may propose to a participant: the field aspired to, the field worked in, and free places (S0)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from math import inf
from typing import Literal
from uuid import UUID

from services.projector.models import CONTACT_LOAD, CONTACTS, PARTICIPANTS, RELATIONSHIPS
from services.projector.models.contact import ContactRow
from services.projector.models.pairs import pair
from services.projector.models.participant import ParticipantRow
from services.projector.queries.answering import Person
from services.projector.queries.reader import Reader
from shared.domain.contact import month_of, places_left
from shared.domain.fields import Common, Fit, common
from shared.immutable import immutable
from shared.operations.turns import in_turns

MOST_WILLING = 10_000
MOST_PARTICIPANTS = 5_000


@immutable(kw_only=True)
class Candidate:
    contact: Person
    field: str
    """The field that the contact works in, in their own words: what `propose_match` may name."""
    wanted: str
    """The field looked for that it fits."""
    fit: Fit
    """exact: the same words; related: all the words of one are among those of the other."""
    month: str
    """The present one where the contact lives."""
    free: int | None
    """Places left in that month; null: not limited."""
    willing: Literal["hours_offered", "programme_directory"]
    """Why they may be asked: they offered hours, or stand in the programme's directory."""
    formats: tuple[str, ...]
    """Preferred ones, where hours were offered."""
    acquainted: bool
    """Whether something has passed between the two already."""
    awaiting: int
    """Other participants of the programme to whom they are proposed, without an answer so far."""


@dataclass(frozen=True, slots=True)
class Candidates:
    fields: tuple[str, ...]
    """What was looked for. Empty: neither participant nor programme names a field, so that nobody can fit."""
    items: list[Candidate]
    """The best, best first."""
    found: int
    """All who fit, shown or not."""
    complete: bool
    """Whether every willing contact and participant was looked at; of many thousands the latest are left out."""
    position: int
    """Everything up to this position of the log has been taken into account."""


def awaiting(participants: Iterable[ParticipantRow], but: UUID) -> Counter[UUID]:
    """By contact, the enrolled participants other than `but` to whom they are proposed."""
    others = (row for row in participants if row.seeker_id != but and row.left_at is None)
    return Counter(match.contact_id for row in others for match in row.matches if match.status == "proposed")


def ranked(candidates: Iterable[Candidate]) -> list[Candidate]:
    """Exact fields first, then people who are new to the participant, then the most free places, then the fewest
    proposals without an answer."""
    return sorted(
        candidates,
        key=lambda each: (
            each.fit != "exact",
            each.acquainted,
            -inf if each.free is None else -each.free,
            each.awaiting,
            each.contact.contact_id.int,  # in the order of the ids, whose own comparison takes ten times as long
        ),
    )


async def find_candidates(
    reader: Reader, tenant: str, participant: ParticipantRow, wanted: Sequence[str], now: datetime
) -> tuple[list[Candidate], bool]:
    """All who may be proposed, best first; and whether every willing contact and participant was looked at."""
    bodies = await reader.willing_contacts(tenant, limit=MOST_WILLING + 1)
    matched = {match.contact_id for match in participant.matches}
    fit = [
        (row, shared)
        async for row in in_turns(map(CONTACTS.decode, bodies[:MOST_WILLING]))
        if row.contact_id not in matched and (shared := common(wanted, row.fields)) is not None
    ]
    if not fit:
        return [], len(bodies) <= MOST_WILLING
    months = {row.contact_id: month_of(now, row.time_zone) async for row, _ in in_turns(fit)}
    loads = await reader.rows(CONTACT_LOAD.name, tenant, [f"{contact}/{month}" for contact, month in months.items()])
    taken = {key: CONTACT_LOAD.decode(body).places async for key, body in in_turns(loads.items())}
    pairs = [pair(participant.seeker_id, contact) async for contact in in_turns(months)]
    ties = await reader.rows(RELATIONSHIPS.name, tenant, pairs)
    page = await reader.page(PARTICIPANTS.name, tenant, owner=participant.programme_id, limit=MOST_PARTICIPANTS)
    people = [row async for row in in_turns(map(PARTICIPANTS.decode, page.bodies))]
    proposed = awaiting(people, participant.seeker_id)
    candidates = [
        _candidate(row, shared, months[row.contact_id], taken, ties, participant, proposed)
        async for row, shared in in_turns(fit)
    ]
    free = [each for each in candidates if each.free != 0]
    return ranked(free), len(bodies) <= MOST_WILLING and page.next is None


def _candidate(
    row: ContactRow,
    shared: Common,
    month: str,
    taken: Mapping[str, int],
    ties: Mapping[str, str],
    participant: ParticipantRow,
    proposed: Mapping[UUID, int],
) -> Candidate:
    return Candidate(
        contact=Person(row.contact_id, row.name, row.employer, row.position),
        field=shared.offered,
        wanted=shared.wanted,
        fit=shared.fit,
        month=month,
        free=places_left(row.capacity, taken.get(f"{row.contact_id}/{month}", 0)),
        willing="programme_directory" if row.hours_offered_at is None else "hours_offered",
        formats=row.formats,
        acquainted=pair(participant.seeker_id, row.contact_id) in ties,
        awaiting=proposed.get(row.contact_id, 0),
    )
