"""Where new ids enter. Everything else receives them."""

from __future__ import annotations

from uuid import UUID, uuid4, uuid5

_KEYS = UUID("6c1d1f0e-6a3b-5d55-9a0b-7b0f5f5f3a03")


def new_id() -> UUID:
    return uuid4()


def command_id_of(key: str) -> UUID:
    """The command id for a caller's idempotency key: the key itself where it is a UUID, else one derived from it."""
    try:
        return UUID(key)
    except ValueError:
        return uuid5(_KEYS, key)
