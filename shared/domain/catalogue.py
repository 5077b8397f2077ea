"""Every category, event, command and decider there is: importing this module completes `EVENTS` and `COMMANDS`."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from shared.domain import contact, interview, lead, notification, programme, relationship, seeker
from shared.domain.identity import relationship_id
from shared.domain.kernel import COMMANDS, EVENTS, Command, Decider, Event, Machine
from shared.timing.policies import Policies

DECIDERS: dict[str, Decider[Any]] = {
    decider.category: decider
    for decider in (
        seeker.DECIDER,
        contact.DECIDER,
        relationship.DECIDER,
        interview.DECIDER,
        lead.DECIDER,
        programme.DECIDER,
        notification.DECIDER,
    )
}
"""Category → how its streams live, where no tenant changes the timing policies of this release."""

MACHINES: tuple[Machine, ...] = (
    seeker.MACHINE,
    contact.MACHINE,
    relationship.MACHINE,
    relationship.INTRODUCTION,
    interview.MACHINE,
    lead.MACHINE,
    programme.MACHINE,
    programme.MATCH,
    notification.MACHINE,
)
"""Every state machine, those of parts of a stream after the stream's own."""

EVENT_OF: dict[type[Command], type[Event]] = {
    command: event for machine in MACHINES for command, event in machine.commands.items()
}
"""Command → the event that it is about. What follows from it on other streams, or from what is in it, is not told."""

CATEGORIES = tuple(DECIDERS)


def deciders(policies: Policies) -> dict[str, Decider[Any]]:
    """`DECIDERS` where tenants change what `policies` say, which a seeker's own settings are judged by."""
    return {**DECIDERS, seeker.DECIDER.category: seeker.decider(policies)}


def stream_id_of(command: Command) -> UUID | None:
    """The id of the stream that a command must be sent to, where its body decides that; else None."""
    if isinstance(command, relationship.RelationshipCommand):
        return relationship_id(command.seeker_id, command.contact_id)
    return None


__all__ = ["CATEGORIES", "COMMANDS", "DECIDERS", "EVENTS", "EVENT_OF", "MACHINES", "deciders", "stream_id_of"]
