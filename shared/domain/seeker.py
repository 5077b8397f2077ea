"""Seeker: a person who wants to learn about a field, a company or a role, and drives the conversation."""

from __future__ import annotations

from functools import partial
from typing import Annotated, Any
from uuid import UUID

from pydantic import Field, StringConstraints

from shared.domain.kernel import NEW, Command, Context, Decider, Event, Machine, Move, On, Stream
from shared.domain.occurrence import check_occurrence
from shared.domain.people import require_contact
from shared.domain.personal import Personal
from shared.domain.refusals import refusal
from shared.domain.values import (
    Country,
    Day,
    Details,
    Email,
    Hours,
    Locale,
    Name,
    Note,
    OutcomeKind,
    Settings,
    Slug,
    Stage,
    Text,
    Verdict,
    Zone,
    ZoneName,
    emptied,
    said,
)
from shared.faults import form
from shared.immutable import immutable
from shared.replacing import replace
from shared.timing.policies import Policies, default_policies

_OVERRIDE = '{"thank_you": {"stages": {"due": {"after": {"hours": 3}}}}}'
_DIGEST = form(r"^[0-9a-f]{64}$", "the SHA-256 of the secret, in 64 hexadecimal digits, small letters")


class Goals(Details):
    """All goals as they stand; what is absent is no longer one."""

    stage: Stage = "other"
    """Where the seeker stands in their career."""
    fields: tuple[Name, ...] = Field(default=(), max_length=20)
    """Those that the seeker aspires to, such as `["marketing"]`."""
    goal: Text | None = None
    """What the seeker is after, in a few sentences."""
    goal_date: Day | None = None
    """By when, such as 2026-09-01: they are reminded months and weeks ahead of it."""


class Whereabouts(Details):
    time_zone: ZoneName
    """Where the seeker lives, such as Europe/Lisbon: notifications come by its clock."""
    country: Country | None = None
    """ISO 3166-1, such as PT: decides the public holidays."""
    locale: Locale | None = None
    """The language to be written to in (BCP 47), such as pt-PT."""


class Identity(Details):
    name: Annotated[Name, Personal("seeker")]
    email: Annotated[Email | None, Personal("seeker")] = None


class Introduction(Details):
    """The professional introduction that S4 wants ready."""

    text: Annotated[Note, Personal("seeker")]
    """The introduction itself."""


def _naming_policies(schema: dict[str, Any]) -> None:
    named = ", ".join(f"`{policy.name}`" for policy in default_policies().by_name.values() if policy.mutable)
    schema["description"] += f" The policies are: {named}."


class Preferences(Details):
    """How to be notified; what is absent stays as it was."""

    quiet_hours: Hours | None = None
    """When nothing is to come, by the seeker's own clock."""
    waking_hours: Hours | None = None
    """When something may come, by the seeker's own clock."""
    working_days: Annotated[tuple[Annotated[int, Field(ge=1, le=7)], ...], Field(max_length=7)] | None = None
    """ISO weekdays, Monday being 1."""
    digest: bool | None = None
    """Whether what falls due is to wait for the next digest, to be delivered together. What is urgent, and what is
    counted back from a date, such as a conversation to prepare, comes at its own time."""
    muted: Annotated[tuple[Slug, ...], Field(max_length=50)] | None = Field(None, json_schema_extra=_naming_policies)
    """Policies that are not wanted, by name or kind, such as `["thank_you"]`; complete, so an empty one unmutes all.
    What they tell the coach, they still do."""
    overrides: Settings | None = None
    """Policy (by name, or `limits`) → setting → value: changed lead times, such as
    `{"thank_you": {"stages": {"due": {"after": {"hours": 3}}}}, "connect": {"enabled": false}}`; complete, so an empty
    one goes back to the tenant's."""


class FieldVerdict(Details):
    """What the conversations taught about a field: S3's whole purpose."""

    field: Name
    """Which, such as marketing."""
    verdict: Verdict
    """Whether to go on with it."""
    why: Annotated[Text | None, Personal("seeker")] = None
    """The reason."""


class Outcome(Details):
    """Where it led, and through whom: most jobs come through people (S2)."""

    kind: OutcomeKind
    """What it led to."""
    what: Annotated[Text | None, Personal("seeker")] = None
    """The same in words, such as the position found."""
    through_contact_id: UUID | None = None
    """The contact through whom it came about."""


class FeedSecret(Details):
    """The secret address of the calendar feed. Who asks for the feed makes the secret, 32 characters or more, by
    chance; only its digest is told, so that the log can't give it away.
    """

    secret_sha256: Annotated[str, StringConstraints(pattern=_DIGEST)]
    """The SHA-256 of the secret, in hexadecimal digits, small letters."""


class Leaving(Details):
    why: Annotated[Text | None, Personal("seeker")] = None
    """The reason."""


class SeekerEvent(Event):
    """An event of a seeker's stream, whose id is the seeker's."""


class Registered(SeekerEvent, Identity, Goals, Whereabouts, type="seeker.registered"):
    """A person who wants to learn through conversations became known."""


class DetailsCorrected(SeekerEvent, Identity, type="seeker.details_corrected"):
    """Name and address as they should have been, complete."""


class GoalsChanged(SeekerEvent, Goals, type="seeker.goals_changed"):
    """What the seeker is after from now on, complete."""


class IntroductionWritten(SeekerEvent, Introduction, type="seeker.introduction_written"):
    """How the seeker introduces themselves, complete."""


class Moved(SeekerEvent, Whereabouts, type="seeker.moved"):
    """Where the seeker lives now, complete: time zone, country and language."""


class PreferencesChanged(SeekerEvent, Preferences, type="seeker.preferences_changed"):
    """How the seeker wants to be notified; what is absent stays as it was."""


class VerdictRecorded(SeekerEvent, FieldVerdict, type="seeker.verdict_recorded"):
    """What the conversations taught the seeker about a field."""


class OutcomeRecorded(SeekerEvent, Outcome, type="seeker.outcome_recorded"):
    """Where it led: a job, a course of studies, another field."""


class CalendarFeedOpened(SeekerEvent, FeedSecret, type="seeker.calendar_feed_opened"):
    """The agenda can be subscribed to; an earlier address no longer leads to it."""


class CalendarFeedClosed(SeekerEvent, type="seeker.calendar_feed_closed"):
    """No address leads to the agenda any more."""


class Left(SeekerEvent, Leaving, type="seeker.left"):
    """The seeker does not take part any more; nothing is to be sent."""


class Returned(SeekerEvent, type="seeker.returned"):
    """The seeker takes part again, with all that was recorded."""


class Register(Command, Identity, Goals, Whereabouts, command="seeker.register", creates=True):
    """Register a seeker: a person who wants to learn through conversations."""

    time_zone: Zone
    """Where the seeker lives, such as Europe/Lisbon: notifications come by its clock."""


class CorrectDetails(Command, command="seeker.correct_details"):
    """Correct a seeker's name or e-mail address; what is absent stays as it was."""

    name: Annotated[Name | None, Personal("seeker")] = None
    email: Annotated[Email | None, emptied(Email), Personal("seeker")] = None
    """Empty: the seeker has none any more."""


class ChangeGoals(Command, Goals, command="seeker.change_goals"):
    """Record what the seeker is after from now on: all of it, so what is absent is no goal any more."""


class WriteIntroduction(Command, Introduction, command="seeker.write_introduction"):
    """Write how the seeker introduces themselves, in place of what was written before."""


class Relocate(Command, Whereabouts, command="seeker.relocate"):
    """Record where the seeker lives now; an absent country or locale stays as it was."""

    time_zone: Zone
    """Such as Europe/Lisbon: notifications come by its clock."""


class ChangePreferences(Command, Preferences, command="seeker.change_preferences"):
    """Change how the seeker is notified; what is absent stays as it was."""


class RecordVerdict(Command, FieldVerdict, command="seeker.record_verdict"):
    """Record what the conversations taught the seeker about a field."""


class RecordOutcome(Command, Outcome, command="seeker.record_outcome"):
    """Record where it led: a job, a course of studies, another field.

    Begins the reminders to tell the contacts of it.
    """


class OpenCalendarFeed(Command, FeedSecret, command="seeker.open_calendar_feed"):
    """Open the agenda to calendar programs, at a secret address; an earlier one no longer leads to it."""


class CloseCalendarFeed(Command, command="seeker.close_calendar_feed"):
    """Close the calendar feed: no address leads to the agenda any more."""


class Leave(Command, Leaving, command="seeker.leave"):
    """Record that the seeker does not take part any more.

    No notification about them comes any more, and nothing new can be asked of anybody for them. What was recorded
    stays, personal data included. `seeker.return` takes it back, except that reminders which ended stay ended.
    """


class Return(Command, command="seeker.return"):
    """Record that a seeker who had left takes part again.

    Under the same id, with all contacts and ties. Reminders that ended on leaving stay ended: what happens from now on
    begins new ones, and `relationship.start_keeping_in_touch` those of a tie.
    """


EVENT_OF: dict[type[Command], type[Event]] = {
    Register: Registered,
    CorrectDetails: DetailsCorrected,
    ChangeGoals: GoalsChanged,
    WriteIntroduction: IntroductionWritten,
    Relocate: Moved,
    ChangePreferences: PreferencesChanged,
    RecordVerdict: VerdictRecorded,
    RecordOutcome: OutcomeRecorded,
    OpenCalendarFeed: CalendarFeedOpened,
    CloseCalendarFeed: CalendarFeedClosed,
    Leave: Left,
    Return: Returned,
}

MACHINE = Machine(
    "seeker",
    {
        Registered: Move({NEW}, "registered"),
        DetailsCorrected: Move({"registered"}),
        GoalsChanged: Move({"registered"}),
        IntroductionWritten: Move({"registered"}),
        Moved: Move({"registered"}),
        PreferencesChanged: Move({"registered"}),
        VerdictRecorded: Move({"registered"}),
        OutcomeRecorded: Move({"registered", "left"}),
        CalendarFeedOpened: Move({"registered"}),
        CalendarFeedClosed: Move({"registered", "left"}),
        Left: Move({"registered"}, "left"),
        Returned: Move({"left"}, "registered"),
    },
    commands=EVENT_OF,
    setbacks={"left"},
)


@immutable
class State:
    status: str = NEW
    name: str = ""
    email: str | None = None
    fields: tuple[str, ...] = ()
    """Those aspired to."""
    time_zone: str = "UTC"
    country: str | None = None
    locale: str | None = None
    introduced: bool = False
    """Whether the professional introduction is written."""
    feed: str | None = None
    """The digest of the calendar feed's secret, while it is open."""


def evolve(state: State | None, event: Event) -> State:
    state = state or State()
    state = replace(state, status=MACHINE.next(state.status, event))
    match event:
        case Registered():
            return replace(
                state,
                name=event.name,
                email=event.email,
                fields=event.fields,
                time_zone=event.time_zone,
                country=event.country,
                locale=event.locale,
            )
        case DetailsCorrected():
            return replace(state, name=event.name, email=event.email)
        case Moved():
            return replace(state, time_zone=event.time_zone, country=event.country, locale=event.locale)
        case GoalsChanged():
            return replace(state, fields=event.fields)
        case IntroductionWritten():
            return replace(state, introduced=True)
        case CalendarFeedOpened():
            return replace(state, feed=event.secret_sha256)
        case CalendarFeedClosed():
            return replace(state, feed=None)
        case _:
            return state


def decide(
    command: Command, state: State | None, context: Context, policies: Policies | None = None
) -> list[Event | On]:
    """`policies` are those by which timers are computed, with what tenants change; absent: this release's."""
    check_occurrence(context)
    state = state or State()
    event = EVENT_OF[type(command)]
    MACHINE.require(state.status, event)
    match command:
        case CorrectDetails() if not command.model_fields_set:
            raise refusal("nothing_changes", "no detail is given")
        case CorrectDetails():
            return [_corrected(command, state)]
        case Relocate():
            return [_moved(command, state)]
        case ChangePreferences() if not command.model_fields_set:
            raise refusal("nothing_changes", "no preference is given")
        case ChangePreferences():
            _check_overrides(command, (policies or default_policies()).of(context.tenant))
        case OpenCalendarFeed() if command.secret_sha256 == state.feed:
            raise refusal("nothing_changes", "the feed is open at that address already", field="/secret_sha256")
        case CloseCalendarFeed() if state.feed is None:
            raise refusal("nothing_changes", "no feed is open")
        case RecordOutcome() if command.through_contact_id:
            require_contact(context, command.through_contact_id, field="/through_contact_id")
    return [event(**said(command))]


def _check_overrides(command: ChangePreferences, policies: Policies) -> None:
    """What is not sound with the tenant's `policies` would be left aside when timers are computed."""
    known = ", ".join(policies.by_name)
    for name, settings in (command.overrides or {}).items():
        if problems := policies.problems({name: settings}):
            told = f"{'; '.join(problems)} (an override looks like {_OVERRIDE})"
            raise refusal("unsound_override", told, field=f"/overrides/{name}", policies=known)
    kinds = {kind for policy in policies.by_name.values() for kind in (policy.name, policy.kind)}
    for at, name in enumerate(command.muted or ()):
        if name not in kinds:
            raise refusal("unsound_override", f"there is no policy {name}", field=f"/muted/{at}", policies=known)


def _corrected(command: CorrectDetails, state: State) -> DetailsCorrected:
    email = state.email if command.email is None else command.email or None
    return DetailsCorrected(name=command.name or state.name, email=email)


def _moved(command: Relocate, state: State) -> Moved:
    moved = Moved(
        time_zone=command.time_zone,
        country=command.country or state.country,
        locale=command.locale or state.locale,
    )
    if (moved.time_zone, moved.country, moved.locale) == (state.time_zone, state.country, state.locale):
        raise refusal("nothing_changes", "this is where the seeker lives already")
    return moved


def also(command: Command, state: State | None, context: Context) -> list[Stream]:
    if isinstance(command, RecordOutcome) and command.through_contact_id:
        return [Stream("contact", command.through_contact_id)]
    return []


def next_move(state: State) -> str | None:
    """The next polite move, a key of `moves.MOVES`."""
    return "write_introduction" if state.status == "registered" and not state.introduced else None


DECIDER = Decider("seeker", evolve, decide, also)


def decider(policies: Policies) -> Decider[State]:
    """The decider where tenants change what `policies` say."""
    return Decider("seeker", evolve, partial(decide, policies=policies), also)
