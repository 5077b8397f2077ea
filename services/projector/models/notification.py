"""Read model `notification`: what a person was told, or was not and why; one row a notification, by its id.

The past of the notification schedule. What is still pending stands in the timers, which readers see beside it. A
notification to a coach has a second row, `<id>/coach`, by which the coach finds it. An event that ends several stages
of a round together makes the rows of all of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID, uuid5

from services.projector.folding.read_model import Filed, ReadModel
from shared.domain import notification
from shared.domain.kernel import Event
from shared.envelope import Recorded
from shared.immutable import immutable
from shared.replacing import replace


@immutable
class NotificationRow:
    notification_id: UUID
    for_coach: bool
    """Whether it is the row by which the coach finds it, or that by which the seeker does whom it is about."""
    seeker_id: UUID
    recipient_id: UUID | None
    role: str
    """seeker or coach."""
    kind: str
    stage: str
    policy: str
    policy_version: str
    subject: str
    subject_id: UUID
    contact_ids: tuple[UUID, ...]
    interview_id: UUID | None
    lead_id: UUID | None
    programme_id: UUID | None
    state: str
    """due, delivered, failed, escalated, acknowledged, snoozed; or why nobody was told: expired, suppressed,
    withdrawn, superseded."""
    recorded_at: datetime
    """When it fell due, or was found needless; does not change any more."""
    due_at: datetime | None = None
    expires_at: datetime | None = None
    late_seconds: int | None = None
    urgency: str | None = None
    topic: str | None = None
    group_key: str | None = None
    armed_by: str | None = None
    """The type of the event that armed it, and its id."""
    armed_by_event_id: UUID | None = None
    because: str | None = None
    """Why nobody was told: a code, or the type of the event that made it needless."""
    because_event_id: UUID | None = None
    channel: str | None = None
    how: str | None = None
    """How the recipient took note of it, last: seen, which changes nothing else, acted_on or dismissed."""
    snoozed_until: datetime | None = None
    coach_id: UUID | None = None
    """To whom it was escalated."""
    changed_at: datetime | None = None


COACH = "/coach"


def coachs_list(coach_id: UUID) -> UUID:
    """What the rows of a coach are filed under: not the coach's id, which may be a seeker's, too."""
    return uuid5(coach_id, "what a coach was told")


Fold = Callable[[NotificationRow, Recorded[Any]], NotificationRow]


class _Told(NamedTuple):
    """Which notification a row is of, and who was to be told."""

    id: UUID
    stage: str
    role: str
    recipient_id: UUID | None

    @property
    def keys(self) -> tuple[str, ...]:
        key = str(self.id)
        return (key,) if self.role == "seeker" or self.recipient_id is None else (key, key + COACH)


def _told(e: Recorded[Any]) -> Iterator[_Told]:
    """The notifications that an event tells of: the one whose stream it is on first."""
    data: notification.NotificationEvent = e.data
    yield _Told(e.stream_id, data.stage, data.recipient.role, data.recipient.id)
    if isinstance(data, notification.Withdrawn):
        for other in data.others:
            yield _Told(other.id, other.stage, other.role, other.recipient_id)


def _begun(key: str, e: Recorded[Any]) -> NotificationRow:
    data: notification.NotificationEvent = e.data
    told = next(each for each in _told(e) if key in each.keys)
    return NotificationRow(
        notification_id=told.id,
        for_coach=key.endswith(COACH),
        seeker_id=data.seeker_id,
        recipient_id=told.recipient_id,
        role=told.role,
        kind=data.kind,
        stage=told.stage,
        policy=data.rule.policy,
        policy_version=data.rule.version,
        subject=data.subject,
        subject_id=data.subject_id,
        contact_ids=data.contact_ids,
        interview_id=data.interview_id,
        lead_id=data.lead_id,
        programme_id=data.programme_id,
        state="due",
        recorded_at=e.recorded_at,
    )


def _due(row: NotificationRow, e: Recorded[notification.Due]) -> NotificationRow:
    data = e.data
    return replace(
        row,
        due_at=data.due_at,
        expires_at=data.expires_at,
        late_seconds=data.late_seconds,
        urgency=data.urgency,
        topic=data.topic,
        group_key=data.group_key,
        armed_by=data.armed_by.type,
        armed_by_event_id=data.armed_by.event_id,
    )


def _withdrawn(row: NotificationRow, e: Recorded[notification.Withdrawn]) -> NotificationRow:
    data = e.data
    return replace(
        row,
        state=data.reason,
        due_at=row.due_at or data.due_at,
        because=data.because,
        because_event_id=data.cause.event_id if data.cause else None,
    )


def _delivered(row: NotificationRow, e: Recorded[notification.Delivered]) -> NotificationRow:
    return replace(row, state="delivered", channel=e.data.channel)


def _failed(row: NotificationRow, e: Recorded[notification.Failed]) -> NotificationRow:
    return replace(row, state="failed", channel=e.data.channel, because=e.data.why)


def _escalated(row: NotificationRow, e: Recorded[notification.Escalated]) -> NotificationRow:
    return replace(row, state="escalated", coach_id=e.data.coach_id)


def _acknowledged(row: NotificationRow, e: Recorded[notification.Acknowledged]) -> NotificationRow:
    return replace(row, state=notification.MACHINE.next(row.state, e.data), how=e.data.how)


def _snoozed(row: NotificationRow, e: Recorded[notification.Snoozed]) -> NotificationRow:
    return replace(row, state="snoozed", snoozed_until=e.data.until)


FOLDS: dict[type[Event], Fold] = {
    notification.Due: _due,
    notification.Withdrawn: _withdrawn,
    notification.Delivered: _delivered,
    notification.Failed: _failed,
    notification.Escalated: _escalated,
    notification.Acknowledged: _acknowledged,
    notification.Snoozed: _snoozed,
}


class Notifications(ReadModel[NotificationRow]):
    name = "notification"
    version = 3
    folds = FOLDS.keys()
    row = NotificationRow

    def keys(self, e: Recorded[Any]) -> Iterable[str]:
        if type(e.data) not in FOLDS:
            return ()
        return [key for told in _told(e) for key in told.keys]

    def evolve(self, key: str, row: NotificationRow | None, e: Recorded[Event]) -> NotificationRow | None:
        row = FOLDS[type(e.data)](row or _begun(key, e), e)
        return replace(row, changed_at=e.recorded_at)

    def file(self, row: NotificationRow) -> Filed:
        owner = coachs_list(row.recipient_id) if row.for_coach and row.recipient_id else row.seeker_id
        return Filed(owner=owner, state=row.state, sort=row.recorded_at)
