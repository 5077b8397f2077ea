"""The programme board: how far a programme's participants have come, and how long each step took."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from statistics import median
from uuid import UUID

from services.projector.models.leads import LeadRow
from services.projector.models.participant import ParticipantRow
from services.projector.models.pipeline import PipelineRow
from shared.operations.turns import in_turns

IN_TIME = timedelta(days=1)
"""Thanked within a day."""
STEPS = ("asked", "accepted", "held", "thanked_within_a_day", "leads_acted_on")
LEGS = (("asked", "accepted"), ("accepted", "held"), ("held", "thanked"))
"""Between which moments of an interview the time is taken."""


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


async def board_of(
    participants: Sequence[ParticipantRow],
    interviews: Iterable[PipelineRow],
    leads: Iterable[LeadRow],
    *,
    complete: bool = True,
) -> Board:
    """Counts what participants did since they first enrolled, in the programme or beside it: it is for adoption."""
    tally = _Tally({row.seeker_id: row.first_enrolled_at for row in participants})
    async for interview in in_turns(interviews):
        tally.interview(interview)
    async for lead in in_turns(leads):
        tally.lead(lead)
    everyone = len(participants)
    return Board(
        participants=everyone,
        enrolled=sum(row.left_at is None for row in participants),
        never_held_one=everyone - len(tally.did["held"]),
        matches_proposed=sum(row.matches_proposed for row in participants),
        matches_accepted=sum(row.matches_accepted for row in participants),
        matches_turned_down=sum(row.matches_turned_down for row in participants),
        funnel=[_step(name, tally.did[name], everyone) for name in STEPS],
        between=[
            _between("enrolled", "asked", tally.to_first_request()),
            *(_between(start, end, tally.took[start, end]) for start, end in LEGS),
        ],
        complete=complete,
    )


class _Tally:
    """What participants did, each since they first enrolled (`since`), row by row."""

    def __init__(self, since: Mapping[UUID, datetime]) -> None:
        self.did: dict[str, Counter[UUID]] = {step: Counter() for step in STEPS}
        """How often, by step and participant."""
        self.took: dict[tuple[str, str], list[float]] = {leg: [] for leg in LEGS}
        """Seconds."""
        self._since = since
        self._first_requests: dict[UUID, datetime] = {}

    def interview(self, row: PipelineRow) -> None:
        if row.requested_at and self._counts("asked", row, row.requested_at):
            first = self._first_requests.get(row.seeker_id, row.requested_at)
            self._first_requests[row.seeker_id] = min(row.requested_at, first)
        if self._counts("accepted", row, row.accepted_at):
            self._time("asked", "accepted", row.requested_at, row.accepted_at)
        if self._counts("held", row, row.held_at):
            self._time("accepted", "held", row.accepted_at, row.held_at)
            self._time("held", "thanked", row.held_at, row.thanked_at)
            if row.thanked_at and row.held_at and row.thanked_at - row.held_at <= IN_TIME:
                self.did["thanked_within_a_day"][row.seeker_id] += 1

    def lead(self, row: LeadRow) -> None:
        self._counts("leads_acted_on", row, row.acted_on_at)

    def to_first_request(self) -> list[float]:
        """Seconds from first enrolment, of each participant who asked."""
        return [(at - self._since[seeker_id]).total_seconds() for seeker_id, at in self._first_requests.items()]

    def _counts(self, step: str, row: PipelineRow | LeadRow, at: datetime | None) -> bool:
        counts = at is not None and row.seeker_id in self._since and at >= self._since[row.seeker_id]
        if counts:
            self.did[step][row.seeker_id] += 1
        return counts

    def _time(self, start: str, end: str, before: datetime | None, after: datetime | None) -> None:
        if before and after:
            self.took[start, end].append((after - before).total_seconds())


def _step(name: str, did: Counter[UUID], everyone: int) -> Step:
    some = len(did)
    return Step(name, some, round(some / everyone, 4) if everyone else 0.0, did.total())


def _between(start: str, end: str, took: Sequence[float]) -> Between:
    return Between(start, end, len(took), round(median(took) / 3600, 1) if took else None)
