"""Read model `participant`: who takes part in a programme; one row a participant, by programme and seeker."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Any
from uuid import UUID

from services.projector.read_model import Filed, ReadModel
from shared.domain import programme
from shared.domain.kernel import Event
from shared.envelope import Recorded
from shared.immutable import immutable
from shared.replacing import replace


@immutable
class ParticipantRow:
    programme_id: UUID
    seeker_id: UUID
    coach_id: UUID | None
    enrolled_at: datetime
    """The last time, for one who left and came back."""
    left_at: datetime | None = None
    matches_proposed: int = 0
    matches_accepted: int = 0
    matches_turned_down: int = 0
    matched_contact_id: UUID | None = None
    """Of the last match that was accepted."""


def _left(row: ParticipantRow, e: Recorded[programme.ParticipantLeft]) -> ParticipantRow:
    return replace(row, left_at=e.occurred_at)


def _proposed(row: ParticipantRow, e: Recorded[programme.MatchProposed]) -> ParticipantRow:
    return replace(row, matches_proposed=row.matches_proposed + 1)


def _accepted(row: ParticipantRow, e: Recorded[programme.MatchAccepted]) -> ParticipantRow:
    return replace(row, matches_accepted=row.matches_accepted + 1, matched_contact_id=e.data.contact_id)


def _turned_down(row: ParticipantRow, e: Recorded[programme.MatchTurnedDown]) -> ParticipantRow:
    return replace(row, matches_turned_down=row.matches_turned_down + 1)


CHANGES: dict[type[Event], Callable[[ParticipantRow, Recorded[Any]], ParticipantRow]] = {
    programme.ParticipantLeft: _left,
    programme.MatchProposed: _proposed,
    programme.MatchAccepted: _accepted,
    programme.MatchTurnedDown: _turned_down,
}


class Participants(ReadModel[ParticipantRow]):
    name = "participant"
    version = 1
    folds = frozenset((programme.ParticipantEnrolled, *CHANGES))
    row = ParticipantRow

    def keys(self, e: Recorded[Any]) -> Iterable[str]:
        kind = type(e.data)
        if kind in CHANGES or kind is programme.ParticipantEnrolled:
            return (f"{e.stream_id}/{e.data.seeker_id}",)
        return ()

    def evolve(self, key: str, row: ParticipantRow | None, e: Recorded[Any]) -> ParticipantRow | None:
        data = e.data
        if type(data) is programme.ParticipantEnrolled:
            if row is None:
                return ParticipantRow(e.stream_id, data.seeker_id, data.coach_id, e.occurred_at)
            return replace(row, coach_id=data.coach_id, enrolled_at=e.occurred_at, left_at=None)
        return None if row is None else CHANGES[type(data)](row, e)

    def file(self, row: ParticipantRow) -> Filed:
        return Filed(owner=row.programme_id, state="left" if row.left_at else "enrolled", sort=row.enrolled_at)
