"""Contact: a person who works in the field or at the company. The favour is theirs, their time is scarce."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from datetime import UTC, datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import Field, StringConstraints

from shared.domain.kernel import NEW, Command, Context, Decider, Event, Machine, Move, On, Stream
from shared.domain.occurrence import check_occurrence
from shared.domain.people import chain_streams, chain_through, require_contact, require_seeker
from shared.domain.personal import Personal
from shared.domain.refusals import refusal
from shared.domain.values import (
    Capacity,
    Details,
    Email,
    Format,
    Name,
    Phone,
    Source,
    Text,
    Url,
    Zone,
    ZoneName,
    emptied,
    said,
)
from shared.immutable import immutable
from shared.replacing import replace
from shared.zones import zone

Month = Annotated[str, StringConstraints(pattern=r"^\d{4}-\d{2}$")]
"""A calendar month, such as 2026-11: where the contact lives, else in UTC."""
Asking = Literal["request", "follow_up", "new_time"]
"""A request; another word on a silent one; another time by the seeker's wish."""
Detail = Literal["email", "phone", "profile_url", "employer", "position", "time_zone"]
"""What a contact may have none of. (Of fields there may be an empty list.)"""


class Person(Details):
    """Who the contact is and what they do."""

    email: Annotated[Email | None, Personal("contact")] = None
    phone: Annotated[Phone | None, Personal("contact")] = None
    profile_url: Annotated[Url | None, Personal("contact")] = None
    """A page about them, such as their profile on a network."""
    employer: Annotated[Name | None, Personal("contact")] = None
    """Where they work."""
    position: Annotated[Name | None, Personal("contact")] = None
    """What they are there, such as Art director."""
    fields: Annotated[Annotated[tuple[Name, ...], Field(max_length=20)] | None, Personal("contact")] = None
    """Those they work in, complete, such as `["marketing"]`."""
    time_zone: ZoneName | None = None
    """Where they live, such as Europe/Lisbon: their months are counted by it; in UTC where it is not known."""


class Origin(Details):
    """How the contact came to be known."""

    source: Source
    """How the contact was found."""
    source_detail: Annotated[Name | None, Personal("contact")] = None
    """Which network, association or event."""
    seeker_id: UUID | None = None
    """The seeker who brought the contact in; none for one that the tenant itself entered."""
    capacity: Capacity | None = None
    """Requests a month; none: not limited."""


class Offer(Details):
    """A community member willing to be asked."""

    capacity: Capacity
    """Requests in a calendar month that they are willing to get from all seekers together."""
    formats: tuple[Format, ...] = Field(default=(), max_length=5)
    """How they are willing to talk; empty: not said."""
    note: Annotated[Text | None, Personal("contact")] = None
    """What else they said of it."""


class Place(Details):
    """One of the contact's places of a month, and the interview that it is for."""

    seeker_id: UUID
    interview_id: UUID
    month: Month


class ContactEvent(Event):
    """An event of a contact's stream, whose id is the contact's."""


class Added(ContactEvent, Person, Origin, type="contact.added"):
    """Somebody whom a seeker, or the tenant, may ask for a conversation became known."""

    name: Annotated[Name, Personal("contact")]
    introduced_by: tuple[UUID, ...] = Field(default=(), max_length=20)
    """The contacts through whom the seeker came here, nearest first."""


class DetailsCorrected(ContactEvent, Person, type="contact.details_corrected"):
    """What is absent stays as it was, but for what is taken back."""

    name: Annotated[Name | None, Personal("contact")] = None
    taken_back: tuple[Detail, ...] = Field(default=(), max_length=6)
    """What the contact does not have, or never had."""

    @property
    def changes(self) -> dict[str, Any]:
        """The details that are another from now on."""
        given = {name: getattr(self, name) for name in ("name", *Person.model_fields)}
        return {name: value for name, value in given.items() if value is not None} | dict.fromkeys(self.taken_back)


class HoursOffered(ContactEvent, Offer, type="contact.hours_offered"):
    """The contact is willing to be asked, so many times a month."""


class CapacityChanged(ContactEvent, type="contact.capacity_changed"):
    """How many requests a month the contact is willing to get from now on."""

    capacity: Capacity | None = None
    """None: not limited any more."""


class Asked(ContactEvent, Place, type="contact.asked"):
    """Something was asked of the contact, and took one of the places of the month."""

    why: Asking = "request"


class PlaceFreed(ContactEvent, Place, type="contact.place_freed"):
    """The request came to nothing before the conversation took place: the month has its place back."""

    why: Literal["declined", "lapsed", "cancelled"]


class PlaceUsed(ContactEvent, Place, type="contact.place_used"):
    """The contact gave the time, or waited in vain: the place stays counted, the request is open no more."""

    why: Literal["held", "missed"]
    minutes: int | None = None


class AskedNotToBeContacted(ContactEvent, type="contact.asked_not_to_be_contacted"):
    """From now on nobody may ask this contact for anything."""

    why: Annotated[Text | None, Personal("contact")] = None


class Forgotten(ContactEvent, type="contact.forgotten"):
    """The contact's personal data are gone; what happened stays, without them."""

    reason: Literal["asked", "retention", "mistake"] = "asked"


class Add(Command, Person, Origin, command="contact.add", creates=True):
    """Add somebody who may be asked for a conversation.

    Nothing is asked of them yet. What turns out wrong is mended with `contact.correct_details`.
    """

    name: Annotated[Name, Personal("contact")]
    time_zone: Zone | None = None
    """Where they live, such as Europe/Lisbon: their months are counted by it; in UTC where it is not known."""
    introduced_by: UUID | None = None
    """The contact who made the introduction or gave the referral."""


class CorrectDetails(Command, Person, command="contact.correct_details"):
    """Correct what is known of a contact.

    What is absent stays as it was; what is empty, the contact does not have.
    """

    name: Annotated[Name | None, Personal("contact")] = None
    email: Annotated[Email | None, emptied(Email), Personal("contact")] = None
    """Empty: they have none."""
    phone: Annotated[Phone | None, emptied(Phone), Personal("contact")] = None
    """Empty: they have none."""
    profile_url: Annotated[Url | None, emptied(Url), Personal("contact")] = None
    """A page about them, such as their profile on a network; empty: there is none."""
    employer: Annotated[Name | None, emptied(Name), Personal("contact")] = None
    """Where they work; empty: nowhere, or it is not known."""
    position: Annotated[Name | None, emptied(Name), Personal("contact")] = None
    """What they are there, such as Art director; empty: it is not known."""
    time_zone: Annotated[Zone | None, emptied(Zone)] = None
    """Where they live, such as Europe/Lisbon; empty: it is not known."""


class OfferHours(Command, Offer, command="contact.offer_hours"):
    """Record that the contact is willing to be asked, so many times a month.

    What they offered before holds no longer. Whoever asked not to be contacted may be asked again by this.
    """


class ChangeCapacity(Command, command="contact.change_capacity"):
    """Change how many requests a month the contact is willing to get, the present month included."""

    capacity: Capacity | None = None
    """Requests in a calendar month from all seekers together; absent: not limited any more."""


class AskNotToBeContacted(Command, command="contact.ask_not_to_be_contacted"):
    """Record that the contact asked not to be contacted: from now on no seeker may ask them for anything.

    Reminders to write to them stop. Only `contact.offer_hours` takes it back.
    """

    why: Annotated[Text | None, Personal("contact")] = None
    """What they gave as the reason."""


class Forget(Command, command="contact.forget"):
    """Erase the contact's personal data from all that is read, for good.

    Ids, times and states stay. Nothing more can be asked of the contact, or recorded about them; reminders to write to
    them stop. The bytes of the log, its back-ups and exports still hold the data.
    """

    reason: Literal["asked", "retention", "mistake"] = "asked"
    """`asked`: by the contact; `retention`: kept for as long as it may be; `mistake`: was never to be there."""


EVENT_OF: dict[type[Command], type[Event]] = {
    Add: Added,
    CorrectDetails: DetailsCorrected,
    OfferHours: HoursOffered,
    ChangeCapacity: CapacityChanged,
    AskNotToBeContacted: AskedNotToBeContacted,
    Forget: Forgotten,
}

MACHINE = Machine(
    "contact",
    {
        Added: Move({NEW}, "reachable"),
        DetailsCorrected: Move({"reachable", "do_not_contact"}),
        HoursOffered: Move({"reachable", "do_not_contact"}, "reachable"),
        CapacityChanged: Move({"reachable", "do_not_contact"}),
        Asked: Move({"reachable", "do_not_contact"}),
        PlaceFreed: Move({"reachable", "do_not_contact", "forgotten"}),
        PlaceUsed: Move({"reachable", "do_not_contact", "forgotten"}),
        AskedNotToBeContacted: Move({"reachable"}, "do_not_contact"),
        Forgotten: Move({"reachable", "do_not_contact"}, "forgotten"),
    },
    commands=EVENT_OF,
    setbacks={"do_not_contact", "forgotten"},
)


def month_of(at: datetime, time_zone: str | None) -> str:
    """The calendar month that `at` falls into where a contact lives; in UTC for a zone that is not known."""
    return at.astimezone(zone(time_zone or "UTC") or UTC).strftime("%Y-%m")


def places_left(capacity: int | None, taken: int) -> int | None:
    """Of a month; None: not limited."""
    return None if capacity is None else max(0, capacity - taken)


@immutable
class State:
    status: str = NEW
    seeker_id: UUID | None = None
    fields: tuple[str, ...] = ()
    time_zone: str | None = None
    capacity: int | None = None
    introduced_by: tuple[UUID, ...] = ()
    taken: Mapping[str, int] = field(default_factory=dict)
    """Month → places taken, for whatever was asked, less those freed."""
    open: Mapping[UUID, Place] = field(default_factory=dict)
    """Interview → the place that its open request holds."""

    def month(self, at: datetime) -> str:
        """The calendar month that `at` falls into where the contact lives."""
        return month_of(at, self.time_zone)

    def free_places(self, at: datetime) -> int | None:
        """Requests that may still be sent in the month of `at`; None: not limited."""
        return places_left(self.capacity, self.taken.get(self.month(at), 0))


def evolve(state: State | None, event: Event) -> State:
    state = state or State()
    state = replace(state, status=MACHINE.next(state.status, event))
    match event:
        case Added():
            return replace(
                state,
                seeker_id=event.seeker_id,
                fields=event.fields or (),
                time_zone=event.time_zone,
                capacity=event.capacity,
                introduced_by=event.introduced_by,
            )
        case DetailsCorrected():
            changes = event.changes
            fields, time_zone = changes.get("fields", state.fields), changes.get("time_zone", state.time_zone)
            return replace(state, fields=fields, time_zone=time_zone)
        case HoursOffered() | CapacityChanged():
            return replace(state, capacity=event.capacity)
        case Asked():
            taken = {**state.taken, event.month: state.taken.get(event.month, 0) + 1}
            # What is asked on top of an open request is not given back with it.
            return replace(state, taken=taken, open={event.interview_id: event, **state.open})
        case PlaceFreed():
            taken = {**state.taken, event.month: max(0, state.taken.get(event.month, 0) - 1)}
            return replace(state, taken=taken, open=_without(state.open, event.interview_id))
        case PlaceUsed():
            return replace(state, open=_without(state.open, event.interview_id))
        case Forgotten():
            return replace(state, fields=())
        case _:
            return state


def _without(places: Mapping[UUID, Place], interview_id: UUID) -> Mapping[UUID, Place]:
    return {interview: place for interview, place in places.items() if interview != interview_id}


def decide(command: Command, state: State | None, context: Context) -> list[Event | On]:
    check_occurrence(context)
    state = state or State()
    event = EVENT_OF[type(command)]
    MACHINE.require(state.status, event)
    match command:
        case Add():
            return [_added(command, context)]
        case CorrectDetails() if not command.model_fields_set:
            raise refusal("nothing_changes", "no detail is given")
        case CorrectDetails():
            return [_corrected(command)]
        case ChangeCapacity() if command.capacity == state.capacity:
            raise refusal("nothing_changes", "the capacity is that already", field="/capacity")
    return [event(**said(command))]


def _corrected(command: CorrectDetails) -> DetailsCorrected:
    details = said(command)
    taken_back = tuple(name for name, value in details.items() if value == "")
    return DetailsCorrected(**details | dict.fromkeys(taken_back) | {"taken_back": taken_back})


def _added(command: Add, context: Context) -> Added:
    if command.seeker_id is not None:
        require_seeker(context, command.seeker_id)
    chain: tuple[UUID, ...] = ()
    if command.introduced_by is not None:
        if command.introduced_by == context.stream.id:
            raise refusal("own_introducer", "the contact is named as their own introducer", field="/introduced_by")
        require_contact(context, command.introduced_by, field="/introduced_by")
        chain = (command.introduced_by,)
        if command.seeker_id is not None:
            chain = chain_through(context, command.seeker_id, command.introduced_by, context.stream.id)
    return Added(**said(command) | {"introduced_by": chain})


def also(command: Command, state: State | None, context: Context) -> list[Stream]:
    if not isinstance(command, Add):
        return []
    seeker_id, introducer = command.seeker_id, command.introduced_by
    streams = [] if seeker_id is None else [Stream("seeker", seeker_id)]
    if introducer is None:
        return streams
    if seeker_id is None:
        return [Stream("contact", introducer)]
    return [*streams, *chain_streams(seeker_id, [introducer])]


DECIDER = Decider("contact", evolve, decide, also)
