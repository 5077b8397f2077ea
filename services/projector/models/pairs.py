"""What lies between a seeker and a contact: its id, and that as the key of a row.

Both are remembered, since each event of a pair asks for them several times, and a hash for an id takes longer than
folding a row.
"""

from __future__ import annotations

from functools import lru_cache
from uuid import UUID

from shared.domain import identity

_REMEMBERED = 65_536


@lru_cache(maxsize=_REMEMBERED)
def relationship_id(seeker_id: UUID, contact_id: UUID) -> UUID:
    """`shared.domain.identity.relationship_id`, remembered."""
    return identity.relationship_id(seeker_id, contact_id)


@lru_cache(maxsize=_REMEMBERED)
def pair(seeker_id: UUID, contact_id: UUID) -> str:
    """The relationship's id as text."""
    return str(relationship_id(seeker_id, contact_id))
