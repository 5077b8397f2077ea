"""Read model `participant`: who takes part in a programme; one row a participant, by programme and seeker."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from services.projector.folding.read_model import Filed, ReadModel
from shared.domain import programme
from shared.domain.kernel import Event
from shared.envelope import Recorded
from shared.immutable import immutable
from shared.replacing import replace

MatchStatus = Literal["proposed", "accepted", "turned_down"]


@immutable
class Match:
    """A contact who was proposed to the participant, and what became of it."""

    contact_id: UUID
    status: MatchStatus


@immutable
class ParticipantRow:
    programme_id: UUID
    seeker_id: UUID
    coach_id: UUID | None
    """None for one who enrolled while there was no coach, until something happens to them: the first that the programme
    gets looks after them."""
    enrolled_at: datetime
    """The last time, for one who left and came back."""
    first_enrolled_at: datetime
    left_at: datetime | None = None
    matches_proposed: int = 0
    matches_accepted: int = 0
    matches_turned_down: int = 0
    matched_contact_id: UUID | None = None
    """Of the last match that was accepted, and not turned down after all."""
    matches: tuple[Match, ...] = ()
    """With each contact once, the one that something happened to last, last."""


def _matched(row: ParticipantRow, contact_id: UUID, status: MatchStatus) -> tuple[Match, ...]:
    others = (each for each in row.matches if each.contact_id != contact_id)
    return (*others, Match(contact_id, status))


def _left(row: ParticipantRow, e: Recorded[programme.ParticipantLeft]) -> ParticipantRow:
    return replace(row, coach_id=e.data.coach_id, left_at=e.occurred_at)


def _coach_changed(row: ParticipantRow, e: Recorded[programme.CoachChanged]) -> ParticipantRow:
    return replace(row, coach_id=e.data.coach_id)


def _proposed(row: ParticipantRow, e: Recorded[programme.MatchProposed]) -> ParticipantRow:
    matches = _matched(row, e.data.contact_id, "proposed")
    proposed = row.matches_proposed + 1
    return replace(row, coach_id=e.data.coach_id, matches_proposed=proposed, matches=matches)


def _accepted(row: ParticipantRow, e: Recorded[programme.MatchAccepted]) -> ParticipantRow:
    return replace(
        row,
        coach_id=e.data.coach_id,
        matches_accepted=row.matches_accepted + 1,
        matched_contact_id=e.data.contact_id,
        matches=_matched(row, e.data.contact_id, "accepted"),
    )


def _turned_down(row: ParticipantRow, e: Recorded[programme.MatchTurnedDown]) -> ParticipantRow:
    matches = _matched(row, e.data.contact_id, "turned_down")
    accepted = [match.contact_id for match in matches if match.status == "accepted"]
    return replace(
        row,
        coach_id=e.data.coach_id,
        matches_turned_down=row.matches_turned_down + 1,
        matched_contact_id=accepted[-1] if accepted else None,
        matches=matches,
    )


CHANGES: dict[type[Event], Callable[[ParticipantRow, Recorded[Any]], ParticipantRow]] = {
    programme.ParticipantLeft: _left,
    programme.CoachChanged: _coach_changed,
    programme.MatchProposed: _proposed,
    programme.MatchAccepted: _accepted,
    programme.MatchTurnedDown: _turned_down,
}


class Participants(ReadModel[ParticipantRow]):
    name = "participant"
    version = 6
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
                return ParticipantRow(e.stream_id, data.seeker_id, data.coach_id, e.occurred_at, e.occurred_at)
            return replace(row, coach_id=data.coach_id, enrolled_at=e.occurred_at, left_at=None)
        return None if row is None else CHANGES[type(data)](row, e)

    def file(self, row: ParticipantRow) -> Filed:
        return Filed(owner=row.programme_id, state="left" if row.left_at else "enrolled", sort=row.enrolled_at)
