"""What timing must know of one subject: the rounds that events armed, and how each stands.

A *subject* is an interview, a relationship, a lead or a seeker; an *arming* is one round of one policy for it, begun by
one event, its *occurrence*. Folding keeps facts only. When something is due follows from them in
`shared.timing.timers`, so that whatever moves a timer, a new zone or another cadence, is computing again.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import date, datetime, timedelta
from functools import lru_cache
from typing import Any
from uuid import UUID, uuid5

from shared.domain import interview, lead, notification, relationship
from shared.domain.kernel import Event
from shared.domain.notification import Cause, Reason
from shared.envelope import Recorded
from shared.immutable import immutable
from shared.replacing import replace
from shared.timing.contact import evolve_contact, wishing_contact
from shared.timing.policies import Meaning, Policies
from shared.timing.policy import Arm, Delay, Disarm, Policy, Remember, Side
from shared.timing.routing import REACHING, Route, contacts, routes

_ROUNDS_KEPT = 20
"""Of one policy that lets rounds stand beside each other."""
_TELLING = frozenset(
    {
        *(relationship.KeepInTouchStarted, relationship.CadenceChanged, lead.Recorded),
        *(interview.Planned, interview.DroppedOut),
    }
)
"""Events that say more than when what is armed; see `_knowing`."""


@lru_cache(maxsize=1024)
def cause_of(event_id: UUID, type: str, position: int) -> Cause:
    return Cause(event_id=event_id, type=type, position=position)


@immutable
class Snooze:
    """A stage that is to come again: its own occurrence, named by the event that asked for it."""

    event_id: UUID
    """Of a pending one that a round has taken over from an earlier: made of that and the round's, see `_taken_over`."""
    stage: str
    until: datetime
    settled: bool = False
    fired: bool = False
    """Whether it settled by falling due, and was not taken back."""


@immutable
class Arming:
    policy: str
    occurrence: UUID
    type: str
    position: int
    side: Side
    delay: Delay
    occurred_at: datetime
    recorded_at: datetime
    at: datetime | None = None
    """The anchor where it is an instant …"""
    on: date | None = None
    """… or a day."""
    offered: datetime | None = None
    """The last of the times that the event offers."""
    days: int | None = None
    """The first interval, where the event names one."""
    round: int = 0
    """How many stages earlier rounds have used up."""
    settled: tuple[str, ...] = ()
    """Stages that have ended, in whatever way."""
    fired: tuple[str, ...] = ()
    """Those that fell due, and were not taken back."""
    before: tuple[tuple[UUID, str], ...] = ()
    """What fell due in rounds that this one goes on from, see `_going_on`: occurrence and stage."""
    snoozes: tuple[Snooze, ...] = ()
    acknowledged: bool = False
    done_with: tuple[UUID, ...] = ()
    """Contacts for whom it is over."""
    through: UUID | None = None
    """Another contact, who is to be asked."""
    interview_id: UUID | None = None
    programme_id: UUID | None = None
    counted_from: str = ""
    """Type of the event that the anchor and the delay are of, where that is another than the one that began the round:
    see `_going_on` and `_awakened`."""

    @property
    def occurrences(self) -> tuple[UUID, ...]:
        """Its own, and those of its snoozes."""
        return (self.occurrence, *[snooze.event_id for snooze in self.snoozes])

    @property
    def told(self) -> tuple[tuple[UUID, str], ...]:
        """Of itself, occurrence and stage."""
        again = [(snooze.event_id, snooze.stage) for snooze in self.snoozes if snooze.fired]
        return (*[(self.occurrence, stage) for stage in self.fired], *again)

    @property
    def armed_by(self) -> Cause:
        return cause_of(self.occurrence, self.type, self.position)


@immutable
class Ended:
    """How a policy's latest round came to its end."""

    policy: str
    occurrence: UUID
    reason: Reason
    cause: Cause
    at: datetime


@immutable
class Memory:
    """A disarming event that also ends what is folded after it."""

    policy: str
    remember: Remember
    occurred_at: datetime
    cause: Cause

    @property
    def reach(self) -> tuple[bool, datetime]:
        """How far it goes: what ends all that is armed later outlasts what ends only what was armed before it."""
        return self.remember == "ever", self.occurred_at


@immutable
class Hold:
    """A policy that stands still."""

    policy: str
    by: str
    """Type of the event that holds it."""


@immutable
class Subject:
    id: UUID
    tenant: str
    kind: str
    seeker_id: UUID
    contact_ids: tuple[UUID, ...] = ()
    closed: tuple[UUID, ...] = ()
    """People among them, and those through whom they are asked for, who are to be left in peace."""
    cadence_days: int | None = None
    until: date | None = None
    """When a lead is too late."""
    programme_id: UUID | None = None
    """Of an interview that was planned in a programme."""
    held: tuple[Hold, ...] = ()
    armings: tuple[Arming, ...] = ()
    ended: tuple[Ended, ...] = ()
    memory: tuple[Memory, ...] = ()
    missed: tuple[Arming, ...] = ()
    """What would have begun a round anew, and found none: of each policy the latest. A round that began before it and
    is written down after it goes on from there."""
    accounts: tuple[tuple[str, UUID], ...] = ()
    """Policies that are armed once on account of each contact, and on whose account they were (`Arm.once_for`)."""

    @property
    def people(self) -> tuple[UUID, ...]:
        """Contacts who take part, and those through whom they are asked for."""
        through = (arming.through for arming in self.armings)
        return tuple(dict.fromkeys((*self.contact_ids, *(id for id in through if id is not None))))

    def reachable(self, arming: Arming) -> tuple[UUID, ...]:
        """The contacts whom a round is about still, and who may be written to."""
        if arming.through in self.closed:
            return ()
        return tuple(id for id in self.contact_ids if id not in self.closed and id not in arming.done_with)

    def held_by(self, policy: str) -> str | None:
        """Type of the event by which a policy stands still, if it does."""
        return next((hold.by for hold in self.held if hold.policy == policy), None)


def evolve(
    id: UUID,
    subject: Subject | None,
    e: Recorded[Event],
    policies: Policies,
    found: Sequence[Route] | None = None,
    closed: Collection[UUID] = (),
) -> Subject | None:
    """Fold one event that `subjects` or `wishing_contact` routed to the subject `id`.

    Never refuses. A subject that the event does not concern is returned as the same object. `found` are the event's
    routes, where they are known already. `closed` are those to be left in peace of the people whom the event names
    (`people`).
    """
    if contact_id := wishing_contact(e):
        return _regarding(subject, contact_id, e, policies) if subject else None
    answer = e.data if e.category == "notification" else None
    assert answer is None or isinstance(answer, notification.NotificationEvent)
    for route in routes(e) if found is None else found:
        if route.id == id:
            subject = subject or _new(route, e)
            subject = _knowing(subject, e, policies)
            if answer is not None:
                subject = _answered(subject, answer, e)
            for meaning in policies.by_event.get(e.type, ()):
                policy = meaning.policy
                if policy.subject == route.kind and (answer is None or _own(policy, subject, answer)):
                    subject = _under(subject, meaning, route, e)
            if closed or subject.closed:
                subject = _closing(subject, closed)
    return subject


def _new(route: Route, e: Recorded[Event]) -> Subject:
    data: Any = e.data
    seeker_id = e.stream_id if e.category == "seeker" else data.seeker_id
    return Subject(route.id, e.tenant, route.kind, seeker_id, contacts(route, e))


def _closing(subject: Subject, closed: Collection[UUID]) -> Subject:
    now = _among(subject.people, {*subject.closed, *closed})
    return subject if now == subject.closed else replace(subject, closed=now)


def _regarding(subject: Subject, contact_id: UUID, e: Recorded[Event], policies: Policies) -> Subject:
    """What becomes of a subject as `e` tells whether somebody is to be left in peace."""
    closed = evolve_contact(None, e) is not None
    others = [id for id in subject.closed if id != contact_id]
    now = _among(subject.people, [*others, contact_id] if closed else others)
    if now == subject.closed:
        return subject
    after = replace(subject, closed=now)
    return _silenced(subject, after, policies) if closed else _awakened(subject, after, e, policies)


def _awakened(before: Subject, subject: Subject, e: Recorded[Event], policies: Policies) -> Subject:
    """What recurs and began while people were to be left in peace is counted from the end of that: all of it would come
    at once, at the very moment at which they may be written to again. What was to begin later still does so then."""

    def anew(arming: Arming) -> Arming:
        policy = policies.by_name.get(arming.policy)
        if policy is None or not policy.reaches_contact or not policy.recurs or arming.settled or arming.at is None:
            return arming
        ahead = arming.at + timedelta(days=arming.days or 0) > e.occurred_at
        if ahead or before.reachable(arming) or not subject.reachable(arming):
            return arming
        since = {"occurred_at": e.occurred_at, "recorded_at": e.recorded_at, "at": e.occurred_at}
        return replace(arming, **since, delay="cadence", days=None, counted_from=e.type)

    return replace(subject, armings=tuple(anew(arming) for arming in subject.armings))


def _silenced(before: Subject, subject: Subject, policies: Policies) -> Subject:
    """What is armed and would reach only those to be left in peace from now on is over: it does not come back when one
    of them may be asked again. What stands still already, or is armed from now on, does so until then."""

    def over(arming: Arming) -> Arming:
        policy = policies.by_name.get(arming.policy)
        if policy is None or not policy.reaches_contact or not before.reachable(arming) or subject.reachable(arming):
            return arming
        snoozes = tuple(one if one.settled else replace(one, settled=True) for one in arming.snoozes)
        return _settled(replace(arming, snoozes=snoozes), tuple(stage.name for stage in policy.stages))

    return replace(subject, armings=tuple(over(arming) for arming in subject.armings))


def _among(people: tuple[UUID, ...], closed: Collection[UUID]) -> tuple[UUID, ...]:
    """In the order of those who take part, so that it plays no part who was the first to be left in peace."""
    return tuple(id for id in people if id in closed)


def _knowing(subject: Subject, e: Recorded[Event], policies: Policies) -> Subject:
    data = e.data
    if type(data) not in _TELLING:
        return subject
    match data:
        case relationship.KeepInTouchStarted() | relationship.CadenceChanged():
            return replace(subject, cadence_days=data.cadence_days)
        case lead.Recorded():
            return replace(subject, until=data.until)
        case interview.Planned():
            return replace(subject, programme_id=data.programme_id)
        case interview.DroppedOut():
            left = replace(subject, contact_ids=interview.without(subject.contact_ids, data))
            return _silenced(subject, _closing(left, ()), policies)
        case _:
            return subject


def _own(policy: Policy, subject: Subject, data: notification.NotificationEvent) -> bool:
    """Events of a notification concern the policy that it is of, while its round lasts; whether it reached the seeker
    concerns whatever listens."""
    return type(data) in REACHING or (data.rule.policy == policy.name and _round_of(subject, data) is not None)


def _round_of(subject: Subject, data: notification.NotificationEvent) -> tuple[Arming, Snooze | None] | None:
    for arming in subject.armings:
        if arming.policy == data.rule.policy:
            snooze = next((s for s in arming.snoozes if s.event_id == data.occurrence), None)
            told_before = (data.occurrence, data.stage) in arming.before
            if snooze or told_before or arming.occurrence == data.occurrence:
                return arming, snooze
    return None


def _cause(e: Recorded[Event]) -> Cause:
    return cause_of(e.event_id, e.type, e.position)


def _under(subject: Subject, meaning: Meaning, route: Route, e: Recorded[Event]) -> Subject:
    """What the event means to one policy."""
    policy = meaning.policy
    released = meaning.releases and subject.held_by(policy.name) is not None
    if meaning.holds or (meaning.releases and subject.held):
        others = tuple(hold for hold in subject.held if hold.policy != policy.name)
        subject = replace(subject, held=(*others, Hold(policy.name, e.type)) if meaning.holds else others)
    for disarm in meaning.disarms:
        # Who introduced somebody was not there: a talk with those ends nothing that is owed to them.
        if route.side == "contact" and disarm.wants(e.data):
            subject = _disarmed(subject, policy, disarm, e)
    for arm in meaning.arms:
        if arm.side == route.side and arm.wants(e.data):
            subject = _armed(subject, policy, arm, e, released)
    return subject


def _disarmed(subject: Subject, policy: Policy, disarm: Disarm, e: Recorded[Event]) -> Subject:
    if disarm.of is not None:
        subject = _done_with(subject, policy, getattr(e.data, disarm.of))

    def ends(arming: Arming) -> bool:
        if disarm.same_programme and arming.programme_id != e.stream_id:
            return False
        if disarm.of is not None and not set(subject.contact_ids) <= set(arming.done_with):
            return False
        return disarm.remember != "later" or arming.occurred_at <= e.occurred_at

    if disarm.remember != "no":
        subject = _remembering(subject, policy, disarm, e)
    return _ending(subject, [a for a in subject.armings if a.policy == policy.name and ends(a)], "withdrawn", e)


def _done_with(subject: Subject, policy: Policy, contact_ids: tuple[UUID, ...]) -> Subject:
    def done(arming: Arming) -> Arming:
        if arming.policy != policy.name:
            return arming
        return replace(arming, done_with=(*arming.done_with, *contact_ids))

    return replace(subject, armings=tuple(done(arming) for arming in subject.armings))


def _remembering(subject: Subject, policy: Policy, disarm: Disarm, e: Recorded[Event]) -> Subject:
    known = next((m for m in subject.memory if m.policy == policy.name), None)
    memory = Memory(policy.name, disarm.remember, e.occurred_at, _cause(e))
    if known is not None and known.reach >= memory.reach:
        return subject
    others = tuple(m for m in subject.memory if m.policy != policy.name)
    return replace(subject, memory=(*others, memory))


def _ending(subject: Subject, armings: list[Arming], reason: Reason, e: Recorded[Event]) -> Subject:
    if not armings:
        return subject
    latest = armings[-1]
    others = tuple(one for one in subject.ended if one.policy != latest.policy)
    ended = Ended(latest.policy, latest.occurrence, reason, _cause(e), e.occurred_at)
    over = {id(arming) for arming in armings}
    left = tuple(arming for arming in subject.armings if id(arming) not in over)
    return replace(subject, armings=left, ended=(*others, ended))


def _begun(policy: Policy, arming: Arming) -> bool:
    """Whether its first stage has ended, or came in the round before; a later one may have ended, too, where it was
    switched off."""
    first = policy.stages[arming.round : arming.round + 1]
    return bool(arming.before) or any(stage.name in arming.settled for stage in first)


def _over(policy: Policy, arming: Arming) -> bool:
    """Whether nothing of it is left to come."""
    left = {stage.name for stage in policy.stages[arming.round :]} - set(arming.settled)
    return not left and all(snooze.settled for snooze in arming.snoozes)


def _once_more(arming: Arming, over: Arming, policy: Policy) -> Arming:
    """The first stage alone, after a round that went by unheeded. It happened when that one did: a touch since then,
    written down later, begins a round of its own."""
    rest = tuple(stage.name for stage in policy.stages[1:])
    return replace(arming, occurred_at=over.occurred_at, settled=rest, before=over.told)


def _armed(subject: Subject, policy: Policy, arm: Arm, e: Recorded[Event], released: bool) -> Subject:
    """`released`: the policy has stood still, and does so no more from this event on."""
    if arm.once_for is not None:
        named = [(policy.name, contact_id) for contact_id in getattr(e.data, arm.once_for)]
        if set(named) <= set(subject.accounts):
            return subject
        subject = replace(subject, accounts=tuple(dict.fromkeys((*subject.accounts, *named))))
    present = [one for one in subject.armings if one.policy == policy.name]
    arming = _arming(subject, policy, arm, e)
    if arming.at is None and arming.on is None:
        # A goal without a date: nothing to count from any more.
        return _ending(subject, present, "withdrawn", e)
    if arm.restart and not any(not arm.begun or _begun(policy, one) for one in present):
        return subject if arm.begun else _missing(subject, arming)
    if arm.over:
        over = next((one for one in present if _over(policy, one)), None)
        if over is None:
            return subject
        arming = _once_more(arming, over, policy)
    memory = next((m for m in subject.memory if m.policy == policy.name), None)
    if memory and (memory.remember == "ever" or memory.occurred_at >= e.occurred_at):
        return subject
    if policy.rearm == "keep" and any(one.told or len(one.settled) < len(policy.stages) for one in present):
        return subject
    if arm.anchor != "occurred" and any((one.at, one.on) == (arming.at, arming.on) for one in present):
        # The same time again, such as another place for the same hour: no second round of reminders.
        return subject
    if policy.rearm == "latest":
        later = [one for one in present if _follows(one, arming)]
        if later and not released:
            return subject
        # A later round that stood still has lost its reminders to that: they come again in this one.
        arming = _going_on(arming, [*later, *(one for one in subject.missed if _follows(one, arming))])
        subject = _without_missed(subject, policy)
    elif policy.rearm == "advance":
        used_up = max((one.round for one in present), default=-1) + 1
        arming = replace(arming, round=min(used_up, len(policy.stages) - 1))
    if policy.rearm == "each":
        subject = replace(subject, armings=_recent(subject.armings, present))
    else:
        subject = _ending(subject, present, "superseded", e)
    return replace(subject, armings=(*subject.armings, arming))


def _arming(subject: Subject, policy: Policy, arm: Arm, e: Recorded[Event]) -> Arming:
    """The round that the event begins, taken by itself."""
    at, on = _anchor(arm, e)
    programme_id = e.stream_id if e.category == "programme" else getattr(e.data, "programme_id", None)
    return Arming(
        policy=policy.name,
        occurrence=e.event_id,
        type=e.type,
        position=e.position,
        side=arm.side,
        delay=arm.delay,
        occurred_at=e.occurred_at,
        recorded_at=e.recorded_at,
        at=at,
        on=on,
        offered=max(time.starts_at for time in e.data.times) if isinstance(e.data, interview.TimesOffered) else None,
        days=getattr(e.data, "first_after_days", None) if arm.delay == "first" else None,
        through=getattr(e.data, arm.through) if arm.through else None,
        interview_id=e.stream_id if e.category == "interview" else getattr(e.data, "interview_id", None),
        programme_id=programme_id or subject.programme_id,
    )


def _missing(subject: Subject, arming: Arming) -> Subject:
    """Remember what found no round to begin anew."""
    known = next((one for one in subject.missed if one.policy == arming.policy), None)
    if known is not None and known.occurred_at >= arming.occurred_at:
        return subject
    return replace(subject, missed=(*(one for one in subject.missed if one is not known), arming))


def _without_missed(subject: Subject, policy: Policy) -> Subject:
    """From here on, the round that has begun says what happened last."""
    left = tuple(one for one in subject.missed if one.policy != policy.name)
    return subject if len(left) == len(subject.missed) else replace(subject, missed=left)


def _follows(other: Arming, arming: Arming) -> bool:
    """Whether another round, be it one that was missed, is counted from something later than this one. Thanks come
    after their own conversation, at whatever time of its day they are said to have been."""
    own = other.interview_id == arming.interview_id and other.type == interview.Held.type and not other.counted_from
    return other.policy == arming.policy and other.occurred_at > arming.occurred_at and not own


def _going_on(arming: Arming, later: list[Arming]) -> Arming:
    """The round as it stands after what happened later and was folded before: that says what it is counted from, what
    was told or is over already, and what was snoozed. It keeps the event that it was begun by, of whose notifications
    none is in the log."""
    if not later:
        return arming
    last = max(later, key=lambda one: one.occurred_at)
    before = (*last.before, *((last.occurrence, stage) for stage in last.fired))
    return replace(
        arming,
        side=last.side,
        delay=last.delay,
        occurred_at=last.occurred_at,
        at=last.at,
        on=last.on,
        days=last.days,
        settled=last.settled,
        before=before,
        snoozes=tuple(one if one.settled else _taken_over(one, arming) for one in last.snoozes),
        counted_from=last.counted_from or last.type,
    )


def _taken_over(snooze: Snooze, arming: Arming) -> Snooze:
    """As an occurrence of the later round's: the log tells of the earlier one's that nobody was told."""
    return replace(snooze, event_id=uuid5(arming.occurrence, str(snooze.event_id)))


def _recent(armings: tuple[Arming, ...], present: list[Arming]) -> tuple[Arming, ...]:
    surplus = present[: max(0, len(present) + 1 - _ROUNDS_KEPT)]
    return tuple(arming for arming in armings if arming not in surplus)


def _anchor(arm: Arm, e: Recorded[Event]) -> tuple[datetime | None, date | None]:
    data: Any = e.data
    match arm.anchor:
        case "occurred":
            return e.occurred_at, None
        case "starts_at":
            return data.starts_at, None
        case "ends_at":
            return data.starts_at + timedelta(minutes=data.minutes), None
        case "goal_date":
            return None, data.goal_date
        case "not_before":
            ahead = data.not_before is not None and data.not_before > e.occurred_at.date()
            return (None, data.not_before) if ahead else (e.occurred_at, None)
        case "until":
            return (data.until, None) if isinstance(data.until, datetime) else (None, data.until)


def _answered(subject: Subject, data: notification.NotificationEvent, e: Recorded[Event]) -> Subject:
    """What became of a notification, in the round that it belongs to; one of a round that is over is past caring."""
    found = _round_of(subject, data)
    if found is None:
        return subject
    arming, snooze = found
    if isinstance(data, notification.Withdrawn) and data.because == subject.held_by(arming.policy):
        # It ended because the round stands still, which `held` says: one that goes on from it goes on from before that.
        return subject
    now = _standing(arming, snooze, data, e)
    if now is arming:
        return subject
    return replace(subject, armings=tuple(now if one is arming else one for one in subject.armings))


def _standing(
    arming: Arming, snooze: Snooze | None, data: notification.NotificationEvent, e: Recorded[Event]
) -> Arming:
    match data:
        case notification.Due() if snooze:
            fired = replace(snooze, settled=True, fired=True)
            return replace(arming, snoozes=tuple(fired if one is snooze else one for one in arming.snoozes))
        case notification.Due():
            return _settled(replace(arming, fired=(*arming.fired, data.stage)), (data.stage,))
        case notification.Withdrawn():
            return _withdrawn(arming, snooze, data, told=e.version > 1)
        case notification.Snoozed():
            again = Snooze(e.event_id, data.stage, data.until)
            return replace(arming, snoozes=(*arming.snoozes, again)[-_ROUNDS_KEPT:])
        case notification.Acknowledged() if data.how != "seen":
            return replace(arming, acknowledged=True)
        case _:
            return arming


def _withdrawn(arming: Arming, snooze: Snooze | None, data: notification.Withdrawn, *, told: bool) -> Arming:
    """What is taken back, having been told, does not come again either, where it had been snoozed. Of a round that this
    one goes on from it ends nothing that is still to come."""
    snoozes = tuple(
        replace(one, settled=True, fired=False)
        if one is snooze or (told and one.stage == data.stage and not one.settled)
        else one
        for one in arming.snoozes
    )
    if snooze or data.occurrence != arming.occurrence:
        return replace(arming, snoozes=snoozes)
    fired = tuple(stage for stage in arming.fired if stage != data.stage)
    return _settled(replace(arming, fired=fired, snoozes=snoozes), data.stages)


def _settled(arming: Arming, stages: tuple[str, ...]) -> Arming:
    more = tuple(stage for stage in stages if stage not in arming.settled)
    return replace(arming, settled=(*arming.settled, *more)) if more else arming
