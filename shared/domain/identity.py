"""Ids that follow from others, so that nobody has to look them up or can make two for one thing."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from hashlib import sha1
from uuid import UUID, uuid5

_RELATIONSHIP = UUID("6c1d1f0e-6a3b-5d55-9a0b-7b0f5f5f3a01")
_NOTIFICATION = UUID("6c1d1f0e-6a3b-5d55-9a0b-7b0f5f5f3a02")


@lru_cache(maxsize=8192)
def relationship_id(seeker_id: UUID, contact_id: UUID) -> UUID:
    """The one relationship of a seeker with a contact."""
    return uuid5(_RELATIONSHIP, f"{seeker_id}:{contact_id}")


def notification_id(policy: str, subject_id: UUID, occurrence: UUID, stage: str) -> UUID:
    """The one notification of a policy's stage for an occurrence (the event that armed it) of a subject.

    It names the notification's stream, whose version 1 only one append can write: the permanent dedupe key.
    """
    (id,) = notification_ids(policy, subject_id, occurrence, (stage,))
    return id


def notification_ids(policy: str, subject_id: UUID, occurrence: UUID, stages: Iterable[str]) -> list[UUID]:
    """`notification_id` of several stages: version 5 UUIDs, of which what they have in common is hashed once."""
    common = sha1(_NOTIFICATION.bytes + f"{policy}:{subject_id}:{occurrence}:".encode(), usedforsecurity=False)
    found = []
    for stage in stages:
        one = common.copy()
        one.update(stage.encode())
        found.append(UUID(bytes=one.digest()[:16], version=5))
    return found


def event_id(command_id: UUID, ordinal: int) -> UUID:
    """The id of the n-th event (from 0) of a command: repeating the command can't make others."""
    return uuid5(command_id, str(ordinal))
