"""Why was I, why was I not, and when will I be reminded? Data for an endpoint that answers it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Literal
from uuid import UUID

from shared.domain.identity import notification_id
from shared.domain.notification import Cause, Reason
from shared.immutable import immutable
from shared.replacing import replace
from shared.timing.policies import Policies
from shared.timing.policy import Policy
from shared.timing.recipient import Recipient
from shared.timing.schedule import Clock
from shared.timing.settling import without_turn
from shared.timing.subject import Arming, Subject
from shared.timing.timers import Pending, rounds, standstill

Status = Literal["pending", "fired", "not_fired", "silent", "ended", "never_armed"]


@immutable
class Explanation:
    """How one stage of one policy stands for a subject; without a stage: the policy as a whole."""

    policy: str
    status: Status
    """`pending`: will be due. `fired`, `not_fired`: its own event in the log tells. `silent`: armed, but nothing is
    pending for the reason `because`. `ended`: by `cause`, the latest round or, for good, before any. `never_armed`: see
    `would_arm`.
    """
    because: str = ""
    stage: str = ""
    notification_id: UUID | None = None
    armed_by: Cause | None = None
    cause: Cause | None = None
    reason: Reason | None = None
    due_at: datetime | None = None
    expires_at: datetime | None = None
    moved_by: tuple[str, ...] = ()
    will_be: str = ""
    """What already stands against a pending one. It will end as suppressed (`muted`, `no_coach`) or as expired
    (`moment_passed`, `already_past`) unless that changes."""
    rule_version: str = ""
    would_arm: tuple[str, ...] = ()
    would_disarm: tuple[str, ...] = ()


def explain(subject: Subject, recipient: Recipient | None, policies: Policies) -> list[Explanation]:
    """Every policy that could concern the subject, stage by stage, with the reasons."""
    own = recipient.policies(policies) if recipient else policies
    return [
        explanation
        for policy in own.by_name.values()
        if policy.subject == subject.kind
        for explanation in _of_policy(subject, recipient, policy, own)
    ]


def put_off(one: Explanation, until: datetime) -> Explanation:
    """A pending one of which firing has found that it can't be told before then."""
    in_time = one.expires_at is None or until < one.expires_at
    return replace(one, due_at=without_turn(until), will_be=one.will_be or ("" if in_time else "moment_passed"))


def _of_policy(subject: Subject, recipient: Recipient | None, policy: Policy, own: Policies) -> Iterator[Explanation]:
    armings = [arming for arming in subject.armings if arming.policy == policy.name]
    for arming in armings:
        yield from _of_round(subject, arming, recipient, policy, own)
    ended = next((one for one in subject.ended if one.policy == policy.name), None)
    if ended and not armings:
        yield _about(policy, "ended", ended.cause.type, cause=ended.cause, reason=ended.reason)
    # What ends only what had happened before leaves the next to begin.
    remembered = next((one for one in subject.memory if one.policy == policy.name and one.remember == "ever"), None)
    if not armings and not ended and remembered:
        yield _about(policy, "ended", remembered.cause.type, cause=remembered.cause, reason="withdrawn")
    if not armings and not ended and not remembered:
        yield _about(policy, "never_armed")


def _about(
    policy: Policy, status: Status, because: str = "", cause: Cause | None = None, reason: Reason | None = None
) -> Explanation:
    return Explanation(
        policy=policy.name,
        status=status,
        because=because,
        cause=cause,
        reason=reason,
        rule_version=policy.rule_version,
        would_arm=tuple(dict.fromkeys(arm.on for arm in policy.armed_by if not arm.restart)),
        would_disarm=tuple(disarm.on for disarm in policy.disarmed_by),
    )


def _of_round(
    subject: Subject, arming: Arming, recipient: Recipient | None, policy: Policy, own: Policies
) -> Iterator[Explanation]:
    if recipient is None or not recipient.time_zone:
        yield _about(policy, "silent", "seeker_unknown", cause=arming.armed_by)
        return
    still = "seeker_left" if recipient.left else standstill(subject, arming, policy)
    for pending in rounds(subject, arming, policy, Clock(recipient, own)):
        yield _of_stage(subject, arming, recipient, policy, pending, still)


def _of_stage(
    subject: Subject, arming: Arming, recipient: Recipient, policy: Policy, pending: Pending, still: str | None
) -> Explanation:
    planned = pending.planned
    stage = planned.stage
    status: Status = "pending"
    because = arming.type
    told: dict[str, UUID] = {}
    if pending.gone == "settled":
        before = arming.before if pending.occurrence == arming.occurrence else ()
        told = {name: id for id, name in (*before, *arming.told) if (id, name) in before or id == pending.occurrence}
        status = "fired" if stage.name in told else "not_fired"
    elif pending.gone or still:
        status, because = "silent", pending.gone or still or ""
    against = ""
    if status == "pending" and recipient.mutes(policy, stage.to):
        against = "muted"
    elif status == "pending" and stage.to == "coach" and recipient.coach(arming.programme_id) is None:
        against = "no_coach"
    elif status == "pending" and planned.expires_at <= planned.due_at:
        against = "already_past" if planned.too_late else "moment_passed"
    return Explanation(
        policy=policy.name,
        status=status,
        because=because,
        stage=stage.name,
        notification_id=notification_id(policy.name, subject.id, told.get(stage.name, pending.occurrence), stage.name),
        armed_by=arming.armed_by,
        due_at=planned.due_at,
        expires_at=planned.expires_at,
        moved_by=planned.moved_by,
        will_be=against,
        rule_version=policy.rule_version,
        would_disarm=tuple(disarm.on for disarm in policy.disarmed_by),
    )
