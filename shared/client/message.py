"""A message on its way: what it brings, and where it goes when it can't be handled now."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

REPLAY = "replay"
"""Header of a message that is meant to be handled although its position is behind the mark; it does not move it. It
makes nobody handle what no pattern matches: whoever replays may have named too much, such as all tenants' events."""
REASON = "reason"
"""Header of a parked message, and of no other: why it was."""
ABANDONED = "abandoned"
"""Reason of what a restore of the log undid."""
ATTEMPTS = "attempts"
"""Header of a message that comes again: attempts so far."""


@dataclass(frozen=True, slots=True)
class Incoming:
    """A message, or a line of the history feed."""

    body: bytes
    headers: Mapping[str, Any] = field(default_factory=dict)

    @property
    def deliveries(self) -> int:
        """How often the broker has had it back without an answer."""
        count = self.headers.get("x-delivery-count", 0)
        return count if isinstance(count, int) else 0


class Ends(Protocol):
    """Where messages go that can't be handled now. Both return when that is certain, and may be called twice."""

    async def retry(self, message: Incoming, attempts: int, error: str) -> None:
        """It is to come again, after the delay that belongs to that many attempts."""
        ...

    async def park(self, message: Incoming, attempts: int, reason: str, error: str) -> None:
        """It stays, until somebody looks."""
        ...
