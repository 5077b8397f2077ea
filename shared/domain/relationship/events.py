"""What may pass between a seeker and a contact."""

from __future__ import annotations

from uuid import UUID

from pydantic import Field

from shared.domain.kernel import Event
from shared.domain.relationship import details as said


class RelationshipEvent(Event, said.Pair):
    pass


class ReferralAsked(RelationshipEvent, said.ReferralRequest, type="relationship.referral_asked"):
    """The contact was asked whom else to talk to."""


class IntroductionRequested(RelationshipEvent, said.IntroductionRequest, type="relationship.introduction_requested"):
    """Somebody was asked to introduce the seeker to this contact."""


class IntroductionMade(RelationshipEvent, said.Connector, type="relationship.introduction_made"):
    """The seeker was introduced to this contact."""

    introduced_by: tuple[UUID, ...] = Field(default=(), max_length=20)
    """The contacts through whom the seeker came here, nearest first: the edges of the network."""
    lead_id: UUID | None = None
    """The promise that was kept, where there was one."""


class IntroductionDeclined(RelationshipEvent, said.Reason, type="relationship.introduction_declined"):
    """Who was asked for the introduction would not make it."""

    connector_id: UUID | None = None
    """Who that was, where it is a contact: the words are theirs."""


class IntroductionLapsed(RelationshipEvent, type="relationship.introduction_lapsed"):
    """No introduction came, and none is awaited any more."""


class Connected(RelationshipEvent, said.Connection, type="relationship.connected"):
    """The two are connected, on a network for instance."""


class KeepInTouchStarted(RelationshipEvent, said.KeepingInTouch, type="relationship.keep_in_touch_started", version=2):
    """From now on the seeker wants to be reminded to stay in touch."""


class CadenceChanged(RelationshipEvent, said.Cadence, type="relationship.cadence_changed"):
    """How often the seeker wants to be in touch from now on."""


class TouchpointRecorded(RelationshipEvent, said.Touchpoint, type="relationship.touchpoint_recorded"):
    """Something passed between the two: the cadence starts again."""


class Snoozed(RelationshipEvent, said.Snoozing, type="relationship.snoozed"):
    """The next reminder to be in touch is to come at another time, once."""


class Paused(RelationshipEvent, said.Pausing, type="relationship.paused"):
    """No reminders to be in touch until further notice."""


class Resumed(RelationshipEvent, type="relationship.resumed"):
    """Reminders to be in touch come again."""


class Ended(RelationshipEvent, said.Reason, type="relationship.ended"):
    """The seeker does not mean to stay in touch."""
