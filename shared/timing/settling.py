"""What a timer ends as when its time has come: fired, put off, or ended with a reason."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, time, timedelta
from functools import lru_cache
from uuid import UUID

from shared.domain.notification import Action, Due, Rule, Withdrawn
from shared.timing.calendar import ONE_DAY, instant, wall
from shared.timing.endings import not_asked_for, withdrawal
from shared.timing.policies import Policies
from shared.timing.policy import Policy, Stage
from shared.timing.recipient import Recipient
from shared.timing.schedule import Clock, digested
from shared.timing.timers import Timer, group_key
from shared.zones import zone

_MINUTE = timedelta(minutes=1)
_LAST_TURN = 999_999
"""Microseconds: less than a second."""


@dataclass(frozen=True, slots=True)
class Fire:
    """Tell the recipient: append `event` as version 1 of the notification's stream."""

    event: Due


@dataclass(frozen=True, slots=True)
class Defer:
    """Not now: look again at `until`. Nothing is written."""

    until: datetime
    because: str
    """`not_yet`, `quiet_hours` or `cap_per_day`."""


@dataclass(frozen=True, slots=True)
class End:
    """Nobody is told: append `event` as version 1 of the notification's stream."""

    event: Withdrawn


Settlement = Fire | Defer | End


def settle(
    timer: Timer, now: datetime, recipient: Recipient | None, fired_today: int, policies: Policies
) -> Settlement:
    """Judge one due timer at `now` (the log's clock).

    `recipient` is the seeker's record, also for what goes to a coach. `fired_today` counts what was fired for
    `timer.recipient.id` since the last midnight on that clock (`start_of_day`), this batch included.
    """
    if recipient is None or recipient.left:
        return End(withdrawal(timer, "withdrawn", "seeker.left"))
    if now < timer.due_at:
        return Defer(timer.due_at, "not_yet")
    clock = Clock(recipient, recipient.policies(policies))
    policy = clock.policies.by_name.get(timer.policy)
    stage = next((one for one in policy.stages if one.name == timer.stage), None) if policy else None
    if policy is None or stage is None:
        return End(withdrawal(timer, *not_asked_for(policy, timer.stage)))
    silent = silence(timer, recipient, policy)
    if silent is not None:
        return End(withdrawal(timer, "suppressed", silent))
    if now >= timer.expires_at:
        return End(withdrawal(timer, "expired", "already_past" if timer.too_late else "moment_passed"))
    delay = _delay(timer, now, fired_today, stage, policy, clock)
    return delay or Fire(_due(timer, now, stage, policy, recipient, clock))


def in_turn(until: datetime, due_at: datetime) -> datetime:
    """When to look again at what was due at `due_at` and is put off to `until`: then, or less than a second later, so
    that of all that is put off to one moment, however often it was before, the oldest comes first.

    Each minute of waiting is a microsecond less: room for nearly two years, longer than anything waits.
    """
    if until <= due_at:
        return until
    return until + timedelta(microseconds=max(0, _LAST_TURN - (until - due_at) // _MINUTE))


def without_turn(until: datetime) -> datetime:
    """The moment that was meant, of what `in_turn` made of it: for people, whom the order does not concern."""
    return until.replace(microsecond=0)


@lru_cache(1024)
def start_of_day(time_zone: str, now: datetime) -> datetime:
    """The instant of the last midnight on a recipient's clock, from which `fired_today` counts.

    Kept: many a timer of a batch, which has one `now`, is of one zone.
    """
    tz = zone(time_zone) or zone("UTC")
    assert tz is not None
    return instant(datetime.combine(wall(now, tz).date(), time()), tz)


def silence(timer: Timer, recipient: Recipient, policy: Policy) -> str | None:
    """Why the recipient must not be told, where that is so. A clock that is unknown is no leave to ring at night."""
    if recipient.mutes(policy, timer.recipient.role):
        return "muted"
    if timer.recipient.id is None:
        return "no_coach"
    if zone(recipient.time_zone) is None:
        return "unknown_time_zone"
    return None


def _delay(timer: Timer, now: datetime, fired_today: int, stage: Stage, policy: Policy, clock: Clock) -> Defer | None:
    """Late ones keep out of quiet hours too, always forward: their moment is past."""
    moment = clock.moment(now)
    end = timer.expires_at if policy.expires_with_lead or policy.expires_at_anchor else None
    awake = clock.open_before(stage, moment, end)
    if awake != moment:
        return Defer(awake.instant, "quiet_hours")
    capped = timer.recipient.role == "seeker" and timer.urgency != "high"
    cap = clock.policies.limits.cap_per_day
    # Ties without number must not take the place of what is due for once, day after day.
    if capped and fired_today >= (max(1, cap // 2) if timer.urgency == "low" else cap):
        tomorrow = clock.midnight(moment.local.date() + ONE_DAY)
        if digested(stage, policy, clock):
            digest = clock.next_digest(stage, tomorrow).instant
            if end is None or digest < end:
                return Defer(digest, "cap_per_day")
        return Defer(clock.open_before(stage, tomorrow, end).instant, "cap_per_day")
    return None


def _due(timer: Timer, now: datetime, stage: Stage, policy: Policy, recipient: Recipient, clock: Clock) -> Due:
    expires_at = timer.expires_at
    if stage.late is not None:
        expires_at = min(expires_at, now + (stage.expires_after or policy.expires_after).nominal)
    return Due(
        kind=timer.kind,
        stage=timer.stage,
        rule=Rule(policy=timer.policy, version=timer.policy_version),
        subject=timer.subject,
        subject_id=timer.subject_id,
        occurrence=timer.occurrence,
        recipient=timer.recipient,
        seeker_id=timer.seeker_id,
        contact_ids=timer.contact_ids,
        interview_id=timer.interview_id,
        lead_id=timer.lead_id,
        programme_id=timer.programme_id,
        cancellation_key=timer.cancellation_key,
        dedupe_key=timer.dedupe_key,
        group_key=group_key(timer.recipient, wall(now, clock.tz), recipient.digest),
        due_at=timer.due_at,
        local_due=timer.local_due,
        not_before=timer.not_before,
        expires_at=expires_at,
        late_seconds=int((now - timer.due_at).total_seconds()),
        urgency=timer.urgency,
        topic=timer.topic,
        armed_by=timer.armed_by,
        moved_by=timer.moved_by,
        actions=_actions(timer, policy),
        escalates_to=timer.escalates_to,
    )


def _actions(timer: Timer, policy: Policy) -> tuple[Action, ...]:
    """The policy's commands, each with the stream that it goes to, and what one may do with any notification."""
    streams: dict[str, UUID | None] = {
        "interview": timer.interview_id,
        "lead": timer.lead_id,
        "programme": timer.programme_id,
        "seeker": timer.seeker_id,
        "notification": timer.id,
    }
    if timer.subject == "relationship":
        streams["relationship"] = timer.subject_id
    found = []
    for command in (*policy.actions, "notification.acknowledge", "notification.snooze"):
        category = command.partition(".")[0]
        id = streams.get(category)
        if id is not None:
            found.append(Action(command=command, category=category, id=id))
    return tuple(found)
