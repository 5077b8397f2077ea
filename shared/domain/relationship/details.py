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
    connector: Annotated[Name | None, Personal("seeker")] = None
    """The name, where the connector is not a contact."""


class ReferralRequest(Details):
    """The contact of this relationship is asked whom else to talk to."""

    about: Annotated[Text | None, Personal("seeker")] = None
    """What kind of people are sought."""
    channel: Channel | None = None
    interview_id: UUID | None = None


class IntroductionRequest(Connector):
    """A connector is asked to introduce the seeker to the contact of this relationship."""

    channel: Channel | None = None
    intent: Annotated[Text | None, Personal("seeker")] = None


class Reason(Details):
    why: Annotated[Text | None, Personal("contact")] = None


class Connection(Details):
    network: Name | None = None
    """Such as LinkedIn (S4)."""


class Cadence(Details):
    cadence_days: CadenceDays = 90


class KeepingInTouch(Details):
    """What is not said is as the policy `keep_in_touch` has it for the seeker."""

    cadence_days: CadenceDays | None = None
    first_after_days: int | None = Field(default=None, ge=1, le=730)


class Touchpoint(Details):
    """Something passed between the two: the cadence starts again."""

    kind: TouchpointKind
    channel: Channel | None = None
    by: Party = "seeker"
    note: Annotated[Text | None, Personal("contact")] = None
    lead_id: UUID | None = None
    interview_id: UUID | None = None


class Snoozing(Details):
    until: Instant


class Pausing(Reason):
    until: Day | None = None
    """Known day of return; nothing resumes by itself, but the seeker is asked then."""
