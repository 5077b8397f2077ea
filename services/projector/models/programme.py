"""Read model `programme`: what a programme is and who coaches it; one row a programme, by its id."""

from __future__ import annotations

from datetime import datetime
from typing import ClassVar
from uuid import UUID

from services.projector.folding.read_model import Filed
from services.projector.models.per_stream import PerStream
from shared.domain import programme
from shared.envelope import Recorded
from shared.immutable import immutable
from shared.replacing import replace


@immutable
class Coach:
    coach_id: UUID
    name: str | None
    email: str | None


@immutable
class ProgrammeRow:
    programme_id: UUID
    title: str
    about: str | None
    fields: tuple[str, ...]
    created_at: datetime
    coaches: tuple[Coach, ...] = ()
    """In the order in which they were assigned, last."""
    first_coach_id: UUID | None = None
    """Who was assigned first of all, and looks after those who had enrolled before."""


def _created(e: Recorded[programme.Created]) -> ProgrammeRow:
    return ProgrammeRow(e.stream_id, e.data.title, e.data.about, e.data.fields, e.occurred_at)


def _coach_assigned(row: ProgrammeRow, e: Recorded[programme.CoachAssigned]) -> ProgrammeRow:
    known = next((each for each in row.coaches if each.coach_id == e.data.coach_id), None)
    coach = known or Coach(e.data.coach_id, None, None)
    coach = replace(coach, name=e.data.name or coach.name, email=e.data.email or coach.email)
    others = tuple(each for each in row.coaches if each.coach_id != coach.coach_id)
    return replace(row, coaches=(*others, coach), first_coach_id=row.first_coach_id or coach.coach_id)


class Programmes(PerStream[ProgrammeRow]):
    name = "programme"
    version = 3
    listed = True
    row = ProgrammeRow
    begins: ClassVar = {programme.Created: _created}
    changes: ClassVar = {programme.CoachAssigned: _coach_assigned}

    def file(self, row: ProgrammeRow) -> Filed:
        return Filed(sort=row.created_at)
