"""When each stage of a round is due, and until when it makes sense: the arithmetic between policy and recipient."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import cache, cached_property, lru_cache
from uuid import UUID
from zoneinfo import ZoneInfo

from shared.immutable import immutable
from shared.timing.calendar import ONE_DAY, Moment, WorkWeek
from shared.timing.offsets import Span, shifted
from shared.timing.policies import Policies
from shared.timing.policy import Arm, Policy, Stage
from shared.timing.recipient import Recipient
from shared.timing.subject import Arming, Subject
from shared.timing.waking import Waking, at_minute, into, later
from shared.zones import zone

_UTC = ZoneInfo("UTC")
LATE_DAYS = 30
"""Over so many days is told what was late already when it was written down."""


@immutable
class Planned:
    """One stage: when it is due, the earliest and the last moment for it, and what moved it from the plain rule."""

    stage: Stage
    due: Moment
    not_before: datetime
    expires_at: datetime
    moved_by: tuple[str, ...]
    too_late: bool = False
    """Its moment had passed when the round began, and it is one that is skipped then."""

    @property
    def due_at(self) -> datetime:
        return self.due.instant


@dataclass(frozen=True)
class Clock:
    """A recipient's clock and habits, ready for arithmetic. A zone that is not known here counts as UTC."""

    recipient: Recipient
    policies: Policies
    """As they hold for the recipient."""

    @cached_property
    def tz(self) -> ZoneInfo:
        return zone(self.recipient.time_zone) or _UTC

    @cached_property
    def week(self) -> WorkWeek:
        return self.recipient.week()

    @cached_property
    def hours(self) -> Waking:
        return self.recipient.waking(self.policies)

    def moment(self, at: datetime) -> Moment:
        return Moment.of(at.astimezone(UTC), self.tz)

    def midnight(self, day: date) -> Moment:
        return Moment.local_at(datetime.combine(day, time()), self.tz)

    def moved(self, moment: Moment, span: Span, sign: int = 1, at: time | None = None) -> Moment:
        return shifted(moment, span, sign, self.tz, self.week, at)

    def open(self, stage: Stage, moment: Moment) -> Moment:
        """`moment`, moved to where the stage may disturb the recipient."""
        return into(stage.shift, moment, self.tz, self.hours, self._days(stage))

    def open_later(self, stage: Stage, moment: Moment) -> Moment:
        return later(moment, self.tz, self.hours, self._days(stage))

    def open_before(self, stage: Stage, moment: Moment, end: datetime | None) -> Moment:
        """`open_later`, but rather on a day off than not before `end`."""
        found = self.open_later(stage, moment)
        if end is not None and found.instant >= end:
            sooner = self.awake(moment)
            return sooner if sooner.instant < end else found
        return found

    def awake(self, moment: Moment) -> Moment:
        """The first moment not before that on which the recipient may be disturbed, on whatever day."""
        return later(moment, self.tz, self.hours)

    def _days(self, stage: Stage) -> WorkWeek | None:
        return self.week if stage.on_working_days else None

    def next_digest(self, stage: Stage, moment: Moment) -> Moment:
        """When the next digest is put together, on a day on which the stage may disturb.

        That of a day may come later than `digest_at`, when the recipient wakes: on the next day even.
        """
        at, days = self.policies.limits.digest_at, self._days(stage)
        day = self._next_day(moment.local.date(), days, -1)
        while True:
            found = later(Moment.local_at(datetime.combine(day, at), self.tz), self.tz, self.hours, days)
            if found.instant >= moment.instant:
                return found
            day = self._next_day(day, days)

    @staticmethod
    def _next_day(day: date, days: WorkWeek | None, count: int = 1) -> date:
        return day + count * ONE_DAY if days is None else days.step(day, count)


@lru_cache(maxsize=4096)
def clock_of(recipient: Recipient, policies: Policies) -> Clock:
    """The clock of a recipient; `policies` are the general ones."""
    return Clock(recipient, recipient.policies(policies))


def plan(
    subject: Subject, arming: Arming, policy: Policy, clock: Clock, put_off: tuple[str, Moment] | None = None
) -> list[Planned]:
    """Every stage of a round, in order; those already settled and those switched off included.

    `put_off` is a stage that is told again, and when: what is counted from it is counted from then.
    """
    limit = last_moment(subject, arming, policy, clock)
    base, spread = _base(subject, arming, policy, clock)
    previous: Moment | None = None
    found: list[Planned] = []
    following: datetime | None = None
    heard_until: datetime | None = None
    """Until when a stage before could be heard."""
    dues = []
    for stage in policy.stages[arming.round :]:
        start = previous if previous and stage.then else base
        if stage.after_times and arming.offered is not None and arming.offered > start.instant:
            start = clock.moment(arming.offered)
        due, plain, moved = _due(stage, start, arming, policy, clock, limit)
        gone = due.instant + (stage.expires_after or policy.expires_after).nominal
        if stage.late and gone <= arming.recorded_at < due.instant + stage.late.nominal:
            # So that what was written up long after, as an import brings it by the dozen, does not come all at once.
            spread_over = _spread(clock.moment(arming.recorded_at), subject.id, LATE_DAYS, clock)
            due, moved = _in_digest(stage, clock.open_later(stage, spread_over), ("spread",), policy, clock, limit)
        if previous is None and limit is not None and due.instant >= limit and not stage.before:
            in_time = _in_time(start, limit, clock)
            due, moved = (in_time, (*moved, "before_too_late")) if in_time else (due, moved)
        if previous and due.instant < previous.instant:
            due, moved = previous, (*moved, "after_previous")
        previous = due
        if put_off is not None and put_off[0] == stage.name and put_off[1].instant > due.instant:
            previous = put_off[1]
        # Of what nobody was reminded of, because all that had passed when it was written down, none is reported.
        unheard = "written_late" in moved and heard_until is not None and heard_until <= arming.recorded_at
        dues.append((stage, due, plain, ("spread", *moved) if spread else moved, unheard))
        if stage.enabled:
            heard_until = max(_expiry(stage, due, policy), heard_until or due.instant)
    for stage, due, plain, moved, unheard in reversed(dues):
        at = due.instant
        too_late = unheard or (stage.when_past == "skip" and at < arming.recorded_at)
        ends = _ends(_expiry(stage, due, policy), limit, following, at if too_late else None)
        found.append(Planned(stage, due, min(plain.instant, at), ends, moved, too_late))
        following = at if stage.enabled else following
    return found[::-1]


def _due(
    stage: Stage, start: Moment, arming: Arming, policy: Policy, clock: Clock, limit: datetime | None
) -> tuple[Moment, Moment, tuple[str, ...]]:
    """When the stage is due, when it would be by the plain rule, and why the two differ."""
    plain = clock.moved(start, stage.span, -1 if stage.before else 1, stage.at)
    due = clock.open(stage, plain)
    if stage.at and due.local.date() < plain.local.date():
        # It is for that day: rather when the recipient wakes on it than on the evening of one before.
        awake = clock.open_later(stage, plain)
        if awake.local.date() == plain.local.date() and not (stage.before and awake.instant >= start.instant):
            due = awake
    moved: tuple[str, ...] = ()
    if due is not plain and due != plain:
        moved = ("quiet_hours" if not clock.hours.allows(plain.local) else "day_off",)
    if stage.when_past == "skip" and due.instant < arming.recorded_at <= plain.instant:
        # Moved earlier it would be past and skipped, while its plain moment is still ahead.
        found = clock.open_before(stage, plain, limit)
        due = found if limit is None or found.instant < limit else due
    if stage.grace_hours:
        earliest = arming.recorded_at + timedelta(hours=stage.grace_hours)
        if due.instant < earliest:
            due = clock.open_later(stage, clock.moment(earliest))
            moved = (*moved, "written_late")
    due, moved = _in_digest(stage, due, moved, policy, clock, limit)
    return due, plain, moved


def _in_digest(
    stage: Stage, due: Moment, moved: tuple[str, ...], policy: Policy, clock: Clock, limit: datetime | None
) -> tuple[Moment, tuple[str, ...]]:
    """When it comes, and what moved it, where it may have to wait for a digest."""
    if not digested(stage, policy, clock):
        return due, moved
    digest = clock.next_digest(stage, due)
    if digest == due or (limit is not None and digest.instant >= limit):
        return due, moved
    return digest, (*moved, "digest")


def _in_time(start: Moment, limit: datetime, clock: Clock) -> Moment | None:
    """For what is too late before anybody was to be reminded: on any day, when half of the time is over, or at once."""
    for moment in (clock.moment(start.instant + (limit - start.instant) / 2), start):
        found = clock.awake(moment)
        if found.instant < limit:
            return found
    return None


def _expiry(stage: Stage, due: Moment, policy: Policy) -> datetime:
    return due.instant + (stage.late or stage.expires_after or policy.expires_after).nominal


def digested(stage: Stage, policy: Policy, clock: Clock) -> bool:
    """Whether the stage comes with a digest. Deadlines and what is urgent do not wait for one."""
    wanted = clock.recipient.digest and stage.to == "seeker" and stage.shift == "later"
    return wanted and (stage.urgency or policy.urgency) != "high"


def _ends(expiry: datetime, *bounds: datetime | None) -> datetime:
    """A stage expires at latest when a later one is due; one that is too late has expired already."""
    for bound in bounds:
        if bound is not None and bound < expiry:
            expiry = bound
    return expiry


def snoozed(
    one: Planned, until: datetime, rest: list[Planned], policy: Policy, clock: Clock, limit: datetime | None
) -> Planned:
    """A stage that is to come again at `until`; `rest` are the stages still to come, `limit` is the `last_moment`."""
    wanted = clock.moment(until)
    due = clock.open_before(one.stage, wanted, limit)
    following = (other.due_at for other in rest if other.due_at > due.instant)
    ends = _ends(_expiry(one.stage, due, policy), limit, *following)
    moved = ("snoozed",) if due == wanted else ("snoozed", "quiet_hours")
    return Planned(one.stage, due, wanted.instant, ends, moved)


def last_moment(subject: Subject, arming: Arming, policy: Policy, clock: Clock) -> datetime | None:
    """After which nothing of the round makes sense, snoozed or not; None: there is no such moment."""
    ends = []
    if policy.expires_at_anchor and arming.at:
        ends.append(arming.at.astimezone(UTC))
    if policy.expires_at_anchor and arming.on:
        ends.append(clock.midnight(arming.on + ONE_DAY).instant)
    if policy.expires_with_lead and subject.until:
        ends.append(clock.midnight(subject.until + ONE_DAY).instant)
    return min(ends, default=None)


def _base(subject: Subject, arming: Arming, policy: Policy, clock: Clock) -> tuple[Moment, bool]:
    """What the first stage is counted from: the anchor and the delay; and whether it was spread."""
    if arming.on:
        return clock.midnight(arming.on), False
    assert arming.at is not None
    base = clock.moment(arming.at)
    if arming.delay == "none":
        return base, False
    first = arming.days or policy.first_days
    cadence = subject.cadence_days or policy.cadence_days
    base = clock.moved(base, _days(first if arming.delay == "first" else cadence))
    arm = _arm_of(arming, policy)
    if arm is None or not arm.spread_days:
        return base, False
    return _spread(base, subject.id, arm.spread_days, clock), True


@cache
def _days(count: int | None) -> Span:
    return Span(days=count)


def _arm_of(arming: Arming, policy: Policy) -> Arm | None:
    type = arming.counted_from or arming.type
    return next((arm for arm in policy.armed_by if (arm.on, arm.side) == (type, arming.side)), None)


def _spread(base: Moment, id: UUID, days: int, clock: Clock) -> Moment:
    """One to `days` days later, at some waking minute: always the same for one subject, even over many.

    A name-based id's bits are those of a hash; the low and the high ones choose independently.
    """
    day = base.local + timedelta(days=1 + (id.int & 0xFFFFFFFF) % days)
    return Moment.local_at(at_minute(day, clock.hours.open_minute(id.int >> 80)), clock.tz)
