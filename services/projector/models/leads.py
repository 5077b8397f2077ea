"""Read model `lead`: the leads board, who owes whom what; one row a lead, by the lead's id."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, datetime
from typing import Any, ClassVar
from uuid import UUID

from services.projector.folding.read_model import Filed, Telling
from services.projector.models.per_stream import PerStream
from shared.domain import interview, lead, relationship
from shared.domain.personal import FORGOTTEN
from shared.domain.values import Resource
from shared.envelope import Recorded
from shared.immutable import immutable
from shared.replacing import replace

OWED_BY = {
    "to_act_on": "seeker",
    "promised": "contact",
    "acted_on": "seeker",
    "to_report_back": "seeker",
}
"""State → who has the next move; in the other states nobody owes anybody anything."""


@immutable
class LeadRow(Telling):
    lead_id: UUID
    seeker_id: UUID
    contact_id: UUID
    """Who gave it."""
    interview_id: UUID | None
    kind: str
    what: str
    person: str | None
    employer: str | None
    resource: Resource | None
    until: date | None
    """When it is too late."""
    state: str
    """to_act_on, promised (the contact is to make an introduction), acted_on (what came of it is to be written down),
    to_report_back, reported_back or dropped."""
    owed_by: str | None
    """seeker, contact, or nobody."""
    recorded_at: datetime
    moved_at: datetime
    """When the last event of the lead happened."""
    acted_on_at: datetime | None = None
    outcome: str | None = None
    """something or nothing, once it is known."""
    result: str | None = None
    """What came of it, or why nothing did; of one that was dropped, why."""
    new_contact_id: UUID | None = None
    led_to: tuple[UUID, ...] = ()
    """Contacts with whom a conversation was planned through it, or an introduction made, where it is to lead to
    somebody."""
    ended_at: datetime | None = None
    """When it was reported back or dropped."""

    def forgetting(self, contact_id: UUID, at: datetime) -> LeadRow:
        """What it said is about whom it led to, not about who gave it."""
        if contact_id not in (self.new_contact_id, *self.led_to):
            return self
        return replace(self, what=FORGOTTEN, person=None, employer=None, result=None)


def _to(row: LeadRow, state: str, at: datetime) -> LeadRow:
    return replace(row, state=state, owed_by=OWED_BY.get(state), moved_at=at, ended_at=None)


def _recorded(e: Recorded[lead.Recorded]) -> LeadRow:
    data = e.data
    state = "promised" if data.kind == "promised_introduction" else "to_act_on"
    return LeadRow(
        lead_id=e.stream_id,
        seeker_id=data.seeker_id,
        contact_id=data.contact_id,
        interview_id=data.interview_id,
        kind=data.kind,
        what=data.what,
        person=data.person,
        employer=data.employer,
        resource=data.resource,
        until=data.until,
        state=state,
        owed_by=OWED_BY[state],
        recorded_at=e.occurred_at,
        moved_at=e.occurred_at,
    )


def _acted_on(row: LeadRow, e: Recorded[lead.ActedOn]) -> LeadRow:
    return replace(_to(row, "acted_on", e.occurred_at), acted_on_at=row.acted_on_at or e.occurred_at)


def _came_to_something(row: LeadRow, e: Recorded[lead.CameToSomething]) -> LeadRow:
    return replace(
        _to(row, "to_report_back", e.occurred_at),
        outcome="something",
        result=_of_it(row, e.data.what),
        new_contact_id=e.data.new_contact_id,
    )


def _of_it(row: LeadRow, said: str | None) -> str | None:
    """What is said of the end of a lead is about whom it led to."""
    return None if row.what == FORGOTTEN else said


def _came_to_nothing(row: LeadRow, e: Recorded[lead.CameToNothing]) -> LeadRow:
    return replace(_to(row, "to_report_back", e.occurred_at), outcome="nothing", result=_of_it(row, e.data.why))


def _reported_back(row: LeadRow, e: Recorded[lead.ReportedBack]) -> LeadRow:
    return replace(_to(row, "reported_back", e.occurred_at), ended_at=e.occurred_at)


def _dropped(row: LeadRow, e: Recorded[lead.Dropped]) -> LeadRow:
    return replace(_to(row, "dropped", e.occurred_at), result=_of_it(row, e.data.why), ended_at=e.occurred_at)


def _planned(row: LeadRow, e: Recorded[interview.Planned]) -> LeadRow:
    return _led_to(row, e.data.contact_ids)


def _introduced(row: LeadRow, e: Recorded[relationship.IntroductionMade]) -> LeadRow:
    return _led_to(row, (e.data.contact_id,))


def _led_to(row: LeadRow, contact_ids: Iterable[UUID]) -> LeadRow:
    if row.kind not in lead.KINDS_OF["person"]:
        return row
    led_to = dict.fromkeys((*row.led_to, *(id for id in contact_ids if id != row.contact_id)))
    return replace(row, led_to=tuple(led_to))


class Leads(PerStream[LeadRow]):
    name = "lead"
    version = 6
    row = LeadRow
    begins: ClassVar = {lead.Recorded: _recorded}
    changes: ClassVar = {
        lead.ActedOn: _acted_on,
        lead.CameToSomething: _came_to_something,
        lead.CameToNothing: _came_to_nothing,
        lead.ReportedBack: _reported_back,
        lead.Dropped: _dropped,
        interview.Planned: _planned,
        relationship.IntroductionMade: _introduced,
    }

    def keys(self, e: Recorded[Any]) -> Iterable[str]:
        if isinstance(e.data, interview.Planned | relationship.IntroductionMade):
            return () if e.data.lead_id is None else (str(e.data.lead_id),)
        return super().keys(e)

    def file(self, row: LeadRow) -> Filed:
        return Filed(owner=row.seeker_id, state=row.state, sort=row.recorded_at)
