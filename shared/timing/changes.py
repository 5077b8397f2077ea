"""What one event did to the timers of a subject: which are new or moved, which are gone, and why."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from uuid import UUID

from shared.domain.kernel import Event
from shared.domain.notification import Cause, Reason, Rule, Withdrawn
from shared.envelope import Recorded
from shared.timing.policies import Policies
from shared.timing.recipient import Recipient
from shared.timing.schedule import clock_of
from shared.timing.subject import Arming, Subject, cause_of
from shared.timing.timers import Timer, fired_timers, standstill


@dataclass(frozen=True, slots=True)
class Changes:
    upserted: tuple[Timer, ...]
    """New ones, and those that moved or whose content changed: the same id, another row."""
    withdrawn: Mapping[UUID, Withdrawn]
    """Those that are gone, by notification id, each with the event to be written as version 1 of its stream."""
    settled: tuple[UUID, ...]
    """Those that are gone because their own event is in the log: their rows go, nothing is written."""


@lru_cache(maxsize=1024)
def _rule(policy: str, version: str) -> Rule:
    return Rule(policy=policy, version=version)


def withdrawal(timer: Timer, reason: Reason, because: str, cause: Cause | None = None) -> Withdrawn:
    """The event that ends a timer without anybody being told."""
    return Withdrawn(
        kind=timer.kind,
        stage=timer.stage,
        rule=_rule(timer.policy, timer.policy_version),
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
        reason=reason,
        because=because,
        cause=cause,
        due_at=timer.due_at,
    )


def changes(
    before: Mapping[UUID, Timer],
    after: Mapping[UUID, Timer],
    subject: Subject | None,
    recipient: Recipient | None,
    policies: Policies,
    e: Recorded[Event],
) -> Changes:
    """Compare the timers before and after `e`; `subject` and `recipient` are those after it."""
    cause = cause_of(e.event_id, e.type, e.position)
    withdrawn: dict[UUID, Withdrawn] = {}
    settled: list[UUID] = []
    for id, timer in before.items():
        if id not in after:
            why = _why_gone(timer, subject, recipient, policies, e)
            if why is None:
                settled.append(id)
            else:
                withdrawn[id] = withdrawal(timer, *why, cause)
    upserted = tuple(timer for id, timer in after.items() if (known := before.get(id)) is not timer and known != timer)
    return Changes(upserted, withdrawn, tuple(settled))


def retractions(
    before: Subject | None,
    after: Subject | None,
    recipient: Recipient | None,
    policies: Policies,
    e: Recorded[Event],
) -> dict[UUID, Withdrawn]:
    """What fell due in rounds that `e` ended, has not expired, and nobody answered: by notification id, the event
    that may follow its `due`, so that services clear what they still hold. `expires_at` ends them in any case."""
    if before is None or recipient is None or not recipient.time_zone:
        return {}
    clock = clock_of(recipient, policies)
    left = {arming.occurrence for arming in after.armings} if after else set()
    cause = cause_of(e.event_id, e.type, e.position)
    found = {}
    for arming in before.armings:
        policy = clock.policies.by_name.get(arming.policy)
        if policy is None or arming.occurrence in left or arming.acknowledged:
            continue
        for timer in fired_timers(before, arming, policy, clock):
            if timer.expires_at > e.recorded_at:
                found[timer.id] = withdrawal(timer, "withdrawn", e.type, cause)
    return found


def _why_gone(
    timer: Timer, subject: Subject | None, recipient: Recipient | None, policies: Policies, e: Recorded[Event]
) -> tuple[Reason, str] | None:
    """Reason and code; None when the timer's own notification is in the log."""
    if subject is None or recipient is None or recipient.left:
        return "withdrawn", e.type
    arming = _round(timer, subject)
    if arming is None:
        again = any(one.policy == timer.policy and one.occurrence == e.event_id for one in subject.armings)
        return ("superseded" if again else "withdrawn"), e.type
    if _is_settled(timer, arming):
        return None
    policy = recipient.policies(policies).by_name.get(timer.policy)
    stands = standstill(subject, arming, policy) if policy else "switched_off"
    if stands is not None:
        return "withdrawn", stands
    if any(snooze.event_id == e.event_id for snooze in arming.snoozes):
        return "superseded", "snoozed"
    return "withdrawn", "switched_off"


def _round(timer: Timer, subject: Subject) -> Arming | None:
    for arming in subject.armings:
        if arming.policy == timer.policy and timer.occurrence in arming.occurrences:
            return arming
    return None


def _is_settled(timer: Timer, arming: Arming) -> bool:
    if timer.occurrence == arming.occurrence:
        return timer.stage in arming.settled
    return any(snooze.settled for snooze in arming.snoozes if snooze.event_id == timer.occurrence)
