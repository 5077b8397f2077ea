"""What may be wished of an interview."""

from __future__ import annotations

from typing import Annotated

from shared.domain.interview import details as said
from shared.domain.kernel import Command
from shared.domain.personal import Personal
from shared.domain.values import Format, Minutes, Party, Text, Zone


class Plan(Command, said.Plan, command="interview.plan", creates=True):
    """Plan a conversation: whom to ask, and what about.

    Nothing is asked of the contacts yet; `interview.send_request` records that they were.
    """


class SendRequest(Command, said.Request, command="interview.send_request"):
    """Record that the contacts were asked for the conversation.

    Takes a place of each contact's month, which they get back if the request comes to nothing; a lead that the
    interview follows up is recorded as acted on. What asks for a job, or for the contact's pay, is refused.
    """


class FollowUp(Command, said.FollowUp, command="interview.follow_up"):
    """Record that a silent request was followed up, twice at most.

    Takes one more place of each contact's month, for good.
    """


class Accept(Command, said.Answer, command="interview.accept"):
    """Record that the contacts are willing, be it late, or after they had said no.

    When to talk is recorded next, with `interview.schedule`; a conversation by e-mail needs no time.
    """


class Decline(Command, said.Reason, command="interview.decline"):
    """Record that the contacts are not willing, or not any more.

    Gives back their places of the month. A later yes may still be recorded with `interview.accept`.
    """


class DropOut(Command, said.Reason, command="interview.drop_out"):
    """Record that some of several contacts take no part, or no longer; the others do.

    Gives back their places of the month. It can't be taken back.
    """

    contact_ids: said.Contacts
    """Who drops out; at least one other must be left."""


class Lapse(Command, command="interview.lapse"):
    """Record that no answer came, or that nothing came of it.

    Gives back the contacts' places of the month. A late yes may still be recorded with `interview.accept`.
    """


class AgreeLoosely(Command, said.LooseAgreement, command="interview.agree_loosely"):
    """Record that both want to talk, without a time as yet.

    Also how one begins to look for another time after a conversation that was agreed to fell through.
    """


class OfferTimes(Command, said.Offer, command="interview.offer_times"):
    """Record that one side named times to choose from.

    The one that is taken is recorded with `interview.schedule`.
    """

    time_zone: Zone
    """That of the wall clock on which they were named, such as Europe/Lisbon."""


class Schedule(Command, said.Appointment, command="interview.schedule"):
    """Record that a time was agreed on.

    Moved with `interview.reschedule`, called off with `interview.cancel`.
    """

    time_zone: Zone
    """That of the wall clock agreed on, such as Europe/Lisbon."""


class Reschedule(Command, said.Rearrangement, command="interview.reschedule"):
    """Record that another time was agreed on, also after the first was called off or missed.

    All that was said of the earlier appointment is void, its format, its place and that it was confirmed, too. By the
    seeker's wish, it takes one more place of each contact's month.
    """

    time_zone: Zone
    """That of the wall clock agreed on, such as Europe/Lisbon."""


class Confirm(Command, command="interview.confirm"):
    """Record that the agreed time was confirmed shortly before it."""


class Cancel(Command, said.Cancellation, command="interview.cancel"):
    """Record that the conversation was called off.

    Gives back the contacts' places of the month, unless the seeker calls it off when its hour has come. One that had
    been agreed to may get another time with `interview.reschedule`, or with `interview.agree_loosely` first.
    """


class RecordResearch(Command, said.Research, command="interview.record_research"):
    """Record homework on person, company, position or industry; what is absent stays as it was."""


class SetObjectives(Command, said.Objectives, command="interview.set_objectives"):
    """Set what the seeker wants to learn: the complete list, in place of the one before."""


class ChooseQuestions(Command, said.Questions, command="interview.choose_questions"):
    """Choose what to ask, and what to keep in reserve: the complete lists, in place of those before.

    A question that asks for a job, or for the contact's pay, is refused.
    """


class Prepare(Command, said.Preparation, command="interview.prepare"):
    """Record, once, that the seeker is ready for the conversation.

    Ends the reminders to prepare; research, objectives and questions may still change.
    """


class Start(Command, command="interview.start"):
    """Record that the conversation has begun.

    `interview.hold` may follow without it.
    """


class Hold(Command, command="interview.hold"):
    """Record that the conversation took place; `occurred_at` is when it ended.

    Begins the reminders to thank for it, and uses up the contacts' places of the month. It can't be taken back.
    """

    minutes: Minutes | None = None
    """How long it took."""
    format: Format | None = None
    """How it took place, where that is not as agreed."""
    contact_ids: said.Contacts | None = None
    """Who was there; absent: all. Whoever was not has dropped out."""


class Miss(Command, command="interview.miss"):
    """Record that one side did not come.

    Another time may be recorded with `interview.reschedule`. Where it was the seeker who stayed away, the contacts'
    places of the month are used up.
    """

    by: Party
    """Who did not come."""
    note: Annotated[Text | None, Personal("contact")] = None
    """What is known of it, such as how long the other waited."""


class TakeNotes(Command, said.Notes, command="interview.take_notes"):
    """Record what was heard in the conversation: it adds to the notes before it."""


class RecordReflection(Command, said.Reflection, command="interview.record_reflection"):
    """Record what the seeker made of the conversation."""


class Thank(Command, said.ThankYou, command="interview.thank"):
    """Record that the contacts, or some of them, were thanked for the conversation, each once.

    Ends the reminders to do so. Further thanks are recorded with `relationship.record_touchpoint`.
    """

    contact_ids: said.Contacts | None = None
    """Who was thanked; absent: all who have not been yet."""
