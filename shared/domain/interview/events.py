"""What may happen to an interview."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from pydantic import Field

from shared.domain.interview import details as said
from shared.domain.kernel import Event
from shared.domain.people import MOST_INTRODUCERS
from shared.domain.personal import Personal
from shared.domain.values import AskedBy, Format, Minutes, Party, Text


class InterviewEvent(Event):
    """Tells whose interview it is, so that a reader needs no look-up."""

    seeker_id: UUID
    contact_ids: tuple[UUID, ...] = Field(max_length=20)


class Planned(InterviewEvent, said.Plan, type="interview.planned"):
    """A seeker means to ask these contacts for a conversation; nobody has been asked yet."""


class RequestSent(InterviewEvent, said.Request, type="interview.request_sent"):
    """The contacts were asked for a conversation."""


class RequestFollowedUp(InterviewEvent, said.FollowUp, type="interview.request_followed_up"):
    """The contacts were asked again, no answer having come."""

    number: int = Field(ge=1, le=2)
    asked_ids: said.Contacts | None = None
    """Those who were, where it was not all of them: others asked not to be contacted."""


class Accepted(InterviewEvent, said.Answer, type="interview.accepted"):
    """The contacts are willing; when to talk is still open."""


class Declined(InterviewEvent, said.Reason, type="interview.declined"):
    """The contacts are not willing, or not now."""


class DroppedOut(InterviewEvent, said.Reason, type="interview.dropped_out"):
    """Some of the contacts take no part, or no longer; the conversation is with the others."""

    dropped_ids: said.Contacts
    """Those of the contacts who are no longer among them from now on."""


class Lapsed(InterviewEvent, type="interview.lapsed"):
    """No answer came, or nothing came of it."""


class AgreedLoosely(InterviewEvent, said.LooseAgreement, type="interview.agreed_loosely"):
    """Both want to talk, without a time as yet."""


class TimesOffered(InterviewEvent, said.Offer, type="interview.times_offered"):
    """One side named times to choose from."""


class Scheduled(InterviewEvent, said.Appointment, type="interview.scheduled"):
    """A time was agreed on."""


class Rescheduled(InterviewEvent, said.Rearrangement, type="interview.rescheduled"):
    """Another time was agreed on; all that was said of the earlier one is void."""


class Confirmed(InterviewEvent, type="interview.confirmed"):
    """The agreed time was confirmed shortly before it."""


class Cancelled(InterviewEvent, said.Cancellation, type="interview.cancelled"):
    """The conversation was called off before its time."""

    asked: bool = True
    """Whether the contacts had been asked for it."""
    let_down_by: AskedBy | None = None
    """Who let somebody down by it: nobody where it had not been agreed to, or somebody had stayed away before."""
    late: bool = False
    """Whether its hour had come by then."""


class ResearchRecorded(InterviewEvent, said.Research, type="interview.research_recorded"):
    """The seeker did homework on person, company, position or industry."""


class ObjectivesSet(InterviewEvent, said.Objectives, type="interview.objectives_set"):
    """What the seeker wants to learn, complete."""


class QuestionsChosen(InterviewEvent, said.Questions, type="interview.questions_chosen"):
    """What the seeker means to ask, complete and in order."""


class Prepared(InterviewEvent, said.Preparation, type="interview.prepared"):
    """The seeker is ready for the conversation."""


class Started(InterviewEvent, type="interview.started"):
    """The conversation has begun."""


class Held(InterviewEvent, type="interview.held"):
    """The conversation took place; the time of the event is when it ended."""

    format: Format
    minutes: Minutes | None = None
    """Actual length; none for an e-mail interview, or where nobody looked at the clock."""
    overran: bool = False
    """Longer than agreed (S4: mind their time)."""
    introduced_by: tuple[UUID, ...] = Field(default=(), max_length=MOST_INTRODUCERS)
    """The contacts through whom the seeker came to these contacts, nearest first: each is owed thanks."""


class Missed(InterviewEvent, type="interview.missed"):
    """One side did not come to the conversation."""

    by: Party
    note: Annotated[Text | None, Personal("contact")] = None


class NotesTaken(InterviewEvent, said.Notes, type="interview.notes_taken"):
    """What was heard in the conversation; it adds to the notes before it."""


class ReflectionRecorded(InterviewEvent, said.Reflection, type="interview.reflection_recorded"):
    """What the seeker made of the conversation."""


class Thanked(InterviewEvent, said.ThankYou, type="interview.thanked"):
    """Some of the contacts, or all, were thanked for the conversation."""

    thanked_ids: said.Contacts
    """Those of the contacts who were thanked now."""
    complete: bool = True
    """Whether every contact has been thanked by now."""
