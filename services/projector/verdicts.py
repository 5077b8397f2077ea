"""What due timers end as: the pure part of firing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import UUID

import structlog

from shared.codec import encode
from shared.domain.kernel import Event, Stream
from shared.domain.notification import Withdrawn
from shared.log import Append, Pending
from shared.timing.policies import Policies
from shared.timing.recipient import Recipient
from shared.timing.settling import Defer, settle, start_of_day
from shared.timing.timers import RECIPIENT, TIMER

logger = structlog.get_logger(__name__)

BROKEN_PAUSE = timedelta(minutes=10)
"""Until a timer that can't be judged is tried again."""


@dataclass(frozen=True, slots=True)
class Claimed:
    """A due timer with all that judging it takes; see `firing.sql`."""

    tenant: str
    id: UUID
    due_at: datetime
    outcome: str | None
    ending: str | None
    """The event that tells of its end, where that has come."""
    policy: str | None
    """Of the ending."""
    subject: str | None
    """What kind of thing it is about."""
    guards: Sequence[UUID]
    body: str
    checkpoint: int
    epoch: int
    recipient: str | None
    since: datetime | None
    times: int | None
    cause_id: UUID
    correlation_id: UUID


@dataclass(frozen=True, slots=True)
class Verdict:
    """What becomes of one timer: an event to append, or a later time."""

    claimed: Claimed
    outcome: str
    """due, deferred, broken, or the reason why nobody is told."""
    policy: str = ""
    append: Append | None = None
    until: datetime | None = None
    told: tuple[UUID, datetime, int] | None = None
    """Whom, when their day began, and how often by now."""


@dataclass(slots=True)
class Told:
    """How often people were told since their day began: as known so far, and counted on."""

    times: dict[tuple[str, UUID], tuple[datetime, int]] = field(default_factory=dict)

    def know(self, tenant: str, id: UUID, since: datetime, times: int) -> None:
        self.times.setdefault((tenant, id), (since, times))

    def since(self, tenant: str, id: UUID, since: datetime) -> int:
        known = self.times.get((tenant, id))
        return known[1] if known is not None and known[0] == since else 0

    def count(self, tenant: str, id: UUID, since: datetime) -> int:
        times = self.since(tenant, id, since) + 1
        self.times[tenant, id] = (since, times)
        return times


def judge(batch: Sequence[Claimed], now: datetime, policies: Policies) -> list[Verdict]:
    """Judge due timers in their order; what one person is told counts for those after it."""
    told = Told()
    recipients: dict[str | None, Recipient | None] = {None: None}
    verdicts = []
    for claimed in batch:
        try:
            verdict = _judge(claimed, now, policies, told, recipients)
        except Exception as error:
            # One that can't be judged must not keep all others from being fired.
            logger.error("timer can't be judged", id=str(claimed.id), tenant=claimed.tenant, exc_info=error)
            verdict = Verdict(claimed, "broken", until=now + BROKEN_PAUSE)
        verdicts.append(verdict)
    return verdicts


def _judge(
    claimed: Claimed, now: datetime, policies: Policies, told: Told, recipients: dict[str | None, Recipient | None]
) -> Verdict:
    if claimed.ending is not None:
        policy = claimed.policy or ""
        append = _append(claimed, policy, Withdrawn, claimed.ending.encode(), now)
        return Verdict(claimed, claimed.outcome or "", policy, append)
    timer = TIMER.validate_json(claimed.body)
    if claimed.recipient not in recipients:
        assert claimed.recipient is not None
        recipients[claimed.recipient] = RECIPIENT.validate_json(claimed.recipient)
    recipient = recipients[claimed.recipient]
    addressee, zone = timer.recipient.id, timer.recipient.time_zone
    today = start_of_day(zone, now)
    fired_today = 0
    if addressee is not None:
        if claimed.since is not None:
            told.know(claimed.tenant, addressee, claimed.since, claimed.times or 0)
        fired_today = told.since(claimed.tenant, addressee, today)
    settlement = settle(timer, now, recipient, fired_today, policies)
    if isinstance(settlement, Defer):
        return Verdict(claimed, "deferred", timer.policy, until=settlement.until)
    event: Event = settlement.event
    outcome = getattr(event, "reason", "due")
    append = _append(claimed, timer.policy, type(event), encode(event), now)
    counted = None
    if outcome == "due" and addressee is not None:
        counted = (addressee, today, told.count(claimed.tenant, addressee, today))
    return Verdict(claimed, outcome, timer.policy, append, told=counted)


def _append(claimed: Claimed, policy: str, type: type[Event], data: bytes, now: datetime) -> Append:
    """Version 1 of the notification's stream, or nothing: whoever comes second finds it taken."""
    stream = Stream("notification", claimed.id)
    return Append(
        tenant=claimed.tenant,
        command_id=claimed.id,
        events=[Pending(stream, type.type, type.schema_version, data)],
        expected={stream: 0},
        occurred_at=now,
        correlation_id=claimed.correlation_id,
        causation_id=claimed.cause_id,
        actor=f"policy:{policy}",
    )
