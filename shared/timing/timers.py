"""From facts to timers: what is pending for a subject, and when. A pure function, computed again after every event."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime
from functools import lru_cache
from typing import NamedTuple
from uuid import UUID

from pydantic import TypeAdapter

from shared.domain.identity import notification_id
from shared.domain.notification import Addressee, Cause, Role, Urgency
from shared.immutable import immutable
from shared.timing.calendar import Moment
from shared.timing.policies import Policies
from shared.timing.policy import Policy, Stage
from shared.timing.recipient import Recipient
from shared.timing.schedule import Clock, Planned, clock_of, last_moment, plan, snoozed
from shared.timing.subject import Arming, Subject


@immutable
class Timer:
    """One pending notification: what the projector keeps as a row until it is due."""

    id: UUID
    """Of the notification and its stream; the permanent dedupe key."""
    tenant: str
    policy: str
    policy_version: str
    kind: str
    stage: str
    topic: str
    urgency: Urgency
    subject: str
    subject_id: UUID
    occurrence: UUID
    armed_by: Cause
    recipient: Addressee
    escalates_to: UUID | None
    seeker_id: UUID
    contact_ids: tuple[UUID, ...]
    interview_id: UUID | None
    lead_id: UUID | None
    programme_id: UUID | None
    guards: tuple[UUID, ...]
    """Streams whose events not folded yet could make it needless: it waits until there are none."""
    due_at: datetime
    """Derived: the instant of `local_due` in `time_zone`, as the zone's rules are known today."""
    local_due: datetime
    time_zone: str
    not_before: datetime
    expires_at: datetime
    moved_by: tuple[str, ...]
    too_late: bool
    group_key: str
    cancellation_key: str

    @property
    def dedupe_key(self) -> str:
        return str(self.id)


SUBJECT = TypeAdapter(Subject)
RECIPIENT = TypeAdapter(Recipient)
TIMER = TypeAdapter(Timer)
"""Each to JSON by `dump_json` and back by `validate_json`."""


class Pending(NamedTuple):
    """A stage of a round and the occurrence that it belongs to: the round's own, or that of a snooze."""

    planned: Planned
    occurrence: UUID
    gone: str = ""
    """Why it is not pending, where it is not: `settled`, `switched_off`, `snoozed`."""


def waiting(
    subject: Subject, arming: Arming, recipient: Recipient | None, policies: Policies
) -> dict[UUID, list[Stage]]:
    """The stages of a round that are pending, in their order, by occurrence: those of `timers`, without reckoning when.

    `policies` are the general ones. Only what a snooze puts off depends on when things are due.
    """
    if recipient is None or recipient.left or not recipient.time_zone:
        return {}
    own = recipient.policies(policies)
    policy = own.by_name.get(arming.policy)
    if policy is None or standstill(subject, arming, policy) is not None:
        return {}
    found: dict[UUID, list[Stage]] = {}
    if arming.snoozes:
        for one in rounds(subject, arming, policy, clock_of(recipient, policies)):
            if not one.gone:
                found.setdefault(one.occurrence, []).append(one.planned.stage)
    else:
        stages = policy.stages[arming.round :]
        left = [stage for stage in stages if stage.enabled and stage.name not in arming.settled]
        if left:
            found[arming.occurrence] = left
    return found


def timers(
    subject: Subject | None,
    recipient: Recipient | None,
    policies: Policies,
    armings: Iterable[Arming] | None = None,
) -> dict[UUID, Timer]:
    """What is pending for a subject, by notification id; of those of its rounds only that `armings` names, if given.

    `policies` are the general ones; those of the recipient are taken from them. Nothing is pending for somebody who
    left or is not registered, for rounds that stand still, and for what would reach a contact who is to be left alone.
    """
    if subject is None or recipient is None or recipient.left or not recipient.time_zone:
        return {}
    clock = clock_of(recipient, policies)
    found = {}
    for arming in subject.armings if armings is None else armings:
        policy = clock.policies.by_name.get(arming.policy)
        if policy is not None and standstill(subject, arming, policy) is None:
            pending = [one for one in rounds(subject, arming, policy, clock) if not one.gone]
            pending.sort(key=_due_at)
            for timer in _timers_of(subject, arming, policy, clock, pending):
                found[timer.id] = timer
    return found


def _due_at(one: Pending) -> datetime:
    return one.planned.due_at


def standstill(subject: Subject, arming: Arming, policy: Policy) -> str | None:
    """Why nothing of a round is pending, where that is so."""
    if not policy.enabled:
        return "switched_off"
    if arming.acknowledged:
        return "acknowledged"
    if (by := subject.held_by(policy.name)) is not None:
        return by
    if policy.reaches_contact and subject.contact_ids and not subject.reachable(arming):
        return "contact_closed"
    return None


def whom(subject: Subject, arming: Arming, policy: Policy) -> tuple[UUID, ...]:
    """The contacts whom a round is about; of one that asks to write to them, only those who may be written to still."""
    return subject.reachable(arming) if policy.reaches_contact else subject.contact_ids


def rounds(subject: Subject, arming: Arming, policy: Policy, clock: Clock) -> Iterator[Pending]:
    """Every stage of a round, pending or not, and every snooze of one.

    What is counted from a stage that was snoozed is counted from when the snooze ends, whatever becomes of that. Until
    it has come, a snooze stands for the stages that would come before it ends all the same, or with that. Both hold for
    who has snoozed: neither the seeker nor the coach silences the other, or puts off what the other is told.
    """
    stages = plan(subject, arming, policy, clock)
    limit = last_moment(subject, arming, policy, clock) if arming.snoozes else None
    plain = {one.stage.name: one for one in stages}
    again = [(snooze, plain[snooze.stage]) for snooze in arming.snoozes if snooze.stage in plain]
    last: dict[Role, tuple[str, Moment]] = {}
    awake: dict[Role, datetime] = {}
    for snooze, one in again:
        to, wakes = one.stage.to, clock.open_before(one.stage, clock.moment(snooze.until), limit)
        if to not in last or wakes.instant >= last[to][1].instant:
            last[to] = (one.stage.name, wakes)
        if not _gone(one.stage, snooze.settled):
            awake[to] = max(wakes.instant, awake.get(to, wakes.instant))
    following = {to: plan(subject, arming, policy, clock, put_off) for to, put_off in last.items()}
    rest = []
    for number, one in enumerate(stages):
        moved = following.get(one.stage.to, stages)[number]
        gone = _gone(one.stage, one.stage.name in arming.settled)
        if not gone and one.stage.to in awake and moved.due_at <= awake[one.stage.to]:
            gone = "snoozed"
        if not gone:
            rest.append(moved)
        yield Pending(one if gone else moved, arming.occurrence, gone)
    for snooze, one in again:
        later = snoozed(one, snooze.until, rest, policy, clock, limit)
        yield Pending(later, snooze.event_id, _gone(one.stage, snooze.settled))


def _gone(stage: Stage, settled: bool) -> str:
    if settled:
        return "settled"
    return "" if stage.enabled else "switched_off"


def group_key(recipient: Addressee, local: datetime, digest: bool) -> str:
    """Shared by what is fired for one person in one hour of their clock; of one day, with a digest."""
    return f"{recipient.id}:{local.isoformat()[: 10 if digest else 13]}"


def _timers_of(
    subject: Subject, arming: Arming, policy: Policy, clock: Clock, stages: Iterable[Pending]
) -> Iterator[Timer]:
    """The timers of some stages of one round, given as they fall due; what they have in common is found once."""
    recipient, armed_by = clock.recipient, arming.armed_by
    coach = recipient.coach(arming.programme_id)
    cancelled_by = cancellation_key(subject, arming)
    contact_ids = whom(subject, arming, policy)
    guards: dict[Role, tuple[UUID, ...]] = {}
    sooner: tuple[UUID, ...] = ()
    for planned, occurrence, _ in stages:
        stage, local = planned.stage, planned.due.local
        to_seeker = stage.to == "seeker"
        to = addressee(stage, arming, recipient)
        if stage.to not in guards:
            guards[stage.to] = _guards(subject, arming, policy, recipient, stage.to)
        id = notification_id(policy.name, subject.id, occurrence, stage.name)
        yield Timer(
            id=id,
            tenant=subject.tenant,
            policy=policy.name,
            policy_version=policy.rule_version,
            kind=policy.kind,
            stage=stage.name,
            topic=policy.topic,
            urgency=stage.urgency or policy.urgency,
            subject=subject.kind,
            subject_id=subject.id,
            occurrence=occurrence,
            armed_by=armed_by,
            recipient=to,
            escalates_to=coach if to_seeker else None,
            seeker_id=subject.seeker_id,
            contact_ids=contact_ids,
            interview_id=arming.interview_id,
            lead_id=subject.id if subject.kind == "lead" else None,
            programme_id=arming.programme_id,
            guards=guards[stage.to] + sooner,
            due_at=planned.due_at,
            local_due=local,
            time_zone=recipient.time_zone,
            not_before=planned.not_before,
            expires_at=planned.expires_at,
            moved_by=planned.moved_by,
            too_late=planned.too_late,
            group_key=group_key(to, local, recipient.digest),
            cancellation_key=cancelled_by,
        )
        sooner += (id,)


def cancellation_key(subject: Subject, arming: Arming) -> str:
    """Shared by all notifications of a round."""
    return f"{arming.policy}:{subject.id}:{arming.occurrence}"


def addressee(stage: Stage, arming: Arming, recipient: Recipient) -> Addressee:
    """Who is told: the seeker, or the coach where the seeker has one."""
    id = recipient.id if stage.to == "seeker" else recipient.coach(arming.programme_id)
    return _addressee(id, stage.to, recipient.time_zone, recipient.locale)


@lru_cache(maxsize=4096)
def _addressee(id: UUID | None, role: Role, time_zone: str, locale: str | None) -> Addressee:
    return Addressee(id=id, role=role, time_zone=time_zone, locale=locale)


def _guards(subject: Subject, arming: Arming, policy: Policy, recipient: Recipient, role: Role) -> tuple[UUID, ...]:
    """The subject's stream; the seeker's (left, moved, muted); the people's where they could have asked to be left
    alone; the programmes' where a coach is told; and what this round has fired: it may have been answered. So may what
    it is to fire before this one, once it has, whether or not that is folded: see `_timers_of`."""
    streams = [subject.id, subject.seeker_id]
    if policy.reaches_contact:
        streams += subject.contact_ids
        streams += [arming.through] if arming.through else []
    if role == "coach":
        streams += [enrolment.programme_id for enrolment in recipient.enrolments]
    streams += [
        notification_id(policy.name, subject.id, occurrence, stage)
        for occurrence, stage in (*arming.before, *arming.told)
    ]
    return tuple(dict.fromkeys(streams))
