"""Which subjects' timing an event may change: from the event alone, nothing is looked up."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import cache
from typing import Any, NamedTuple
from uuid import UUID

from shared.domain import interview, lead, notification, programme, relationship, seeker
from shared.domain.identity import relationship_id
from shared.domain.kernel import Event
from shared.envelope import Recorded
from shared.timing.contact import WISHES
from shared.timing.policy import Side

UNTIMED = frozenset(
    {
        "interview.research_recorded",
        "interview.objectives_set",
        "interview.questions_chosen",
        "interview.notes_taken",
        "interview.reflection_recorded",
        "notification.failed",
    }
)
"""Events of subjects that no policy may listen to; all others of theirs are routed."""

_TIMED_OF_OTHERS: frozenset[type[Event]] = frozenset(
    {
        *(seeker.Registered, seeker.DetailsCorrected, seeker.Moved, seeker.GoalsChanged),
        *(seeker.PreferencesChanged, seeker.OutcomeRecorded, seeker.Left, seeker.Returned),
        *(programme.ParticipantEnrolled, programme.ParticipantLeft),
        *(programme.CoachAssigned, programme.CoachChanged),
        *WISHES,
    }
)
"""Those of seekers, programmes and contacts that timing folds."""

REACHING: frozenset[type[Event]] = frozenset((notification.Delivered, notification.Escalated))
"""What tells whether the seeker was reached."""

_CORRESPONDING: frozenset[type[Event]] = frozenset(
    (interview.RequestSent, interview.Accepted, interview.AgreedLoosely, interview.Declined)
)
"""By which seeker and contact have written to each other."""

_LEADING_ELSEWHERE: frozenset[type[Event]] = frozenset(
    {
        *_CORRESPONDING,
        *(interview.Held, interview.Thanked, lead.ReportedBack),
        *(relationship.IntroductionRequested, relationship.IntroductionMade, relationship.IntroductionDeclined),
        seeker.OutcomeRecorded,
        *(programme.ParticipantEnrolled, programme.ParticipantLeft),
    }
)
"""Those that lead to subjects under other ids than their stream's; besides those of notifications."""


@cache
def timed(kind: type[Event]) -> bool:
    """Whether timing folds events of a kind at all."""
    if kind.type.partition(".")[0] in ("interview", "relationship", "lead", "notification"):
        return kind.type not in UNTIMED
    return kind in _TIMED_OF_OTHERS


def leads_elsewhere(kind: type[Event]) -> bool:
    """Whether events of a kind may lead to other subjects than the one under their stream's id."""
    return timed(kind) and (kind in _LEADING_ELSEWHERE or kind.type.startswith("notification."))


class Route(NamedTuple):
    """From an event to one subject: what kind that is and, for a relationship, whose side of the event it is on."""

    id: UUID
    kind: str
    side: Side = "contact"
    contact_id: UUID | None = None


def subjects(e: Recorded[Event]) -> tuple[UUID, ...]:
    """Ids of the subjects whose timing the event may change.

    An interview and a lead are subjects under the id of their stream; a relationship likewise, be it by events of
    interviews, leads or seekers; a seeker for what concerns all of a person's conversations. Also: `wishing_contact`.
    """
    found = routes(e)
    return (found[0].id,) if len(found) == 1 else tuple(dict.fromkeys(route.id for route in found))


def routes(e: Recorded[Event]) -> tuple[Route, ...]:
    find = _OF_CATEGORY.get(e.category)
    return () if find is None or e.type in UNTIMED else tuple(find(e, e.data))


def contacts(route: Route, e: Recorded[Event]) -> tuple[UUID, ...]:
    """Who takes part in the subject that the event leads to; in a seeker's own, nobody in particular."""
    if route.kind == "seeker":
        return ()
    return (route.contact_id,) if route.contact_id else getattr(e.data, "contact_ids", ())


def people(found: Iterable[Route], e: Recorded[Event]) -> Iterator[UUID]:
    """Contacts who take part in the subjects that the event leads to, and one who is asked for them."""
    for route in found:
        yield from contacts(route, e)
    connector_id = getattr(e.data, "connector_id", None)
    if connector_id is not None:
        yield connector_id


def _of_interview(e: Recorded[Event], data: Any) -> Iterator[Route]:
    yield Route(e.stream_id, "interview")
    kind = type(data)
    if kind in _CORRESPONDING:
        yield from _relationships(data.seeker_id, data.contact_ids)
    elif kind is interview.Held:
        yield from _relationships(data.seeker_id, data.contact_ids)
        yield from _relationships(data.seeker_id, data.introduced_by, "introducer")
        yield Route(data.seeker_id, "seeker")
    elif kind is interview.Thanked:
        yield from _relationships(data.seeker_id, data.thanked_ids)


def _of_relationship(e: Recorded[Event], data: Any) -> Iterator[Route]:
    yield Route(e.stream_id, "relationship", contact_id=data.contact_id)
    if (connector_id := getattr(data, "connector_id", None)) is not None:
        yield from _relationships(data.seeker_id, (connector_id,), "introducer")


def _of_lead(e: Recorded[Event], data: Any) -> Iterator[Route]:
    yield Route(e.stream_id, "lead", contact_id=data.contact_id)
    if type(data) is lead.ReportedBack:
        yield from _relationships(data.seeker_id, (data.contact_id,))


def _of_seeker(e: Recorded[Event], data: Any) -> Iterator[Route]:
    if type(data) in (seeker.Registered, seeker.DetailsCorrected, seeker.GoalsChanged, seeker.OutcomeRecorded):
        yield Route(e.stream_id, "seeker")
    if type(data) is seeker.OutcomeRecorded and data.through_contact_id is not None:
        yield from _relationships(e.stream_id, (data.through_contact_id,))


def _of_programme(e: Recorded[Event], data: Any) -> Iterator[Route]:
    if type(data) in (programme.ParticipantEnrolled, programme.ParticipantLeft):
        yield Route(data.seeker_id, "seeker")


def _of_notification(e: Recorded[Event], data: Any) -> Iterator[Route]:
    """Whether the seeker was reached is about the seeker, whatever it was that should be told."""
    if type(data) not in REACHING:
        yield Route(data.subject_id, data.subject)
    elif data.recipient.role == "seeker":
        yield Route(data.seeker_id, "seeker")


_OF_CATEGORY: dict[str, Callable[[Recorded[Event], Any], Iterator[Route]]] = {
    "interview": _of_interview,
    "relationship": _of_relationship,
    "lead": _of_lead,
    "seeker": _of_seeker,
    "programme": _of_programme,
    "notification": _of_notification,
}


def _relationships(seeker_id: UUID, contact_ids: tuple[UUID, ...], side: Side = "contact") -> Iterator[Route]:
    for one in contact_ids:
        yield Route(relationship_id(seeker_id, one), "relationship", side, one)
