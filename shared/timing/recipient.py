"""Who is told: what timing must know of a seeker, folded from the seeker's and the programmes' events."""

from __future__ import annotations

import json
from typing import Any
from uuid import UUID

from shared.domain import programme, seeker, values
from shared.domain.kernel import Event
from shared.domain.notification import Role
from shared.envelope import Recorded
from shared.immutable import immutable
from shared.replacing import replace
from shared.timing.calendar import WorkWeek, work_week
from shared.timing.policies import Policies
from shared.timing.policy import Policy
from shared.timing.waking import Hours, Waking, waking


@immutable
class Enrolment:
    programme_id: UUID
    coach_id: UUID | None = None


@immutable
class Recipient:
    """One seeker. `id` is the seeker's; everything else may change and moves what is pending."""

    id: UUID
    tenant: str
    time_zone: str = ""
    """Empty until the seeker is registered: nothing is due for a person whose clock is unknown."""
    country: str | None = None
    locale: str | None = None
    quiet_hours: Hours | None = None
    waking_hours: Hours | None = None
    working_days: tuple[int, ...] = ()
    digest: bool = False
    muted: tuple[str, ...] = ()
    overrides: str = "{}"
    """The seeker's policy overrides as canonical JSON."""
    left: bool = False
    enrolments: tuple[Enrolment, ...] = ()
    """In the order of enrolling."""

    def week(self) -> WorkWeek:
        return work_week(self.working_days, self.country)

    def waking(self, policies: Policies) -> Waking:
        return waking(self.waking_hours or policies.limits.waking_hours, self.quiet_hours)

    def policies(self, policies: Policies) -> Policies:
        """As they hold for this seeker."""
        return policies.of(self.tenant, self.overrides)

    def left_aside(self, policies: Policies) -> list[str]:
        """What is not sound of the seeker's overrides, policy by policy: it was when it was accepted, and what the
        tenant has has changed since."""
        return policies.of(self.tenant).problems(json.loads(self.overrides))

    def mutes(self, policy: Policy, role: Role) -> bool:
        """Whether the seeker does not want it. What is for the coach is not the seeker's to mute."""
        return role == "seeker" and policy.mutable and bool({policy.name, policy.kind} & set(self.muted))

    def coach(self, programme_id: UUID | None = None) -> UUID | None:
        """The coach of a programme; of none in particular: the one of the latest enrolment that has one."""
        for enrolment in reversed(self.enrolments):
            if enrolment.coach_id and programme_id in (None, enrolment.programme_id):
                return enrolment.coach_id
        return None


# Asked of every event: what class it is, is found several times faster than whether it is an instance of some.
_OF_SEEKERS = frozenset({seeker.Registered, seeker.Moved, seeker.PreferencesChanged, seeker.Left, seeker.Returned})
_OF_PARTICIPANTS = frozenset({programme.ParticipantEnrolled, programme.ParticipantLeft, programme.CoachChanged})


def recipients(e: Recorded[Event]) -> tuple[UUID, ...]:
    """Ids of the recipients (seekers) whom the event may change, from the event alone."""
    data: Any = e.data
    if type(data) in _OF_SEEKERS:
        return (e.stream_id,)
    return (data.seeker_id,) if type(data) in _OF_PARTICIPANTS else ()


def assigned_programme(e: Recorded[Event]) -> UUID | None:
    """The programme whose recipients all may change by the event: its participants without a coach get one."""
    return e.stream_id if type(e.data) is programme.CoachAssigned else None


def evolve_recipient(id: UUID, recipient: Recipient | None, e: Recorded[Event]) -> Recipient:
    """Fold one event that `recipients` or `assigned_programme` routed here; unchanged is the same object."""
    recipient = recipient or Recipient(id, e.tenant)
    match e.data:
        case seeker.Registered() | seeker.Moved() as lives:
            place = {"time_zone": lives.time_zone, "country": lives.country, "locale": lives.locale}
            return replace(recipient, **place)
        case seeker.PreferencesChanged() as wish:
            return _prefers(recipient, wish)
        case seeker.Left():
            return replace(recipient, left=True)
        case seeker.Returned():
            return replace(recipient, left=False)
        case programme.ParticipantEnrolled() as enrolled:
            others = tuple(one for one in recipient.enrolments if one.programme_id != e.stream_id)
            return replace(recipient, enrolments=(*others, Enrolment(e.stream_id, enrolled.coach_id)))
        case programme.ParticipantLeft():
            left = tuple(one for one in recipient.enrolments if one.programme_id != e.stream_id)
            return replace(recipient, enrolments=left)
        case programme.CoachAssigned() as assigned:
            return _with_coach(recipient, e.stream_id, assigned.coach_id, only_first=True)
        case programme.CoachChanged() as changed:
            return _with_coach(recipient, e.stream_id, changed.coach_id)
        case _:
            return recipient


def _with_coach(recipient: Recipient, programme_id: UUID, coach_id: UUID, *, only_first: bool = False) -> Recipient:
    """`only_first`: where the programme has none for them yet."""
    enrolments = tuple(
        Enrolment(programme_id, coach_id)
        if one.programme_id == programme_id and not (only_first and one.coach_id)
        else one
        for one in recipient.enrolments
    )
    return recipient if enrolments == recipient.enrolments else replace(recipient, enrolments=enrolments)


def _local(hours: values.Hours) -> Hours:
    """Where they were said with an offset, they are those of the seeker's clock all the same: times with offsets are
    equal whenever they are the same in UTC, so that `waking` would take one seeker's hours for another's.
    """
    return hours.start.replace(tzinfo=None), hours.end.replace(tzinfo=None)


def _prefers(recipient: Recipient, wish: seeker.PreferencesChanged) -> Recipient:
    """What is absent stays as it was."""
    if wish.quiet_hours is not None:
        recipient = replace(recipient, quiet_hours=_local(wish.quiet_hours))
    if wish.waking_hours is not None:
        recipient = replace(recipient, waking_hours=_local(wish.waking_hours))
    if wish.working_days is not None:
        recipient = replace(recipient, working_days=tuple(sorted(set(wish.working_days))))
    if wish.digest is not None:
        recipient = replace(recipient, digest=wish.digest)
    if wish.muted is not None:
        recipient = replace(recipient, muted=wish.muted)
    if wish.overrides is not None:
        recipient = replace(recipient, overrides=json.dumps(wish.overrides, sort_keys=True))
    return recipient
