"""The fields that the events and commands of an interview share."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from pydantic import Field

from shared.domain.conversation.bank import Topic
from shared.domain.personal import Personal
from shared.domain.values import (
    NO_BLANK,
    NO_NUL,
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
    """Who is to be asked, together where it is more than one."""
    purpose: Purpose
    """What the seeker wants to learn about."""
    about: Name
    """Which field, company, role or study."""
    format: Format | None = None
    """How they would talk; absent: still open."""
    programme_id: UUID | None = None
    """The programme that it is part of, in which the seeker is enrolled."""
    lead_id: UUID | None = None
    """The lead that it follows up."""


class Request(Details):
    """States its intent and its length (S0, S2)."""

    channel: Channel
    """How it was sent."""
    minutes: int = Field(ge=15, le=60)
    """How long a conversation was asked for; 20 to 30 are usual."""
    intent: Annotated[Text, Personal("seeker")]
    """What the seeker wants to learn, as the request states it."""
    personalised_by: Annotated[Text | None, Personal("contact")] = None
    """What research about the contact made it personal (S2)."""
    message: Annotated[Note | None, Personal("contact")] = None
    """The request as it was sent."""
    format: Format | None = None
    """How the seeker proposed to talk; absent: as planned."""


class FollowUp(Details):
    channel: Channel
    """How it was sent."""
    message: Annotated[Note | None, Personal("contact")] = None
    """The follow-up as it was sent."""


class Answer(Details):
    format: Format | None = None
    """How they are willing to talk; absent: as was asked."""
    note: Annotated[Text | None, Personal("contact")] = None
    """What they said to it."""


class Reason(Details):
    why: Annotated[Text | None, Personal("contact")] = None
    """The reason."""


class LooseAgreement(Details):
    """Such as: coffee some time next week."""

    what: Annotated[Text, Personal("contact")]
    """What was agreed on, in words."""
    format: Format | None = None
    """How they mean to talk; absent: as was asked."""
    not_before: Day | None = None
    """When a time is to be found at the earliest, such as after the holidays; absent: from now on."""


class OfferedTime(Details):
    starts_at: Instant
    """With its offset from UTC, such as 2026-03-01T10:00:00Z."""
    minutes: Minutes = 30
    """How long the conversation would take."""


class Offer(Details):
    times: tuple[OfferedTime, ...] = Field(min_length=1, max_length=20)
    """Those to choose from."""
    time_zone: ZoneName
    """That of the wall clock on which they were named, such as Europe/Lisbon."""
    by: Party = "contact"
    """Who named them."""


class Appointment(Details):
    """`time_zone` is that of the wall clock agreed on; the end is `starts_at` plus `minutes`."""

    starts_at: Instant
    """With its offset from UTC, such as 2026-03-01T10:00:00Z."""
    time_zone: ZoneName
    """That of the wall clock agreed on, such as Europe/Lisbon."""
    minutes: int = Field(default=30, ge=5, le=240)
    """How long the conversation is to take."""
    format: MeetingFormat
    """How they talk."""
    place: Annotated[Text | None, Personal("contact")] = None
    """Address, number or link."""


class Rearrangement(Appointment):
    asked_by: AskedBy = "contact"
    """S0: the seeker yields to the contact's schedule. `other`: neither of the two, such as a strike."""
    why: Annotated[Text | None, Personal("contact")] = None
    """The reason."""


class Cancellation(Reason):
    by: AskedBy
    """Who called it off. `other`: neither of the two, such as a strike."""


class Research(Details):
    """Homework on person, company, position and industry (S1, S2); what is absent stays as it was."""

    person: Annotated[Note | None, Personal("contact")] = None
    """About the contacts: career, publications, what they care for."""
    company: Annotated[Note | None, Personal("contact")] = None
    """About where they work."""
    position: Annotated[Note | None, Personal("contact")] = None
    """About what they do there."""
    industry: Note | None = None
    """About the field or branch."""


class Objectives(Details):
    """The complete list, first things first."""

    objectives: Annotated[tuple[Text, ...], Personal("seeker"), Field(max_length=20)] = ()
    """What the seeker wants to learn."""


class Question(Details):
    text: Annotated[str, Field(min_length=1, max_length=500, pattern=NO_NUL), NO_BLANK]
    """The question as it is to be asked."""
    topic: Topic | None = None
    """What it is about, by which the question bank is ordered."""


class Questions(Details):
    """About ten, in the order in which to ask them, and some in reserve (S0, S1, S3); the complete lists."""

    questions: Annotated[tuple[Question, ...], Personal("seeker"), Field(max_length=40)] = ()
    """What to ask, first things first."""
    reserve: Annotated[tuple[Question, ...], Personal("seeker"), Field(max_length=40)] = ()
    """What to ask if there is time left."""


class Preparation(Details):
    note: Annotated[Text | None, Personal("seeker")] = None
    """A word on it, such as what to bring."""


class Advice(Details):
    """What to learn, study or do (S3)."""

    about: AdviceAbout
    """What it would improve."""
    text: Annotated[Text, NO_BLANK]
    """The advice as it was given."""


class Notes(Details):
    """Typed, so that they can be searched; each recording adds to those before it."""

    points: Annotated[tuple[Text, ...], Personal("contact"), Field(max_length=100)] = ()
    """What was said, point by point."""
    advice: Annotated[tuple[Advice, ...], Personal("seeker"), Field(max_length=100)] = ()
    """What the seeker was advised to do."""
    resources: tuple[Resource, ...] = Field(default=(), max_length=100)
    """What the seeker was advised to read, follow or join."""
    text: Annotated[Note | None, Personal("contact")] = None
    """Notes as running text."""


class Reflection(Details):
    """Every interview gives something (S0)."""

    learned: Annotated[Note, Personal("seeker")]
    """What the seeker takes away from it."""
    clicked: Rating
    """How well the two clicked, 1 to 5."""


class ThankYou(Details):
    how: ThankYouKind
    """In what form."""
    note: Annotated[Text | None, Personal("contact")] = None
    """What was written."""
