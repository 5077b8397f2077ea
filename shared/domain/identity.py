"""Ids that follow from others, so that nobody has to look them up or can make two for one thing."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from hashlib import sha1
from uuid import UUID

_RELATIONSHIP = UUID("6c1d1f0e-6a3b-5d55-9a0b-7b0f5f5f3a01")
_NOTIFICATION = UUID("6c1d1f0e-6a3b-5d55-9a0b-7b0f5f5f3a02")
_VERSION_AND_VARIANT = 0x5000_8000000000000000
_OTHER_BITS = (1 << 128) - 1 ^ 0xF000_C000000000000000
REMEMBERED = 4096
"""Relationships whose ids are remembered: more than the events of a page, or of a group commit, are about. To make one
again costs a few hundredths of what folding its event does; to remember it, most of a kilobyte for as long as one runs.
"""


@lru_cache(REMEMBERED)
def relationship_id(seeker_id: UUID, contact_id: UUID) -> UUID:
    """The one relationship of a seeker with a contact."""
    return _version_5(sha1(_RELATIONSHIP.bytes + f"{seeker_id}:{contact_id}".encode(), usedforsecurity=False).digest())


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
        found.append(_version_5(one.digest()))
    return found


def event_id(command_id: UUID, ordinal: int) -> UUID:
    """The id of the n-th event (from 0) of a command: repeating the command can't make others."""
    return _version_5(sha1(command_id.bytes + b"%d" % ordinal, usedforsecurity=False).digest())


def _version_5(digest: bytes) -> UUID:
    """What `uuid5` makes of a SHA-1 digest, in half the time: every event's id is made so."""
    return UUID(int=int.from_bytes(digest[:16]) & _OTHER_BITS | _VERSION_AND_VARIANT)
