"""The fields that the events and commands of a relationship share."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from pydantic import Field

from shared.domain.personal import Personal
from shared.domain.values import (
    CadenceDays,
    Channel,
    Day,
    Details,
    Instant,
    Name,
    Party,
    Text,
    TouchpointKind,
)


class Pair(Details):
    """Whose relationship it is: in every event and command, so that none needs another to be understood."""

    seeker_id: UUID
    contact_id: UUID


class Connector(Details):
    """Who is asked to introduce: an earlier contact, or another, such as a friend or an alumni group."""

    connector_id: UUID | None = None
    """Who introduces, where that is a contact."""
    connector: Annotated[Name | None, Personal("seeker")] = None
    """The name, where the connector is not a contact."""


class ReferralRequest(Details):
    """The contact of this relationship is asked whom else to talk to."""

    about: Annotated[Text | None, Personal("seeker")] = None
    """What kind of people are sought."""
    channel: Channel | None = None
    """How they were asked."""
    interview_id: UUID | None = None
    """The conversation in which they were."""


class IntroductionRequest(Connector):
    """A connector is asked to introduce the seeker to the contact of this relationship."""

    channel: Channel | None = None
    """How the connector was asked."""
    intent: Annotated[Text | None, Personal("seeker")] = None
    """What the seeker wants to learn from the contact, as it was said."""


class Reason(Details):
    why: Annotated[Text | None, Personal("contact")] = None
    """The reason."""


class Connection(Details):
    network: Name | None = None
    """Such as LinkedIn (S4)."""


class Cadence(Details):
    cadence_days: CadenceDays = 90
    """Days from one touch to the reminder of the next, such as 30, 60, 90 or 180."""


class KeepingInTouch(Details):
    """What is not said is as the policy `keep_in_touch` has it for the seeker."""

    cadence_days: CadenceDays | None = None
    """Days from one touch to the reminder of the next, such as 30, 60, 90 or 180."""
    first_after_days: int | None = Field(default=None, ge=1, le=730)
    """Days to the first reminder."""


class Touchpoint(Details):
    """Something passed between the two: the cadence starts again."""

    kind: TouchpointKind
    """What passed."""
    channel: Channel | None = None
    """How."""
    by: Party = "seeker"
    """From whom it came."""
    note: Annotated[Text | None, Personal("contact")] = None
    """What was said."""
    lead_id: UUID | None = None
    """The lead that it is about."""
    interview_id: UUID | None = None
    """The conversation that it is about."""


class Snoozing(Details):
    until: Instant
    """When the reminder is to come: a day and time with its offset from UTC, such as 2026-03-01T10:00:00Z. (A pause
    lasts until a day.)"""


class Pausing(Reason):
    until: Day | None = None
    """Known day of return, without a time, such as 2026-03-01; nothing resumes by itself, but the seeker is asked then.
    (A reminder is snoozed until a day and time.)"""
