"""What one event ends of a subject's reminders without anybody being told, and why.

It follows from the facts before and after the event alone: when the reminders would have been due plays no part, but
for what a snooze stands for.
"""

from __future__ import annotations

from functools import lru_cache
from operator import attrgetter
from typing import NamedTuple
from uuid import UUID

from shared.domain.identity import notification_ids
from shared.domain.kernel import Event
from shared.domain.notification import Cause, Due, Reason, Rule, Untold, Withdrawn
from shared.domain.values import EARLIEST, LATEST
from shared.envelope import Recorded
from shared.timing.policies import Policies
from shared.timing.policy import Policy, Stage
from shared.timing.recipient import Recipient
from shared.timing.subject import Arming, Subject, cause_of
from shared.timing.timers import Timer, addressee, cancellation_key, standstill, waiting, whom

_OF_EVERY_ROUND = attrgetter("held", "closed", "contact_ids", "cadence_days", "until")


class Facts(NamedTuple):
    """What the reminders of a subject follow from."""

    subject: Subject | None
    recipient: Recipient | None


@lru_cache(maxsize=1024)
def _rule(policy: str, version: str) -> Rule:
    return Rule(policy=policy, version=version)


def withdrawal(timer: Timer, reason: Reason, because: str) -> Withdrawn:
    """The event that ends one timer whose moment has come without anybody being told."""
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
        due_at=timer.due_at if EARLIEST <= timer.due_at <= LATEST else None,
    )


def not_asked_for(policy: Policy | None, stage: str) -> tuple[Reason, str]:
    """Reason and code of a stage that is not pending any more although its round stands; None: there is no such policy.

    Where only a stage is switched off, nothing else of its round becomes needless: what fell due of that shares its
    key, the coach's too. So it is where the stage has come to lie before the end of a snooze, which stands for it.
    """
    if policy is None or not policy.enabled:
        return "withdrawn", "switched_off"
    if any(one.name == stage and one.enabled for one in policy.stages):
        return "suppressed", "snoozed"
    return "suppressed", "switched_off"


def endings(before: Facts, after: Facts, policies: Policies, e: Recorded[Event]) -> dict[UUID, Withdrawn]:
    """What `e` ended, by the id of the notification on whose stream that is to be written as version 1.

    One event for each occurrence and reason, on the stream of the first of those of its stages that were still to come.
    `policies` are the general ones.
    """
    found: dict[UUID, Withdrawn] = {}
    subject, recipient = before
    if subject is None or recipient is None:
        return found
    for arming in subject.armings:
        if _stands(arming, before, after):
            continue
        had = waiting(subject, arming, recipient, policies)
        if not had:
            continue
        now = _round(arming, after.subject)
        has = waiting(after.subject, now, after.recipient, policies) if now and after.subject else {}
        policy = recipient.policies(policies).by_name[arming.policy]
        for occurrence, stages in had.items():
            still = {*_own(occurrence, arming.policy, e), *(stage.name for stage in has.get(occurrence, ()))}
            gone: dict[tuple[Reason, str], list[Stage]] = {}
            for stage in stages:
                if stage.name not in still:
                    gone.setdefault(_why(stage, arming, now, after, policies, e), []).append(stage)
            for why, those in gone.items():
                cause = cause_of(e.event_id, e.type, e.position)
                id, ending = _ending(subject, arming, occurrence, policy, those, recipient, why, cause)
                found[id] = ending
    return found


def _stands(arming: Arming, before: Facts, after: Facts) -> bool:
    """Whether nothing has changed by which a stage of the round could have ended."""
    same = before.recipient is after.recipient and alike(before.subject, after.subject)
    return same and after.subject is not None and any(one is arming for one in after.subject.armings)


def alike(one: Subject | None, other: Subject | None) -> bool:
    """Whether all is the same that concerns every round of a subject."""
    return one is other or (bool(one and other) and _OF_EVERY_ROUND(one) == _OF_EVERY_ROUND(other))


def _round(arming: Arming, subject: Subject | None) -> Arming | None:
    """The same round as it stands in `subject`."""
    rounds = () if subject is None else subject.armings
    return next((one for one in rounds if (one.policy, one.occurrence) == (arming.policy, arming.occurrence)), None)


def _own(occurrence: UUID, policy: str, e: Recorded[Event]) -> tuple[str, ...]:
    """The stages of an occurrence whose own event it is: that says how they ended."""
    data = e.data
    if not isinstance(data, Due | Withdrawn) or (data.occurrence, data.rule.policy) != (occurrence, policy):
        return ()
    return data.stages if isinstance(data, Withdrawn) else (data.stage,)


def _why(
    stage: Stage, arming: Arming, now: Arming | None, after: Facts, policies: Policies, e: Recorded[Event]
) -> tuple[Reason, str]:
    """Reason and code."""
    subject, recipient = after
    if subject is None or recipient is None or recipient.left:
        return "withdrawn", e.type
    if now is None:
        again = any(one.policy == arming.policy and one.occurrence == e.event_id for one in subject.armings)
        return ("superseded" if again else "withdrawn"), e.type
    policy = recipient.policies(policies).by_name.get(arming.policy)
    if policy is not None and (stands := standstill(subject, now, policy)) is not None:
        return "withdrawn", stands
    if isinstance(e.data, Withdrawn):
        return "withdrawn", e.type
    return not_asked_for(policy, stage.name)


def _ending(
    subject: Subject,
    arming: Arming,
    occurrence: UUID,
    policy: Policy,
    stages: list[Stage],
    recipient: Recipient,
    why: tuple[Reason, str],
    cause: Cause,
) -> tuple[UUID, Withdrawn]:
    ids = notification_ids(policy.name, subject.id, occurrence, [stage.name for stage in stages])
    told = [addressee(stage, arming, recipient) for stage in stages]
    later = zip(ids[1:], stages[1:], told[1:], strict=True)
    return ids[0], Withdrawn(
        kind=policy.kind,
        stage=stages[0].name,
        others=tuple(Untold(id=id, stage=stage.name, role=to.role, recipient_id=to.id) for id, stage, to in later),
        rule=_rule(policy.name, policy.rule_version),
        subject=subject.kind,
        subject_id=subject.id,
        occurrence=occurrence,
        recipient=told[0],
        seeker_id=subject.seeker_id,
        contact_ids=whom(subject, arming, policy),
        interview_id=arming.interview_id,
        lead_id=subject.id if subject.kind == "lead" else None,
        programme_id=arming.programme_id,
        cancellation_key=cancellation_key(subject, arming),
        reason=why[0],
        because=why[1],
        cause=cause,
    )
