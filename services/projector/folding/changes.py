"""What a page of events changes, as values: from the fold, for the store."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from shared.domain.notification import Withdrawn
from shared.immutable import immutable
from shared.timing.timers import Timer

RowId = tuple[str, str, str]
"""Model, tenant, key."""
TimerId = tuple[str, UUID]
"""Tenant, notification id."""
StreamId = tuple[str, UUID]
"""Tenant, stream id."""
EventId = tuple[str, UUID]
"""Tenant, event id."""

OwnerId = tuple[str, str, UUID]
"""Model, tenant, owner."""
ContactId = tuple[str, UUID]
"""Tenant, contact id."""


@immutable
class Checkpoint:
    """All events up to `position` are folded, of the log's timeline `epoch`."""

    position: int
    epoch: int
    turn: int = 0
    """Rises when an operator's tool has changed rows, parked streams or generations beside the fold."""


@immutable
class Parked:
    """A stream whose events wait from `position` on, because folding that one failed in `model`."""

    tenant: str
    stream_id: UUID
    category: str
    position: int
    model: str
    error: str

    @property
    def why(self) -> str:
        """In one line."""
        return f"{self.model}: {' '.join(self.error.split())}"


@immutable
class Ending:
    """What is to be recorded at once, as version 1 of the notification's stream: that nobody will be told."""

    event: Withdrawn
    due_at: datetime
    """When it ended."""


@dataclass(slots=True)
class Changes:
    """What folding some events leads to: the last word on each row and timer; None deletes."""

    rows: dict[RowId, Any] = field(default_factory=dict)
    timers: dict[TimerId, Timer | Ending | None] = field(default_factory=dict)
    parked: dict[StreamId, Parked] = field(default_factory=dict)
    owners: dict[RowId, OwnerId] = field(default_factory=dict)
    """The owners of those rows by whose owner the timers are found."""
    forgotten: set[ContactId] = field(default_factory=set)
    """Contacts of whom nothing may be left, nor in rows that are kept to go back to."""
