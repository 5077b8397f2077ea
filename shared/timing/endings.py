"""What one event ends of a subject's reminders without anybody being told, and why.

It follows from the facts before and after the event alone: when the reminders would have been due plays no part.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple
from uuid import UUID

from shared.domain.identity import notification_ids
from shared.domain.kernel import Event
from shared.domain.notification import Cause, Due, Reason, Rule, Untold, Withdrawn
from shared.envelope import Recorded
from shared.timing.policies import Policies
from shared.timing.policy import Policy, Stage
from shared.timing.recipient import Recipient
from shared.timing.subject import Arming, Subject, cause_of
from shared.timing.timers import Timer, addressee, cancellation_key, standstill, waiting, whom


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
        due_at=timer.due_at,
    )


def switched_off(policy: Policy | None) -> tuple[Reason, str]:
    """Reason and code of what `policy` does not ask for any more; None: there is no such policy.

    Where only a stage is gone, nothing else of its round becomes needless: what fell due of that shares its key.
    """
    return ("withdrawn" if policy is None or not policy.enabled else "suppressed"), "switched_off"


def endings(before: Facts, after: Facts, policies: Policies, e: Recorded[Event]) -> dict[UUID, Withdrawn]:
    """What `e` ended, by the id of the notification on whose stream that is to be written as version 1.

    One event for each occurrence, on the stream of the first of its stages that were still to come. `policies` are the
    general ones.
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
            gone = [stage for stage in stages if stage.name not in still]
            if gone:
                why = _why(arming, now, after, policies, e)
                cause = cause_of(e.event_id, e.type, e.position)
                id, ending = _ending(subject, arming, occurrence, policy, gone, recipient, why, cause)
                found[id] = ending
    return found


def _stands(arming: Arming, before: Facts, after: Facts) -> bool:
    """Whether nothing has changed by which a stage of the round could have ended."""
    if before.recipient is not after.recipient or before.subject is None or after.subject is None:
        return False
    same = before.subject.held is after.subject.held and before.subject.closed is after.subject.closed
    return same and any(one is arming for one in after.subject.armings)


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
    arming: Arming, now: Arming | None, after: Facts, policies: Policies, e: Recorded[Event]
) -> tuple[Reason, str]:
    """Reason and code."""
    subject, recipient = after
    if subject is None or recipient is None or recipient.left:
        return "withdrawn", e.type
    if now is None:
        again = any(one.policy == arming.policy and one.occurrence == e.event_id for one in subject.armings)
        return ("superseded" if again else "withdrawn"), e.type
    policy = recipient.policies(policies).by_name.get(arming.policy)
    if policy is None:
        return switched_off(policy)
    if (stands := standstill(subject, now, policy)) is not None:
        return "withdrawn", stands
    if isinstance(e.data, Withdrawn):
        return "withdrawn", e.type
    if any(snooze.event_id == e.event_id for snooze in now.snoozes):
        return "superseded", "snoozed"
    return switched_off(policy)


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
