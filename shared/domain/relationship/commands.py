"""What may be wished of a relationship."""

from __future__ import annotations

from uuid import UUID

from shared.domain.kernel import Command
from shared.domain.relationship import details as said
from shared.domain.values import CadenceDays


class RelationshipCommand(Command, said.Pair):
    """Names the pair; the stream's id must be theirs."""


class AskReferral(RelationshipCommand, said.ReferralRequest, command="relationship.ask_referral", creates=True):
    """Record that the contact was asked whom else to talk to."""


class RequestIntroduction(
    RelationshipCommand, said.IntroductionRequest, command="relationship.request_introduction", creates=True
):
    """Record that a connector was asked to introduce the seeker to the contact of this relationship."""


class RecordIntroduction(RelationshipCommand, said.Connector, command="relationship.record_introduction", creates=True):
    """Record that the seeker was introduced to the contact of this relationship, asked for or not.

    Without a connector it was by who gave the lead, else by who was asked. To name the lead that led to it, a promise
    that was kept or a referral, says what came of that one, too.
    """

    lead_id: UUID | None = None
    """The lead that led to it, of the kind `promised_introduction` or `referral`."""


class DeclineIntroduction(RelationshipCommand, said.Reason, command="relationship.decline_introduction"):
    """Record that the connector who was asked would not make the introduction.

    Another may be asked then, and one that is made after all is still recorded.
    """


class LapseIntroduction(RelationshipCommand, command="relationship.lapse_introduction"):
    """Record that no introduction came, and that none is awaited any more.

    Another may be asked for then, and one that is made after all is still recorded.
    """


class Connect(RelationshipCommand, said.Connection, command="relationship.connect", creates=True):
    """Record that the two are connected, once for each network."""


class StartKeepingInTouch(
    RelationshipCommand, said.KeepingInTouch, command="relationship.start_keeping_in_touch", creates=True
):
    """Begin to remind the seeker to be in touch with the contact, also anew after a pause or an end.

    Without a cadence it is the one that was set before, if any.
    """


class ChangeCadence(RelationshipCommand, said.Cadence, command="relationship.change_cadence", creates=True):
    """Change how often the seeker wants to be in touch."""

    cadence_days: CadenceDays
    """Days from one touch to the reminder of the next, such as 30, 60, 90 or 180."""


class RecordTouchpoint(RelationshipCommand, said.Touchpoint, command="relationship.record_touchpoint", creates=True):
    """Record that something passed between the two: the cadence starts again.

    Where the tie is paused or has ended, it stays so.
    """


class Snooze(RelationshipCommand, said.Snoozing, command="relationship.snooze", creates=True):
    """Have the next reminder to be in touch come at another time, once."""


class Pause(RelationshipCommand, said.Pausing, command="relationship.pause", creates=True):
    """Have no reminders to be in touch until further notice.

    `relationship.resume` and `relationship.start_keeping_in_touch` take it back; nothing does so by itself.
    """


class Resume(RelationshipCommand, command="relationship.resume"):
    """Let the reminders to be in touch come again after a pause."""


class End(RelationshipCommand, said.Reason, command="relationship.end", creates=True):
    """Record that the seeker does not mean to stay in touch.

    Reminders about the tie end, and its cadence is no more. What passes between the two may still be recorded; only
    `relationship.start_keeping_in_touch` begins anew.
    """
