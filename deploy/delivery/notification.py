"""What this service reads of the events, and keeps of them: ids, and no word of anybody's."""

from __future__ import annotations

from typing import Literal
from uuid import UUID

from pydantic import AwareDatetime, BaseModel

from shared.client import CloudEvent

UNDELIVERED_IS_NEEDLESS = ("withdrawn", "superseded")
"""Reasons of a withdrawal that concern what fell due already; the others tell why something never did."""


class Recipient(BaseModel):
    id: UUID | None = None
    role: Literal["seeker", "coach"]


class Due(BaseModel):
    """Of `notification.due`."""

    kind: str
    stage: str
    urgency: Literal["low", "normal", "high"]
    recipient: Recipient
    seeker_id: UUID
    contact_ids: tuple[UUID, ...] = ()
    interview_id: UUID | None = None
    lead_id: UUID | None = None
    dedupe_key: str
    group_key: str
    cancellation_key: str
    expires_at: AwareDatetime


class Withdrawn(BaseModel):
    """Of `notification.withdrawn`, whichever stages it names: all of an occurrence share its key."""

    cancellation_key: str
    reason: str


class Acknowledged(BaseModel):
    """Of `notification.acknowledged`."""

    cancellation_key: str
    how: str
    """`seen`, which changes nothing, `acted_on` or `dismissed`."""


class Notification(BaseModel):
    """One thing that one person is to be told once."""

    tenant: str
    id: UUID
    epoch: int
    position: int
    recorded_at: AwareDatetime
    due: Due

    @classmethod
    def of(cls, event: CloudEvent) -> Notification:
        """Raises `Park`."""
        due = event.read(Due)
        return cls(
            tenant=event.tenant,
            id=event.subject,
            epoch=event.epoch,
            position=event.position,
            recorded_at=event.recorded_at,
            due=due,
        )

    @property
    def key(self) -> str:
        """Permanent: what has the same is the same notification."""
        return f"{self.tenant}/{self.due.dedupe_key}"

    @property
    def group(self) -> str:
        """Shared by what may go to one person in one mail."""
        return f"{self.tenant}/{self.due.group_key}"
