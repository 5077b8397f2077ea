"""What lies between a seeker and a contact: its id as the key of a row.

It is remembered, since each event of a pair asks for it several times, and a hash for an id takes longer than folding
a row.
"""

from __future__ import annotations

from functools import lru_cache
from uuid import UUID

from shared.domain.identity import REMEMBERED, relationship_id


@lru_cache(REMEMBERED)
def pair(seeker_id: UUID, contact_id: UUID) -> str:
    """The relationship's id as text."""
    return str(relationship_id(seeker_id, contact_id))
