"""Read model `notebook`: what a seeker wrote down and was told; one row a piece, never changed again.

A recording adds a piece beside those before it, as the log does. Search runs over these rows in the language that
the seeker has now.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Any
from uuid import UUID

from services.projector.read_model import Filed, ReadModel
from shared.domain import interview, lead, relationship, seeker
from shared.domain.interview.details import Advice
from shared.domain.kernel import Event
from shared.domain.values import Resource
from shared.envelope import Recorded
from shared.immutable import immutable


@immutable
class PieceRow:
    piece_id: UUID
    """The id of the event that wrote it."""
    seeker_id: UUID
    kind: str
    """notes, reflection, research, lead, result, touchpoint, verdict or outcome."""
    written_at: datetime
    """When it happened; a conversation written up late stands where it belongs."""
    contact_ids: tuple[UUID, ...] = ()
    interview_id: UUID | None = None
    lead_id: UUID | None = None
    title: str | None = None
    text: str | None = None
    points: tuple[str, ...] = ()
    advice: tuple[Advice, ...] = ()
    resources: tuple[Resource, ...] = ()

    def words(self) -> str:
        """All that can be searched for, a piece a line."""
        lines = [self.title, self.text, *self.points, *(each.text for each in self.advice)]
        lines += [f"{each.title} {each.url or ''}" for each in self.resources]
        return "\n".join(line for line in lines if line)


def _notes(e: Recorded[interview.NotesTaken]) -> dict[str, Any]:
    data = e.data
    return {"text": data.text, "points": data.points, "advice": data.advice, "resources": data.resources}


def _reflection(e: Recorded[interview.ReflectionRecorded]) -> dict[str, Any]:
    return {"text": e.data.learned}


def _research(e: Recorded[interview.ResearchRecorded]) -> dict[str, Any]:
    data = e.data
    return {"points": tuple(each for each in (data.person, data.company, data.position, data.industry) if each)}


def _lead(e: Recorded[lead.Recorded]) -> dict[str, Any]:
    data = e.data
    about = " · ".join(each for each in (data.person, data.employer) if each)
    return {
        "title": about or None,
        "text": data.what,
        "resources": (data.resource,) if data.resource else (),
    }


def _what(e: Recorded[Any]) -> dict[str, Any]:
    return {"text": e.data.what}


def _why(e: Recorded[Any]) -> dict[str, Any]:
    return {"text": e.data.why}


def _note(e: Recorded[Any]) -> dict[str, Any]:
    return {"text": e.data.note}


def _verdict(e: Recorded[seeker.VerdictRecorded]) -> dict[str, Any]:
    return {"title": f"{e.data.field}: {e.data.verdict.replace('_', ' ')}", "text": e.data.why}


def _outcome(e: Recorded[seeker.OutcomeRecorded]) -> dict[str, Any]:
    through = (e.data.through_contact_id,) if e.data.through_contact_id else ()
    return {"title": e.data.kind.replace("_", " "), "text": e.data.what, "contact_ids": through}


PIECES: dict[type[Event], tuple[str, Callable[[Recorded[Any]], dict[str, Any]]]] = {
    interview.NotesTaken: ("notes", _notes),
    interview.ReflectionRecorded: ("reflection", _reflection),
    interview.ResearchRecorded: ("research", _research),
    lead.Recorded: ("lead", _lead),
    lead.ActedOn: ("result", _what),
    lead.CameToSomething: ("result", _what),
    lead.CameToNothing: ("result", _why),
    lead.ReportedBack: ("result", _note),
    relationship.TouchpointRecorded: ("touchpoint", _note),
    seeker.VerdictRecorded: ("verdict", _verdict),
    seeker.OutcomeRecorded: ("outcome", _outcome),
}
"""Event class → the kind of its piece, and what the piece says."""


def _about(e: Recorded[Any]) -> dict[str, Any]:
    """Whom and what the piece is about."""
    data = e.data
    if e.category == "interview":
        return {"contact_ids": data.contact_ids, "interview_id": e.stream_id}
    if e.category == "lead":
        return {"contact_ids": (data.contact_id,), "interview_id": data.interview_id, "lead_id": e.stream_id}
    if e.category == "relationship":
        return {"contact_ids": (data.contact_id,), "interview_id": data.interview_id, "lead_id": data.lead_id}
    return {}


class Notebook(ReadModel[PieceRow]):
    name = "notebook"
    version = 1
    folds = PIECES.keys()
    entries = True
    row = PieceRow

    def keys(self, e: Recorded[Event]) -> Iterable[str]:
        return (str(e.event_id),) if type(e.data) in PIECES else ()

    def evolve(self, key: str, row: PieceRow | None, e: Recorded[Any]) -> PieceRow | None:
        kind, says = PIECES[type(e.data)]
        piece = PieceRow(
            piece_id=e.event_id,
            seeker_id=e.stream_id if e.category == "seeker" else e.data.seeker_id,
            kind=kind,
            written_at=e.occurred_at,
            **(_about(e) | says(e)),
        )
        return piece if piece.words() else None

    def file(self, row: PieceRow) -> Filed:
        return Filed(owner=row.seeker_id, state=row.kind, sort=row.written_at)
