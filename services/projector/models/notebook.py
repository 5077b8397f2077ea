"""Read model `notebook`: what a seeker wrote down and was told; one row a piece, never changed again.

A recording adds a piece beside those before it, as the log does. Search runs over these rows in the language that
the seeker has now.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Any
from uuid import UUID

from services.projector.folding.read_model import Filed, ReadModel, Telling
from shared.domain import interview, lead, relationship, seeker
from shared.domain.interview.details import Advice
from shared.domain.kernel import Event
from shared.domain.values import Resource
from shared.envelope import Recorded
from shared.immutable import immutable
from shared.replacing import replace


@immutable
class PieceRow(Telling):
    piece_id: UUID
    """The id of the event that wrote it."""
    seeker_id: UUID
    kind: str
    """notes, reflection, research, lead, result, report, touchpoint, verdict or outcome."""
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

    def forgetting(self, contact_id: UUID, at: datetime) -> PieceRow | None:
        """Advice, resources and what the seeker learned stay."""
        about = self.contact_ids[1:] if self.kind == "result" else self.contact_ids if self.kind in OF_CONTACTS else ()
        if contact_id not in about:
            return self
        piece = replace(self, text=self.text if self.kind == "research" else None, points=())
        return piece if piece.words() else None


OF_CONTACTS = frozenset({"notes", "research", "touchpoint", "report"})
"""Kinds whose text and points are about the contacts. Of research, the text is about the industry; a result is about
whom it led to, who come after the one that gave the lead."""


Says = Callable[[Recorded[Any]], dict[str, Any]]


def _notes(e: Recorded[interview.NotesTaken]) -> dict[str, Any]:
    data = e.data
    return {"text": data.text, "points": data.points, "advice": data.advice, "resources": data.resources}


def _reflection(e: Recorded[interview.ReflectionRecorded]) -> dict[str, Any]:
    return {"text": e.data.learned}


def _research(e: Recorded[interview.ResearchRecorded]) -> dict[str, Any]:
    data = e.data
    return {
        "points": tuple(each for each in (data.person, data.company, data.position) if each),
        "text": data.industry,
    }


def _lead(e: Recorded[lead.Recorded]) -> dict[str, Any]:
    data = e.data
    return {
        "title": data.employer,
        "text": data.what,
        "resources": (data.resource,) if data.resource else (),
    }


def _unless_person(says: Says) -> Says:
    """Who is to be met stands on the leads board alone: once they are a contact, they can have it forgotten."""
    return lambda e: {} if e.data.kind in lead.KINDS_OF["person"] else says(e)


def _what(e: Recorded[Any]) -> dict[str, Any]:
    return {"text": e.data.what}


def _came_to_something(e: Recorded[lead.CameToSomething]) -> dict[str, Any]:
    """About who gave the lead and, where it led to one, the new contact."""
    new = () if e.data.new_contact_id is None else (e.data.new_contact_id,)
    return {"text": e.data.what, "contact_ids": (e.data.contact_id, *new)}


def _why(e: Recorded[Any]) -> dict[str, Any]:
    return {"text": e.data.why}


def _note(e: Recorded[Any]) -> dict[str, Any]:
    return {"text": e.data.note}


def _verdict(e: Recorded[seeker.VerdictRecorded]) -> dict[str, Any]:
    return {"title": f"{e.data.field}: {e.data.verdict.replace('_', ' ')}", "text": e.data.why}


def _outcome(e: Recorded[seeker.OutcomeRecorded]) -> dict[str, Any]:
    through = (e.data.through_contact_id,) if e.data.through_contact_id else ()
    return {"title": e.data.kind.replace("_", " "), "text": e.data.what, "contact_ids": through}


PIECES: dict[type[Event], tuple[str, Says]] = {
    interview.NotesTaken: ("notes", _notes),
    interview.ReflectionRecorded: ("reflection", _reflection),
    interview.ResearchRecorded: ("research", _research),
    lead.Recorded: ("lead", _unless_person(_lead)),
    lead.ActedOn: ("result", _unless_person(_what)),
    lead.CameToSomething: ("result", _unless_person(_came_to_something)),
    lead.CameToNothing: ("result", _unless_person(_why)),
    lead.ReportedBack: ("report", _note),
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
    version = 3
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
