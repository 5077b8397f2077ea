"""What may be wished of an interview."""

from __future__ import annotations

from typing import Annotated

from shared.domain.interview import details as said
from shared.domain.kernel import Command
from shared.domain.personal import Personal
from shared.domain.values import Format, Minutes, Party, Text, Zone


class Plan(Command, said.Plan, command="interview.plan", creates=True):
    pass


class SendRequest(Command, said.Request, command="interview.send_request"):
    pass


class FollowUp(Command, said.FollowUp, command="interview.follow_up"):
    pass


class Accept(Command, said.Answer, command="interview.accept"):
    pass


class Decline(Command, said.Reason, command="interview.decline"):
    pass


class DropOut(Command, said.Reason, command="interview.drop_out"):
    """Some of several contacts take no part, or no longer; the others do."""

    contact_ids: said.Contacts
    """Who drops out; at least one other must be left."""


class Lapse(Command, command="interview.lapse"):
    pass


class AgreeLoosely(Command, said.LooseAgreement, command="interview.agree_loosely"):
    pass


class OfferTimes(Command, said.Offer, command="interview.offer_times"):
    time_zone: Zone


class Schedule(Command, said.Appointment, command="interview.schedule"):
    time_zone: Zone


class Reschedule(Command, said.Rearrangement, command="interview.reschedule"):
    time_zone: Zone


class Confirm(Command, command="interview.confirm"):
    pass


class Cancel(Command, said.Cancellation, command="interview.cancel"):
    pass


class RecordResearch(Command, said.Research, command="interview.record_research"):
    pass


class SetObjectives(Command, said.Objectives, command="interview.set_objectives"):
    pass


class ChooseQuestions(Command, said.Questions, command="interview.choose_questions"):
    pass


class Prepare(Command, said.Preparation, command="interview.prepare"):
    pass


class Start(Command, command="interview.start"):
    pass


class Hold(Command, command="interview.hold"):
    """Record that the conversation took place; `occurred_at` is when it ended."""

    minutes: Minutes | None = None
    format: Format | None = None
    """How it took place, where that is not as agreed."""
    contact_ids: said.Contacts | None = None
    """Who was there; absent: all. Whoever was not has dropped out."""


class Miss(Command, command="interview.miss"):
    by: Party
    note: Annotated[Text | None, Personal("contact")] = None


class TakeNotes(Command, said.Notes, command="interview.take_notes"):
    pass


class RecordReflection(Command, said.Reflection, command="interview.record_reflection"):
    pass


class Thank(Command, said.ThankYou, command="interview.thank"):
    contact_ids: said.Contacts | None = None
    """Who was thanked; absent: all who have not been yet."""
