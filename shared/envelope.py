"""The envelope of a recorded event, field by field: what the log stores and every reader gets."""

from __future__ import annotations

from datetime import datetime
from typing import Generic, TypeVar
from uuid import UUID

from shared.domain.kernel import Stream
from shared.immutable import immutable

D = TypeVar("D", covariant=True)
E = TypeVar("E")


@immutable
class Recorded(Generic[D]):
    """One event of the log. `Recorded[bytes]` holds its stored payload, `Recorded[Event]` the decoded one."""

    position: int
    """Place in the whole log: 1, 2, 3 … without gaps, in the order of commit."""
    epoch: int
    """Timeline of the log; raised when the database was restored to an earlier point and history forked."""
    tenant: str
    category: str
    """Kind of stream: seeker, contact, relationship, interview, lead, programme, notification."""
    stream_id: UUID
    version: int
    """Place in its stream: 1, 2, 3 … without holes."""
    event_id: UUID
    type: str
    """Stored type, such as `interview.held`; never a class name."""
    schema_version: int
    occurred_at: datetime
    """When it happened outside, as the caller said."""
    recorded_at: datetime
    """When it was written down, by the database's clock."""
    actor: str
    """Who asked for it, such as `seeker:<id>`, `coach:<id>`, `policy:thank_you` or `unknown`."""
    command_id: UUID
    correlation_id: UUID
    """Shared by all that follows from one first cause."""
    causation_id: UUID
    """The command or event that directly caused this."""
    data: D

    @property
    def stream(self) -> Stream:
        return Stream(self.category, self.stream_id)

    def holding(self, data: E) -> Recorded[E]:
        """The same envelope around another form of its payload."""
        # Written out: every event that is read passes here, and `dataclasses.replace` takes four times as long.
        return Recorded(
            self.position,
            self.epoch,
            self.tenant,
            self.category,
            self.stream_id,
            self.version,
            self.event_id,
            self.type,
            self.schema_version,
            self.occurred_at,
            self.recorded_at,
            self.actor,
            self.command_id,
            self.correlation_id,
            self.causation_id,
            data,
        )
