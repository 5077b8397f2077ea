"""Notification: one thing that one person was to be told once, and what became of it.

Its stream begins when its timer ends: with `due`, the event that delivery services turn into mail, push or chat, or
with `withdrawn`, which says why nobody was told. The stream's id follows from policy, subject, occurrence and stage
(`shared.domain.identity.notification_id`): the log's own key forbids a second one.

The events carry ids and no note text: what a delivery service needs to greet a person, it asks for.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import Field, NaiveDatetime

from shared.domain.kernel import NEW, Command, Context, Decider, Event, Machine, Move, On, Stream
from shared.domain.occurrence import check_occurrence
from shared.domain.personal import Personal
from shared.domain.refusals import refusal
from shared.domain.values import Details, Instant, Locale, Name, Slug, Text, ZoneName
from shared.immutable import immutable

Role = Literal["seeker", "coach"]
Urgency = Literal["low", "normal", "high"]
Reason = Literal["expired", "suppressed", "withdrawn", "superseded"]
"""Its moment had passed; it was not wanted or there was nobody to tell; it was no longer needed; another took its
place."""
How = Literal["seen", "acted_on", "dismissed"]


class Cause(Details):
    """The event of the log that armed or ended something."""

    event_id: UUID
    type: str
    position: int


class Addressee(Details):
    """Who is told. A coach without an id is one that the seeker does not have."""

    id: UUID | None = None
    role: Role
    time_zone: ZoneName
    locale: Locale | None = None


class Rule(Details):
    """The policy that asked for it, in the version that did."""

    policy: Slug
    version: str


class Action(Details):
    """A command that would answer the notification, and the stream to send it to."""

    command: str
    category: str
    id: UUID


class NotificationEvent(Event):
    """Tells whose and what it is, so that a reader needs no look-up."""

    kind: Slug
    """What it is about and what the recipient may mute, such as `thank_you`."""
    stage: Slug
    """Which of its reminders, such as `due`, `overdue`, `coach`."""
    rule: Rule
    subject: Slug
    """Category of the stream that it is about."""
    subject_id: UUID
    occurrence: UUID
    """The event that armed this round; another round is another notification."""
    recipient: Addressee
    seeker_id: UUID
    contact_ids: tuple[UUID, ...] = Field(default=(), max_length=20)
    interview_id: UUID | None = None
    lead_id: UUID | None = None
    programme_id: UUID | None = None
    cancellation_key: str
    """Shared by all stages of an occurrence, and unique within the tenant only. Once a `withdrawn` for the reason
    `withdrawn` or `superseded` shows it, or an `acknowledged` that says `acted_on` or `dismissed`, whatever of it is
    still undelivered is needless. A `snoozed` makes one notification needless: that whose `dedupe_key` is its own
    stream."""


class Due(NotificationEvent, type="notification.due"):
    """Somebody is to be told something now: what delivery services turn into mail, push or chat."""

    dedupe_key: str
    """Permanent: two messages of one tenant with one key are one notification, however far apart. It is the id of its
    stream."""
    group_key: str
    """Shared by what is fired for one person within an hour (with a digest: a day): may be delivered as one. Unique
    within the tenant only."""
    due_at: Instant
    local_due: NaiveDatetime
    """The same on the recipient's wall clock, without offset."""
    not_before: Instant
    expires_at: Instant
    """From here on it must not be delivered any more."""
    late_seconds: int = Field(ge=0)
    """How long after `due_at` it was fired."""
    urgency: Urgency
    topic: Slug
    armed_by: Cause
    moved_by: tuple[Slug, ...] = Field(default=(), max_length=20)
    """What moved it from the rule's plain moment: quiet hours, spread, digest …"""
    actions: tuple[Action, ...] = Field(default=(), max_length=10)
    escalates_to: UUID | None = None
    """The coach who is told if this can't be delivered."""


class Untold(Details):
    """A further stage that ends together with another, never to fall due."""

    id: UUID
    """Of its notification, which has no stream of its own."""
    stage: Slug
    role: Role
    """Who was to be told."""
    recipient_id: UUID | None = None


class Withdrawn(NotificationEvent, type="notification.withdrawn"):
    """Nobody is told: instead of `due`, or, where that has been, not any more.

    What ends a round of reminders ends all of its stages that are still to come: that is one event, on the stream of
    the first of them.
    """

    reason: Reason
    because: str = Field(max_length=100)
    """A code (`muted`, `no_coach`, `moment_passed` …) or the type of the event that made it needless."""
    others: tuple[Untold, ...] = Field(default=(), max_length=20)
    """The later stages of the same occurrence that end with it."""
    cause: Cause | None = None
    due_at: Instant | None = None
    """Where it ended because its moment had come: when that was. Not of what was due ahead of the
    earliest day that may be said, or after the last."""

    @property
    def stages(self) -> tuple[str, ...]:
        """Names of all stages that it ends."""
        return (self.stage, *(other.stage for other in self.others))


class Delivered(NotificationEvent, type="notification.delivered"):
    """A delivery service has told the recipient."""

    channel: Name | None = None


class Failed(NotificationEvent, type="notification.failed"):
    """A delivery service could not tell the recipient."""

    channel: Name | None = None
    why: Annotated[Text | None, Personal("seeker")] = None
    permanent: bool = False


class Escalated(NotificationEvent, type="notification.escalated"):
    """It can't reach the seeker; the coach is to be told, by a notification of their own."""

    coach_id: UUID


class Acknowledged(NotificationEvent, type="notification.acknowledged"):
    """The recipient has taken note of it."""

    how: How
    """`seen` changes nothing; `acted_on` and `dismissed` end the reminders of this occurrence."""


class Snoozed(NotificationEvent, type="notification.snoozed"):
    """It is to come again then: as a notification of its own, whose occurrence is this event.

    What is counted from it is counted from then.
    """

    until: Instant


class ReportDelivered(Command, command="notification.report_delivered"):
    """Report that the recipient has been told, as a delivery service does."""

    channel: Name | None = None
    """By what, such as mail."""


class ReportFailed(Command, command="notification.report_failed"):
    """Report that the recipient could not be told, as a delivery service does.

    A permanent failure escalates to the seeker's coach, where there is one.
    """

    channel: Name | None = None
    """By what, such as mail."""
    why: Annotated[Text | None, Personal("seeker")] = None
    """What the channel said, such as: mailbox unavailable."""
    permanent: bool = False
    """Whether trying again is of no use."""


class Acknowledge(Command, command="notification.acknowledge"):
    """Record that the recipient has taken note of it.

    Ends reminders, and records nothing else: that somebody was thanked, say, is recorded by a command that the
    notification names among its `actions`, which ends them, too, and goes before this one.
    """

    how: How
    """`acted_on` and `dismissed` end all that is to come of this round, the coach's as well; `seen` ends nothing."""


class Snooze(Command, command="notification.snooze"):
    """Have it come again at another time, as a notification of its own."""

    until: Instant
    """When it is to come again: a day and time with its offset from UTC, such as 2026-03-01T10:00:00Z, not past."""


class Withdraw(Command, command="notification.withdraw"):
    """Take back what fell due and is needless by now.

    Where it was snoozed, it does not come again either; later reminders of the same round still do.
    """

    because: Slug = "asked"
    """A code for the reason, such as `asked`."""


_OPEN = {"due", "delivered", "failed", "escalated"}

MACHINE = Machine(
    "notification",
    {
        Due: Move({NEW}, "due"),
        Delivered: Move({"due", "delivered", "failed"}, "delivered"),
        Failed: Move({"due", "delivered", "failed"}, "failed"),
        Escalated: Move({"failed"}, "escalated"),
        Acknowledged: Move({*_OPEN, "snoozed"}, "acknowledged", unless={"how": ("seen",)}),
        Snoozed: Move(_OPEN, "snoozed"),
        Withdrawn: Move({NEW, *_OPEN, "snoozed"}, "withdrawn"),
    },
    commands={
        ReportDelivered: Delivered,
        ReportFailed: Failed,
        Acknowledge: Acknowledged,
        Snooze: Snoozed,
        Withdraw: Withdrawn,
    },
)


@immutable
class State:
    status: str = NEW
    first: NotificationEvent | None = None
    """What every later event repeats."""
    seen: bool = False


def evolve(state: State | None, event: Event) -> State:
    state = state or State()
    first = state.first or (event if isinstance(event, NotificationEvent) else None)
    return State(MACHINE.next(state.status, event), first, state.seen or _tells_seen(event))


def _tells_seen(event: Event) -> bool:
    return isinstance(event, Acknowledged) and event.how == "seen"


def decide(command: Command, state: State | None, context: Context) -> list[Event | On]:
    check_occurrence(context)
    if state is None or state.first is None:
        # A stream begins when its timer ends, never by a command: any event that can't come first says so.
        MACHINE.require(NEW, Delivered)
        return []
    event, *more = _wanted(command, state.first, context)
    MACHINE.require(state.status, type(event))
    if state.seen and _tells_seen(event):
        raise refusal("already_done", "it was seen before", field="/how", what="that it was seen")
    return [event, *more]


def _wanted(command: Command, first: NotificationEvent, context: Context) -> list[Event]:
    same: dict[str, Any] = {name: getattr(first, name) for name in NotificationEvent.model_fields}
    match command:
        case ReportDelivered():
            return [Delivered(**same, channel=command.channel)]
        case ReportFailed():
            failed = Failed(**same, channel=command.channel, why=command.why, permanent=command.permanent)
            if command.permanent and isinstance(first, Due) and first.escalates_to:
                return [failed, Escalated(**same, coach_id=first.escalates_to)]
            return [failed]
        case Acknowledge():
            return [Acknowledged(**same, how=command.how)]
        case Snooze():
            if command.until <= context.now:
                raise refusal("already_over", f"{command.until.isoformat()} is past", field="/until")
            return [Snoozed(**same, until=command.until)]
        case Withdraw():
            return [Withdrawn(**same, reason="withdrawn", because=command.because)]
        case _:
            raise TypeError(f"{command.type} is not a command of a notification")


def also(command: Command, state: State | None, context: Context) -> Iterable[Stream]:
    return ()


DECIDER = Decider("notification", evolve, decide, also)
