"""What a timing policy is: which event arms it, which disarms it, and its stages. All of it data.

`policies.toml` holds the defaults and explains each figure; `shared.timing.policies` reads, checks and overrides them.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from functools import cached_property
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from shared.domain.notification import Role, Urgency
from shared.domain.values import Slug, TimeOfDay
from shared.timing.offsets import Span
from shared.timing.waking import Direction

Anchor = Literal["occurred", "starts_at", "ends_at", "goal_date", "until", "not_before"]
"""What the stages are counted from: when the arming event happened, or a time that it names (`not_before`: where that
is later)."""
Delay = Literal["none", "first", "cadence"]
"""What is added to the anchor: nothing, the relationship's first interval, or its cadence."""
Rearm = Literal["replace", "latest", "each", "advance", "keep"]
"""What another arming event does while armed: takes the place of the first; does so unless it happened earlier;
stands beside it; takes its place and goes on at the next stage; nothing, unless all of the first has ended untold."""
Remember = Literal["no", "later", "ever"]
"""What a disarming event that is folded first does to an arming one folded after it: nothing; ends it if it happened
later; ends it in any case."""
Side = Literal["contact", "introducer"]
"""Whose relationship an event concerns: the contact's, or that of a person who introduced, or was asked to."""


WallTime = Annotated[TimeOfDay, AfterValidator(lambda said: said.replace(tzinfo=None))]
"""A time of day on the recipient's own clock, with whatever offset it was said."""


def _some_time(span: Span) -> Span:
    if not span.nominal:
        raise ValueError("what expires as it falls due is never told")
    return span


Lasting = Annotated[Span, AfterValidator(_some_time)]
"""For how long something may be told."""


class Data(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


def _spelled_out(value: object) -> object:
    return {"on": value} if isinstance(value, str) else value


class Trigger(Data):
    """An event type; only with the values of its fields that `where` names, and never with those of `unless`."""

    on: str
    where: dict[str, tuple[str | bool | int, ...]] = Field(default_factory=dict)
    unless: dict[str, tuple[str | bool | int, ...]] = Field(default_factory=dict)

    def wants(self, event: Any) -> bool:
        if not self.where and not self.unless:
            return True
        return all(getattr(event, field) in values for field, values in self.where.items()) and not any(
            getattr(event, field) in values for field, values in self.unless.items()
        )


class Arm(Trigger):
    anchor: Anchor = "occurred"
    delay: Delay = "none"
    restart: bool = False
    """Only restarts what is armed already."""
    begun: bool = False
    """Only restarts a round of which the first stage has ended: one that is all ahead stays as it is."""
    over: bool = False
    """Only where nothing of a round is left to come; the one that it begins has the first stage alone."""
    side: Side = "contact"
    through: Literal["connector_id"] | None = None
    """Field that names another contact, who is to be asked: no more of it once they are to be left in peace."""
    once_for: Literal["contact_ids"] | None = None
    """Field that names the contacts on whose account it is: no more where it was armed on account of all of them."""
    spread_days: int = Field(default=0, ge=0, le=60)
    """A stable hash puts the whole round one to so many days later, at any waking minute."""


class Disarm(Trigger):
    of: Literal["thanked_ids"] | None = None
    """Field that names the contacts for whom it is over; absent: for all."""
    remember: Remember = "no"
    same_programme: bool = False
    """Ends only what the same programme armed."""


Arms = Annotated[Arm, BeforeValidator(_spelled_out)]
Disarms = Annotated[Disarm, BeforeValidator(_spelled_out)]


class Stage(Data):
    """One notification of a round. Counted `after` or `before` the anchor, or `then` from the stage before it."""

    name: Slug
    after: Span | None = None
    before: Span | None = None
    then: Span | None = None
    after_times: bool = False
    """Counted from the last of the times that the arming event offers, where that comes later."""
    at: WallTime | None = None
    """Time of day on the day found; absent: as the arithmetic leaves it."""
    days: Literal["any", "working"] | None = None
    """Which days it may fall on; absent: working days if it is counted in them, else any."""
    shift: Direction = "later"
    """Where to out of quiet hours; deadlines go earlier, though what has a time of day stays on its day where there is
    time on that."""
    to: Role = "seeker"
    urgency: Urgency | None = None
    expires_after: Lasting | None = None
    """After it was due, in elapsed time; it also expires when a later stage is due."""
    late: Lasting | None = None
    """For so long after it was to be due it may still begin; once it does, `expires_after` counts from then. Absent: no
    longer than `expires_after`."""
    grace_hours: float = Field(default=0, ge=0, le=24 * 14)
    """Not before so many hours after the arming event was written down: no one is reported for what they were not
    reminded of, when an old conversation is written up late."""
    when_past: Literal["fire", "skip"] = "fire"
    """If its moment had passed when the arming event was written down. What is to be skipped for `shift` alone, as it
    went earlier than that, goes later instead while there is time."""
    enabled: bool = True

    @model_validator(mode="after")
    def _one_offset(self) -> Self:
        if sum(span is not None for span in (self.after, self.before, self.then)) != 1:
            raise ValueError(f"stage {self.name}: give exactly one of after, before, then")
        return self

    @cached_property
    def on_working_days(self) -> bool:
        return self.days == "working" or (self.days is None and self.span.working_days is not None)

    @cached_property
    def span(self) -> Span:
        span = self.after or self.before or self.then
        assert span is not None
        return span


class Policy(Data):
    name: Slug
    version: int = Field(ge=1)
    kind: Slug = ""
    """What the recipient sees and may mute; several policies may be of one kind. Absent: the name."""
    topic: Slug
    subject: Slug
    """Category of the streams it is about."""
    armed_by: tuple[Arms, ...] = Field(min_length=1)
    disarmed_by: tuple[Disarms, ...] = ()
    held_by: tuple[str, ...] = ()
    """Events after which the round stands still, until …"""
    released_by: tuple[str, ...] = ()
    rearm: Rearm = "replace"
    first_days: int | None = Field(default=None, ge=1, le=730)
    cadence_days: int | None = Field(default=None, ge=1, le=730)
    stages: tuple[Stage, ...] = Field(min_length=1, max_length=10)
    urgency: Urgency = "normal"
    expires_after: Lasting
    expires_at_anchor: bool = False
    expires_with_lead: bool = False
    """On the day after which the lead is too late, where it names one."""
    actions: tuple[str, ...] = ()
    """Commands that would answer it."""
    reaches_contact: bool = False
    """Asks the seeker to write to the contact, or to prepare to meet them: pointless once the contact asked to be left
    alone."""
    mutable: bool = True
    """Whether the seeker may mute or change it."""
    enabled: bool = True
    override: str = ""
    """Digest of what was overridden; part of the version that notifications record."""

    @model_validator(mode="before")
    @classmethod
    def _kind_is_name(cls, data: Any) -> Any:
        return {"kind": data.get("name"), **data} if isinstance(data, dict) else data

    @model_validator(mode="after")
    def _is_sound(self) -> Self:
        problems = list(self._problems())
        if problems:
            raise ValueError("; ".join(problems))
        return self

    def _problems(self) -> Iterator[str]:
        names = [stage.name for stage in self.stages]
        if len(set(names)) < len(names):
            yield "the names of its stages are not unique"
        types = [(arm.on, arm.side) for arm in self.armed_by]
        if len(set(types)) < len(types):
            yield "an event arms it twice"
        if self.rearm == "advance" and any(stage.then is None for stage in self.stages):
            yield "one that advances counts every stage from the one before it (`then`)"
        delays = {arm.delay for arm in self.armed_by}
        for delay, days in (("first", self.first_days), ("cadence", self.cadence_days)):
            if delay in delays and days is None:
                yield f"{delay}_days is needed"
            if delay not in delays and days is not None:
                yield f"{delay}_days has no effect: no event arms it with that delay"
        yield from self._falling_offsets()

    def _falling_offsets(self) -> Iterator[str]:
        """Stages must come one after another, whatever units they are counted in."""
        reached: timedelta | None = None
        for stage in self.stages:
            length = stage.span.nominal
            if stage.then is not None:
                offset = (reached or timedelta(0)) + length
            else:
                offset = -length if stage.before is not None else length
            if reached is not None and offset <= reached:
                yield f"stage {stage.name} does not come after the one before it"
            reached = offset

    @cached_property
    def rule_version(self) -> str:
        return f"{self.version}+{self.override}" if self.override else str(self.version)

    @property
    def recurs(self) -> bool:
        return any(arm.delay == "cadence" for arm in self.armed_by)


class Limits(Data):
    """What holds for a recipient whatever the policy."""

    waking_hours: tuple[WallTime, WallTime]
    """Where the recipient named none."""
    cap_per_day: int = Field(ge=1, le=1_000)
    """Notifications for one person in one local day; those of urgency `high` come through and are counted, and those of
    urgency `low` come only while half of the day's are left."""
    digest_at: WallTime
    """When the digest of the day is put together."""
    version: int = Field(default=1, ge=1)


class StageOverride(Data):
    """What may be different about a stage. A span replaces the one that the stage has, counted the same way; one in
    hours, where that was of the calendar, its time of day, too."""

    after: Span | None = None
    before: Span | None = None
    then: Span | None = None
    at: WallTime | None = None
    days: Literal["any", "working"] | None = None
    urgency: Urgency | None = None
    expires_after: Lasting | None = None
    enabled: bool | None = None


class PolicyOverride(Data):
    """What a tenant or a seeker may change about a policy: its timing, never what arms or disarms it."""

    enabled: bool | None = None
    first_days: int | None = Field(default=None, ge=1, le=730)
    cadence_days: int | None = Field(default=None, ge=1, le=730)
    urgency: Urgency | None = None
    expires_after: Lasting | None = None
    stages: dict[Slug, StageOverride] = Field(default_factory=dict)


class LimitsOverride(Data):
    waking_hours: tuple[WallTime, WallTime] | None = None
    cap_per_day: int | None = Field(default=None, ge=1, le=1_000)
    digest_at: WallTime | None = None
