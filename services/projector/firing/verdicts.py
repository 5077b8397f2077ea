"""What due timers end as: the pure part of firing."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import NamedTuple
from uuid import UUID

import structlog

from shared.codec import encode
from shared.domain.kernel import Event, Stream
from shared.domain.notification import Withdrawn
from shared.log.appending import Append, Pending
from shared.timing.policies import Policies
from shared.timing.recipient import Recipient
from shared.timing.settling import Defer, Settlement, in_turn, settle, start_of_day
from shared.timing.timers import RECIPIENT, TIMER

logger = structlog.get_logger(__name__)

BROKEN_PAUSE = timedelta(minutes=10)
"""Until a timer that can't be judged is tried again."""


@dataclass(frozen=True, slots=True)
class Claimed:
    """A due timer with all that judging it takes; see `firing.sql`."""

    tenant: str
    id: UUID
    subject_id: UUID
    seeker_id: UUID
    due_at: datetime
    outcome: str | None
    ending: str | None
    """The event that tells of its end, where that has come."""
    policy: str | None
    """Of the ending."""
    subject: str | None
    """What kind of thing it is about."""
    role: str | None
    """Of whom it tells: seeker or coach."""
    guards: Sequence[UUID]
    body: str
    checkpoint: int
    epoch: int
    recipient: str | None
    ahead: int
    """How many older ones of the seeker's were put off to the moment at which it is due: they go first."""
    cause_id: UUID | None
    """The event that armed it or, with an outcome, brought it about."""
    correlation_id: UUID | None
    now: datetime
    """When it was claimed, by the one clock of firing."""


class Addressee(NamedTuple):
    """A seeker who is told, on one day of theirs: from one midnight on their clock to the next."""

    tenant: str
    id: UUID
    today: datetime
    """When their day began."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What becomes of one timer: an event to append, or a later time."""

    claimed: Claimed
    outcome: str
    """due, deferred, broken, or the reason why nobody is told."""
    policy: str = ""
    append: Append | None = None
    until: datetime | None = None
    tells: Addressee | None = None
    again: Callable[[int], datetime | None] | None = None
    """Until when it is put off, if it is, when its addressee was told so often today."""


def judge(
    batch: Sequence[Claimed], policies: Policies, recipients: dict[str | None, Recipient | None]
) -> list[Verdict]:
    """Judge due timers, each as though nobody had been told anything today; see `counted`.

    `recipients` keeps what was read of them, by their JSON.
    """
    return [_guarded(claimed, partial(_judge, claimed, policies, recipients)) for claimed in batch]


def counted(verdicts: Sequence[Verdict], times: dict[Addressee, int]) -> list[Verdict]:
    """The verdicts with how often each addressee was told today, in their order; `times` is counted on."""
    return [_guarded(verdict.claimed, partial(_counted, verdict, times)) for verdict in verdicts]


def _guarded(claimed: Claimed, verdict: Callable[[], Verdict]) -> Verdict:
    try:
        return verdict()
    except Exception as error:
        # One that can't be judged must not keep all others from being fired.
        logger.error("timer can't be judged", id=str(claimed.id), tenant=claimed.tenant, exc_info=error)
        return Verdict(claimed, "broken", until=claimed.now + BROKEN_PAUSE)


def _counted(verdict: Verdict, times: dict[Addressee, int]) -> Verdict:
    if verdict.tells is None:
        return verdict
    told = times.get(verdict.tells, 0)
    taken = told + verdict.claimed.ahead
    if taken and verdict.again is not None and (until := verdict.again(taken)) is not None:
        return Verdict(verdict.claimed, "deferred", verdict.policy, until=until)
    times[verdict.tells] = told + 1
    return verdict


def _judge(claimed: Claimed, policies: Policies, recipients: dict[str | None, Recipient | None]) -> Verdict:
    now = claimed.now
    if claimed.ending is not None:
        policy = claimed.policy or ""
        append = _append(claimed, policy, Withdrawn, claimed.ending.encode())
        return Verdict(claimed, claimed.outcome or "", policy, append)
    timer = TIMER.validate_json(claimed.body)
    if claimed.recipient not in recipients:
        assert claimed.recipient is not None
        recipients[claimed.recipient] = RECIPIENT.validate_json(claimed.recipient)
    recipient = recipients[claimed.recipient]

    def settled(fired_today: int) -> Settlement:
        return settle(timer, now, recipient, fired_today, policies)

    def until(settlement: Settlement) -> datetime | None:
        return in_turn(settlement.until, timer.due_at) if isinstance(settlement, Defer) else None

    settlement = settled(0)
    if isinstance(settlement, Defer):
        return Verdict(claimed, "deferred", timer.policy, until=until(settlement))
    event: Event = settlement.event
    outcome = getattr(event, "reason", "due")
    append = _append(claimed, timer.policy, type(event), encode(event))
    tells = None
    if outcome == "due" and timer.recipient.role == "seeker" and timer.recipient.id is not None:
        tells = Addressee(claimed.tenant, timer.recipient.id, start_of_day(timer.recipient.time_zone, now))
    return Verdict(claimed, outcome, timer.policy, append, tells=tells, again=lambda told: until(settled(told)))


def _append(claimed: Claimed, policy: str, type: type[Event], data: bytes) -> Append:
    """Version 1 of the notification's stream, or nothing: whoever comes second finds it taken."""
    if claimed.cause_id is None or claimed.correlation_id is None:
        raise LookupError("the event that armed the timer, or ended it, is not in the log")
    stream = Stream("notification", claimed.id)
    return Append(
        tenant=claimed.tenant,
        command_id=claimed.id,
        events=[Pending(stream, type.type, type.schema_version, data)],
        expected={stream: 0},
        occurred_at=claimed.now,
        correlation_id=claimed.correlation_id,
        causation_id=claimed.cause_id,
        actor=f"policy:{policy}",
    )
