"""Which subjects' timing an event may change: from the event alone, nothing is looked up."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple
from uuid import UUID

from shared.domain import contact, interview, lead, notification, programme, relationship, seeker
from shared.domain.identity import relationship_id
from shared.domain.kernel import Event
from shared.envelope import Recorded
from shared.timing.policy import Side

UNTIMED = frozenset(
    {
        "interview.research_recorded",
        "interview.objectives_set",
        "interview.questions_chosen",
        "interview.notes_taken",
        "interview.reflection_recorded",
        "relationship.referral_asked",
        "notification.delivered",
        "notification.failed",
    }
)
"""Events of subjects that no policy may listen to; all others of theirs are routed."""


class Route(NamedTuple):
    """From an event to one subject: what kind that is and, for a relationship, whose side of the event it is on."""

    id: UUID
    kind: str
    side: Side = "contact"
    contact_id: UUID | None = None


def subjects(e: Recorded[Event]) -> tuple[UUID, ...]:
    """Ids of the subjects whose timing the event may change.

    An interview and a lead are subjects under the id of their stream; a relationship likewise, be it by events of
    interviews; a seeker for what concerns all of a person's conversations. See also `closed_contact`.
    """
    return tuple(dict.fromkeys(route.id for route in routes(e)))


def closed_contact(e: Recorded[Event]) -> UUID | None:
    """The contact who must be left in peace from this event on: all subjects with them among `contact_ids` change."""
    closed = isinstance(e.data, contact.AskedNotToBeContacted | contact.Forgotten)
    return e.stream_id if closed else None


def routes(e: Recorded[Event]) -> Iterator[Route]:
    if e.type in UNTIMED:
        return
    data = e.data
    match data:
        case interview.InterviewEvent():
            yield Route(e.stream_id, "interview")
            yield from _beyond_the_interview(data)
        case relationship.RelationshipEvent():
            yield Route(e.stream_id, "relationship", contact_id=data.contact_id)
        case lead.Recorded() | lead.LeadFollowed():
            yield Route(e.stream_id, "lead", contact_id=data.contact_id)
        case seeker.Registered() | seeker.GoalsChanged():
            yield Route(e.stream_id, "seeker")
        case programme.ParticipantEnrolled() | programme.ParticipantLeft():
            yield Route(data.seeker_id, "seeker")
        case notification.NotificationEvent():
            yield Route(data.subject_id, data.subject)


def _beyond_the_interview(data: interview.InterviewEvent) -> Iterator[Route]:
    match data:
        case interview.Planned():
            yield from _relationships(data.seeker_id, data.contact_ids)
        case interview.Held():
            yield from _relationships(data.seeker_id, data.contact_ids)
            yield from _relationships(data.seeker_id, data.introduced_by, "introducer")
            yield Route(data.seeker_id, "seeker")
        case interview.Thanked():
            yield from _relationships(data.seeker_id, data.thanked_ids)


def _relationships(seeker_id: UUID, contact_ids: tuple[UUID, ...], side: Side = "contact") -> Iterator[Route]:
    for one in contact_ids:
        yield Route(relationship_id(seeker_id, one), "relationship", side, one)
