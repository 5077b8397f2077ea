"""Seekers and contacts as other streams need them: that they are there, may be asked, and who introduced whom."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any
from uuid import UUID

from shared.domain.identity import relationship_id
from shared.domain.kernel import Command, Context, Stream
from shared.domain.personal import told_about
from shared.domain.refusals import refusal

LONGEST_CHAIN = 20
"""Hops of introductions that are remembered."""
MOST_INTRODUCERS = 20 * LONGEST_CHAIN
"""To all who take part in one conversation, of whom there are 20 at most."""


def require_seeker(context: Context, seeker_id: UUID, *, field: str | None = "/seeker_id") -> None:
    """Refuse `unknown_seeker` or `seeker_left`."""
    seeker = context.other("seeker", seeker_id)
    if seeker is None:
        raise refusal("unknown_seeker", f"there is no seeker {seeker_id}", field=field)
    if seeker.status == "left":
        raise refusal("seeker_left", f"seeker {seeker_id} has left", field=field)


def require_contact(context: Context, contact_id: UUID, *, field: str = "/contact_id") -> Any:
    """The contact's state. Refuse `unknown_contact` or `contact_forgotten`."""
    state = context.other("contact", contact_id)
    if state is None:
        raise refusal("unknown_contact", f"there is no contact {contact_id}", field=field)
    if state.status == "forgotten":
        raise refusal("contact_forgotten", f"contact {contact_id} was forgotten", field=field)
    return state


def require_reachable(context: Context, contact_id: UUID, *, field: str = "/contact_id") -> Any:
    """Like `require_contact`; refuse also `contact_asked_not_to_be_contacted`."""
    state = require_contact(context, contact_id, field=field)
    if state.status == "do_not_contact":
        raise refusal(
            "contact_asked_not_to_be_contacted", f"contact {contact_id} asked not to be contacted", field=field
        )
    return state


def is_reachable(context: Context, contact_id: UUID) -> bool:
    """Whether `require_reachable` accepts the contact."""
    state = context.other("contact", contact_id)
    return state is not None and state.status not in {"forgotten", "do_not_contact"}


def require_lead(context: Context, lead_id: UUID, seeker_id: UUID) -> Any:
    """The state of a lead of this seeker's. Refuse `unknown_lead` or `not_of_this_seeker`."""
    lead = context.other("lead", lead_id)
    if lead is None:
        raise refusal("unknown_lead", f"there is no lead {lead_id}", field="/lead_id")
    if lead.seeker_id != seeker_id:
        raise refusal("not_of_this_seeker", "the lead is another seeker's", field="/lead_id")
    return lead


def require_remembered(context: Context, command: Command, contact_ids: Iterable[UUID]) -> None:
    """Refuse `contact_forgotten` when the command says something about contacts who were all forgotten."""
    told = told_about(command, "contact")
    if told and all(context.other("contact", each).status == "forgotten" for each in contact_ids):
        raise refusal("contact_forgotten", "all whom this is about were forgotten", field=f"/{told[0]}")


def told_streams(command: Command, contact_ids: Iterable[UUID]) -> list[Stream]:
    """The streams that `require_remembered` reads."""
    return [Stream("contact", each) for each in contact_ids] if told_about(command, "contact") else []


def chain_streams(seeker_id: UUID, contact_ids: Iterable[UUID]) -> list[Stream]:
    """The streams that `chain` reads."""
    return [
        stream
        for contact_id in contact_ids
        for stream in (
            Stream("contact", contact_id),
            Stream("relationship", relationship_id(seeker_id, contact_id)),
        )
    ]


def chain(context: Context, seeker_id: UUID, contact_ids: Sequence[UUID]) -> tuple[UUID, ...]:
    """The contacts through whom a seeker came to some contacts, nearest first, each once.

    An introduction made to this seeker counts before what was said when the seeker added the contact. How another
    seeker came to the same contact is another story.
    """
    hops: dict[UUID, None] = {}
    for contact_id in contact_ids:
        tie = context.other("relationship", relationship_id(seeker_id, contact_id))
        person = context.other("contact", contact_id)
        if tie is not None and tie.introduced_by:
            hops |= dict.fromkeys(tie.introduced_by)
        elif person is not None and person.seeker_id == seeker_id:
            hops |= dict.fromkeys(person.introduced_by)
    return tuple(each for each in hops if each not in contact_ids)


def chain_through(context: Context, seeker_id: UUID, connector_id: UUID | None, contact_id: UUID) -> tuple[UUID, ...]:
    """The chain to `contact_id` when `connector_id` introduced the seeker: the connector and who led to them."""
    if connector_id is None:
        return ()
    before = chain(context, seeker_id, [connector_id])
    return tuple(each for each in (connector_id, *before) if each != contact_id)[:LONGEST_CHAIN]
