"""The fields that the events and commands of an interview share."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from pydantic import Field

from shared.domain.conversation.bank import Topic
from shared.domain.personal import Personal
from shared.domain.values import (
    NO_BLANK,
    AdviceAbout,
    AskedBy,
    Channel,
    Day,
    Details,
    Format,
    Instant,
    MeetingFormat,
    Minutes,
    Name,
    Note,
    Party,
    Purpose,
    Rating,
    Resource,
    Text,
    ThankYouKind,
    ZoneName,
)

# What tells who the contacts are, where to find them, and what they said, did and answered is about the contacts, of
# whom each can have it forgotten. What the seeker wants to learn, and takes away for themselves (objectives, questions,
# advice, resources, what they learned), is the seeker's own.

Contacts = Annotated[tuple[UUID, ...], Field(min_length=1, max_length=20)]


class Plan(Details):
    """An interview is about a field, a company, a role or a field of study."""

    seeker_id: UUID
    contact_ids: Contacts
    purpose: Purpose
    about: Name
    """Which field, company, role or study."""
    format: Format | None = None
    programme_id: UUID | None = None
    lead_id: UUID | None = None
    """The lead that it follows up."""


class Request(Details):
    """States its intent and its length (S0, S2)."""

    channel: Channel
    minutes: int = Field(ge=15, le=60)
    intent: Annotated[Text, Personal("seeker")]
    personalised_by: Annotated[Text | None, Personal("contact")] = None
    """What research about the contact made it personal (S2)."""
    message: Annotated[Note | None, Personal("contact")] = None
    """The request as it was sent."""
    format: Format | None = None


class FollowUp(Details):
    channel: Channel
    message: Annotated[Note | None, Personal("contact")] = None


class Answer(Details):
    format: Format | None = None
    note: Annotated[Text | None, Personal("contact")] = None


class Reason(Details):
    why: Annotated[Text | None, Personal("contact")] = None


class LooseAgreement(Details):
    """Such as: coffee some time next week."""

    what: Annotated[Text, Personal("contact")]
    format: Format | None = None
    not_before: Day | None = None
    """When a time is to be found at the earliest, such as after the holidays; absent: from now on."""


class OfferedTime(Details):
    starts_at: Instant
    minutes: Minutes = 30


class Offer(Details):
    times: tuple[OfferedTime, ...] = Field(min_length=1, max_length=20)
    time_zone: ZoneName
    by: Party = "contact"


class Appointment(Details):
    """`time_zone` is that of the wall clock agreed on; the end is `starts_at` plus `minutes`."""

    starts_at: Instant
    time_zone: ZoneName
    minutes: int = Field(default=30, ge=5, le=240)
    format: MeetingFormat
    place: Annotated[Text | None, Personal("contact")] = None
    """Address, number or link."""


class Rearrangement(Appointment):
    asked_by: AskedBy = "contact"
    """S0: the seeker yields to the contact's schedule."""
    why: Annotated[Text | None, Personal("contact")] = None


class Cancellation(Reason):
    by: AskedBy


class Research(Details):
    """Homework on person, company, position and industry (S1, S2); what is absent stays as it was."""

    person: Annotated[Note | None, Personal("contact")] = None
    company: Annotated[Note | None, Personal("contact")] = None
    position: Annotated[Note | None, Personal("contact")] = None
    industry: Note | None = None


class Objectives(Details):
    """The complete list, first things first."""

    objectives: Annotated[tuple[Text, ...], Personal("seeker"), Field(max_length=20)] = ()


class Question(Details):
    text: Annotated[str, Field(min_length=1, max_length=500, pattern=r"^[^\x00]*$"), NO_BLANK]
    topic: Topic | None = None


class Questions(Details):
    """About ten, in the order in which to ask them, and some in reserve (S0, S1, S3); the complete lists."""

    questions: Annotated[tuple[Question, ...], Personal("seeker"), Field(max_length=40)] = ()
    reserve: Annotated[tuple[Question, ...], Personal("seeker"), Field(max_length=40)] = ()


class Preparation(Details):
    note: Annotated[Text | None, Personal("seeker")] = None


class Advice(Details):
    """What to learn, study or do (S3)."""

    about: AdviceAbout
    text: Annotated[Text, NO_BLANK]


class Notes(Details):
    """Typed, so that they can be searched; each recording adds to those before it."""

    points: Annotated[tuple[Text, ...], Personal("contact"), Field(max_length=100)] = ()
    advice: Annotated[tuple[Advice, ...], Personal("seeker"), Field(max_length=100)] = ()
    resources: tuple[Resource, ...] = Field(default=(), max_length=100)
    text: Annotated[Note | None, Personal("contact")] = None


class Reflection(Details):
    """Every interview gives something (S0)."""

    learned: Annotated[Note, Personal("seeker")]
    clicked: Rating
    """How well the two clicked, 1 to 5."""


class ThankYou(Details):
    how: ThankYouKind
    note: Annotated[Text | None, Personal("contact")] = None
