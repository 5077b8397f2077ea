"""The programme board: how far a programme's participants have come, and how long each step took."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from statistics import median
from uuid import UUID

from services.projector.models.leads import LeadRow
from services.projector.models.participant import ParticipantRow
from services.projector.models.pipeline import PipelineRow

IN_TIME = timedelta(days=1)
"""Thanked within a day."""
Moments = tuple[datetime | None, datetime | None]


@dataclass(frozen=True, slots=True)
class Step:
    """One step of the funnel: how many participants got so far, and how many interviews or leads."""

    step: str
    participants: int
    share: float
    """Of all participants, 0 to 1."""
    count: int


@dataclass(frozen=True, slots=True)
class Between:
    """How long it took from one step to the next, over all who took both."""

    start: str
    end: str
    count: int
    median_hours: float | None


@dataclass(frozen=True, slots=True)
class Board:
    participants: int
    """All who ever enrolled."""
    enrolled: int
    """Those who have not left."""
    never_held_one: int
    """Participants without a single conversation since they first enrolled."""
    matches_proposed: int
    matches_accepted: int
    matches_turned_down: int
    funnel: list[Step]
    between: list[Between]
    complete: bool
    """Whether every participant and interview was counted; a board of many thousands is cut off."""


def board_of(
    participants: Sequence[ParticipantRow],
    interviews: Sequence[PipelineRow],
    leads: Sequence[LeadRow],
    *,
    complete: bool = True,
) -> Board:
    """Counts what participants did since they first enrolled, in the programme or beside it: it is for adoption."""
    since = {row.seeker_id: row.first_enrolled_at for row in participants}

    def counts(row: PipelineRow | LeadRow, at: datetime | None) -> bool:
        return at is not None and row.seeker_id in since and at >= since[row.seeker_id]

    asked = [row for row in interviews if counts(row, row.requested_at)]
    accepted = [row for row in interviews if counts(row, row.accepted_at)]
    held = [row for row in interviews if counts(row, row.held_at)]
    steps: list[tuple[str, Sequence[PipelineRow | LeadRow]]] = [
        ("asked", asked),
        ("accepted", accepted),
        ("held", held),
        ("thanked_within_a_day", [row for row in held if _thanked_in_time(row)]),
        ("leads_acted_on", [row for row in leads if counts(row, row.acted_on_at)]),
    ]
    everyone = len(participants)
    return Board(
        participants=everyone,
        enrolled=sum(row.left_at is None for row in participants),
        never_held_one=everyone - len({row.seeker_id for row in held}),
        matches_proposed=sum(row.matches_proposed for row in participants),
        matches_accepted=sum(row.matches_accepted for row in participants),
        matches_turned_down=sum(row.matches_turned_down for row in participants),
        funnel=[_step(name, rows, everyone) for name, rows in steps],
        between=[
            _between("enrolled", "asked", _first_requests(since, asked)),
            _between("asked", "accepted", ((row.requested_at, row.accepted_at) for row in accepted)),
            _between("accepted", "held", ((row.accepted_at, row.held_at) for row in held)),
            _between("held", "thanked", ((row.held_at, row.thanked_at) for row in held)),
        ],
        complete=complete,
    )


def _thanked_in_time(row: PipelineRow) -> bool:
    return row.thanked_at is not None and row.held_at is not None and row.thanked_at - row.held_at <= IN_TIME


def _step(name: str, rows: Sequence[PipelineRow | LeadRow], everyone: int) -> Step:
    some = len({row.seeker_id for row in rows})
    return Step(name, some, round(some / everyone, 4) if everyone else 0.0, len(rows))


def _first_requests(since: Mapping[UUID, datetime], asked: Iterable[PipelineRow]) -> Iterator[Moments]:
    """First enrolment and first request of each participant who asked."""
    first: dict[UUID, datetime] = {}
    for row in asked:
        if row.requested_at:
            first[row.seeker_id] = min(row.requested_at, first.get(row.seeker_id, row.requested_at))
    return ((since[seeker_id], at) for seeker_id, at in first.items())


def _between(start: str, end: str, moments: Iterable[Moments]) -> Between:
    seconds = [(after - before).total_seconds() for before, after in moments if before and after]
    return Between(start, end, len(seconds), round(median(seconds) / 3600, 1) if seconds else None)
