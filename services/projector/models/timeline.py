"""Read model `timeline`: all that passed between a seeker and a contact; one row an entry, never changed again.

An entry of its own for each event keeps a long history cheap: adding to it rewrites nothing. The key is the
relationship's id and the event's position, so that entries of one instant stand in the order of the log.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, datetime
from typing import Any
from uuid import UUID

from pydantic import JsonValue

from services.projector.folding.read_model import Filed, ReadModel, Telling
from services.projector.models.pairs import pair
from shared.domain import contact, interview, lead, relationship
from shared.domain.identity import relationship_id
from shared.domain.kernel import EVENTS, Event
from shared.domain.personal import personal_fields
from shared.envelope import Recorded
from shared.immutable import immutable
from shared.replacing import replace


@immutable
class EntryRow(Telling):
    relationship_id: UUID
    seeker_id: UUID
    contact_id: UUID
    type: str
    """The event's stored type, such as `interview.held`."""
    occurred_at: datetime
    recorded_at: datetime
    position: int
    actor: str
    stream_id: UUID
    """The interview, lead, relationship or contact that it happened to."""
    facts: dict[str, JsonValue]
    """What a reader wants to know at a glance; which, is up to the type."""
    others: tuple[UUID, ...] = ()
    """The other contacts whom it concerns as much."""

    def forgetting(self, contact_id: UUID, at: datetime) -> EntryRow:
        """By the marks of the event's own fields. That something happened, when and how stays."""
        if contact_id not in (self.contact_id, *self.others):
            return self
        marks = personal_fields(EVENTS[self.type])
        facts = {name: value for name, value in self.facts.items() if marks.get(name) != "contact"}
        return self if len(facts) == len(self.facts) else replace(self, facts=facts)


FACTS: dict[type[Event], tuple[str, ...]] = {
    contact.Added: ("source", "source_detail", "introduced_by"),
    relationship.ReferralAsked: ("about", "channel", "interview_id"),
    relationship.IntroductionRequested: ("connector_id", "connector", "channel", "intent"),
    relationship.IntroductionMade: ("connector_id", "connector", "introduced_by", "lead_id"),
    relationship.IntroductionDeclined: ("connector_id", "why"),
    relationship.IntroductionLapsed: (),
    relationship.Connected: ("network",),
    relationship.KeepInTouchStarted: ("cadence_days", "first_after_days"),
    relationship.CadenceChanged: ("cadence_days",),
    relationship.TouchpointRecorded: ("kind", "channel", "by", "note", "lead_id", "interview_id"),
    relationship.Snoozed: ("until",),
    relationship.Paused: ("until", "why"),
    relationship.Resumed: (),
    relationship.Ended: ("why",),
    interview.Planned: ("purpose", "about", "format", "lead_id"),
    interview.RequestSent: ("channel", "minutes", "intent"),
    interview.RequestFollowedUp: ("channel", "number"),
    interview.Accepted: ("format", "note"),
    interview.Declined: ("why",),
    interview.DroppedOut: ("dropped_ids", "why"),
    interview.Lapsed: (),
    interview.AgreedLoosely: ("what", "format"),
    interview.TimesOffered: ("by", "time_zone"),
    interview.Scheduled: ("starts_at", "time_zone", "minutes", "format"),
    interview.Rescheduled: ("starts_at", "time_zone", "minutes", "format", "asked_by", "why"),
    interview.Confirmed: (),
    interview.Cancelled: ("by", "why"),
    interview.ResearchRecorded: (),
    interview.ObjectivesSet: (),
    interview.QuestionsChosen: (),
    interview.Prepared: (),
    interview.Started: (),
    interview.Held: ("format", "minutes", "overran"),
    interview.Missed: ("by", "note"),
    interview.NotesTaken: (),
    interview.ReflectionRecorded: ("clicked",),
    interview.Thanked: ("how",),
    lead.Recorded: ("kind", "until"),
    lead.ActedOn: ("kind",),
    lead.CameToSomething: ("kind", "new_contact_id"),
    lead.CameToNothing: ("kind",),
    lead.ReportedBack: ("kind", "channel", "note"),
    lead.Dropped: ("kind",),
}
"""Event class → the fields that its entry shows. Long texts stay out: notebook and preparation sheet have them; and
whom or what a lead is about, and what came of it: the leads board has that, and it is joined in."""


WITH_CONNECTOR: frozenset[type[Event]] = frozenset(
    {relationship.IntroductionRequested, relationship.IntroductionMade, relationship.IntroductionDeclined}
)


def _contacts(e: Recorded[Any]) -> tuple[UUID, ...]:
    """With whom it passed: a connector takes part in an introduction as much as the one introduced."""
    data = e.data
    kind = type(data)
    if e.category == "interview":
        # Who was not thanked yet has not been thanked, and who is to be left in peace is not asked again.
        some: tuple[UUID, ...] | None = None
        if kind is interview.Thanked:
            some = data.thanked_ids
        elif kind is interview.RequestFollowedUp:
            some = data.asked_ids
        return some or data.contact_ids
    if kind is contact.Added:
        return (e.stream_id,)
    if kind in WITH_CONNECTOR:
        connector = data.connector_id
        if connector is not None and connector != data.contact_id:
            return (data.contact_id, connector)
    return (data.contact_id,)


def _plain(value: Any) -> JsonValue:
    if isinstance(value, datetime | date):
        return value.isoformat()
    if isinstance(value, tuple):
        return [_plain(each) for each in value]
    return str(value) if isinstance(value, UUID) else value


class Timeline(ReadModel[EntryRow]):
    name = "timeline"
    version = 5
    folds = FACTS.keys()
    entries = True
    row = EntryRow

    def keys(self, e: Recorded[Any]) -> Iterable[str]:
        if type(e.data) not in FACTS or e.data.seeker_id is None:
            return ()
        seeker_id, place = e.data.seeker_id, f"/{e.position:015d}"
        return [pair(seeker_id, contact_id) + place for contact_id in _contacts(e)]

    def evolve(self, key: str, row: EntryRow | None, e: Recorded[Any]) -> EntryRow | None:
        data = e.data
        everyone = _contacts(e)
        contact_id = everyone[0]
        if len(everyone) > 1:
            contact_id = next(each for each in everyone if key.startswith(pair(data.seeker_id, each)))
        return EntryRow(
            relationship_id=relationship_id(data.seeker_id, contact_id),
            seeker_id=data.seeker_id,
            contact_id=contact_id,
            type=e.type,
            occurred_at=e.occurred_at,
            recorded_at=e.recorded_at,
            position=e.position,
            actor=e.actor,
            stream_id=e.stream_id,
            others=tuple(each for each in everyone if each != contact_id) if len(everyone) > 1 else (),
            facts={
                name: _plain(value)
                for name in FACTS[type(data)]
                if (value := getattr(data, name)) is not None and value != ()
            },
        )

    def file(self, row: EntryRow) -> Filed:
        return Filed(owner=row.relationship_id, state=row.type, sort=row.occurred_at)
