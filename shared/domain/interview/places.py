"""The contact's goodwill: places of the month, which interviews take, give back or use up (rule 4).

All seekers of a tenant share them. What takes a place, and what it needs:

| what | takes | needs a free place |
| --- | --- | --- |
| a request | one, given back when it is declined, lapses, is cancelled in time or goes on without them | yes |
| a follow-up | one, for good | no: there are two at most |
| another time by the seeker's wish | one, for good, or the request's anew; after calling it off, both | only anew |
| another time by the contact's wish, a late yes | the request's anew where it was given back or used | no |
| a conversation, or a seeker who does not come | the request's, for good | no |

So whoever is followed up, put off or kept waiting is asked less by everybody else that month. Places are counted on the
contact's own stream, in the same transaction, so that two seekers who ask for the last one at the same moment can't
both get it.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Literal
from uuid import UUID

from shared.domain import contact
from shared.domain.interview.machine import State
from shared.domain.kernel import Context, On, Stream
from shared.domain.people import is_reachable, require_contact, require_reachable
from shared.domain.refusals import refusal


def take(context: Context, state: State) -> list[On]:
    """Ask the contacts. Refuse what would burden them: no wish to be asked, no place left, another open request."""
    for contact_id in state.contact_ids:
        _check_place(context, state.seeker_id, contact_id)
    return _asked(context, state)


def take_again(context: Context, state: State, *, welcome: bool) -> list[On]:
    """Ask those again whose place was given back or used. `welcome`: they wish it themselves, and may exceed."""
    without = [each for each in state.contact_ids if not _holds(context, each)]
    for contact_id in without:
        if welcome:
            require_contact(context, contact_id, field="/contact_ids")
        else:
            _check_place(context, state.seeker_id, contact_id)
    return _asked(context, state, without)


def spend(context: Context, state: State, why: contact.Asking, taken: Collection[UUID] = ()) -> list[On]:
    """More is asked of those whose place is held, or `taken` at the same time, but for who is to be left in peace: it
    counts, and is not given back."""
    held = [each for each in state.contact_ids if each in taken or _holds(context, each)]
    return _asked(context, state, [each for each in held if is_reachable(context, each)], why)


def free(context: Context, contact_ids: Collection[UUID], why: Literal["declined", "lapsed", "cancelled"]) -> list[On]:
    """Give back the places that are held."""
    return [
        On(Stream("contact", contact_id), contact.PlaceFreed(**_place(context, contact_id), why=why))
        for contact_id in contact_ids
        if _holds(context, contact_id)
    ]


def use(
    context: Context, contact_ids: Collection[UUID], why: Literal["held", "missed"], minutes: int | None = None
) -> list[On]:
    """The contacts gave their time, or waited in vain."""
    return [
        On(
            Stream("contact", contact_id),
            contact.PlaceUsed(**_place(context, contact_id), why=why, minutes=minutes),
        )
        for contact_id in contact_ids
        if _holds(context, contact_id)
    ]


def _check_place(context: Context, seeker_id: UUID, contact_id: UUID) -> None:
    person: contact.State = require_reachable(context, contact_id, field="/contact_ids")
    for interview_id, place in person.open.items():
        if place.seeker_id == seeker_id and interview_id != context.stream.id:
            raise refusal(
                "request_already_open",
                f"contact {contact_id} has an open request of this seeker",
                field="/contact_ids",
                interview_id=interview_id,
            )
    if person.free_places(context.at) == 0:
        raise refusal(
            "contact_at_capacity",
            f"contact {contact_id} takes {person.capacity} requests a month, all taken in {person.month(context.at)}",
            field="/contact_ids",
        )


def _holds(context: Context, contact_id: UUID) -> bool:
    person: contact.State | None = context.other("contact", contact_id)
    return person is not None and context.stream.id in person.open


def _place(context: Context, contact_id: UUID) -> dict[str, object]:
    place = context.other("contact", contact_id).open[context.stream.id]
    return {"seeker_id": place.seeker_id, "interview_id": place.interview_id, "month": place.month}


def _asked(
    context: Context, state: State, contact_ids: list[UUID] | None = None, why: contact.Asking = "request"
) -> list[On]:
    return [
        On(
            Stream("contact", contact_id),
            contact.Asked(
                seeker_id=state.seeker_id,
                interview_id=context.stream.id,
                month=context.other("contact", contact_id).month(context.at),
                why=why,
            ),
        )
        for contact_id in (state.contact_ids if contact_ids is None else contact_ids)
    ]
