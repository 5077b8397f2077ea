"""What may be wished of a relationship."""

from __future__ import annotations

from uuid import UUID

from shared.domain.kernel import Command
from shared.domain.relationship import details as said
from shared.domain.values import CadenceDays


class RelationshipCommand(Command, said.Pair):
    """Names the pair; the stream's id must be theirs."""


class AskReferral(RelationshipCommand, said.ReferralRequest, command="relationship.ask_referral", creates=True):
    pass


class RequestIntroduction(
    RelationshipCommand, said.IntroductionRequest, command="relationship.request_introduction", creates=True
):
    pass


class RecordIntroduction(RelationshipCommand, said.Connector, command="relationship.record_introduction", creates=True):
    """The introduction was made, asked for or not; without a connector: by who gave the lead, else by who was asked.

    To name the lead that led to it, a promise that was kept or a referral, says what came of that one, too.
    """

    lead_id: UUID | None = None


class DeclineIntroduction(RelationshipCommand, said.Reason, command="relationship.decline_introduction"):
    """By the connector who was asked."""


class LapseIntroduction(RelationshipCommand, command="relationship.lapse_introduction"):
    pass


class Connect(RelationshipCommand, said.Connection, command="relationship.connect", creates=True):
    pass


class StartKeepingInTouch(
    RelationshipCommand, said.KeepingInTouch, command="relationship.start_keeping_in_touch", creates=True
):
    """Without a cadence it is the one that was set before, if any."""


class ChangeCadence(RelationshipCommand, said.Cadence, command="relationship.change_cadence", creates=True):
    cadence_days: CadenceDays


class RecordTouchpoint(RelationshipCommand, said.Touchpoint, command="relationship.record_touchpoint", creates=True):
    pass


class Snooze(RelationshipCommand, said.Snoozing, command="relationship.snooze", creates=True):
    pass


class Pause(RelationshipCommand, said.Pausing, command="relationship.pause", creates=True):
    pass


class Resume(RelationshipCommand, command="relationship.resume"):
    pass


class End(RelationshipCommand, said.Reason, command="relationship.end", creates=True):
    pass
