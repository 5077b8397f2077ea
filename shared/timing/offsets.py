"""How far one moment lies from another, as data, and the arithmetic on it."""

from __future__ import annotations

from datetime import date, datetime, time, timedelta
from functools import cached_property
from typing import Self
from zoneinfo import ZoneInfo

from pydantic import BaseModel, ConfigDict, Field, model_validator

from shared.timing.calendar import ONE_DAY, Moment, WorkWeek, plus_months


class Span(BaseModel):
    """A length of time in exactly one unit.

    Hours are elapsed time, the same however clocks are changed. Days, weeks, months and working days are those of the
    calendar: they keep the wall clock, and months end where the month ends.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    hours: float | None = Field(default=None, ge=0, le=24 * 366)
    days: int | None = Field(default=None, ge=0, le=1_000)
    weeks: int | None = Field(default=None, ge=0, le=150)
    months: int | None = Field(default=None, ge=0, le=36)
    working_days: int | None = Field(default=None, ge=0, le=250)

    @model_validator(mode="after")
    def _one_unit(self) -> Self:
        if len(self.model_dump(exclude_none=True)) != 1:
            raise ValueError("give exactly one of hours, days, weeks, months, working_days")
        return self

    @cached_property
    def nominal(self) -> timedelta:
        """About how long in elapsed time: for comparing spans, and where an hour more or less is no matter."""
        calendar_days = (self.days or 0) + 7 * (self.weeks or 0) + 30.4 * (self.months or 0)
        return timedelta(hours=self.hours or 0, days=calendar_days + 1.4 * (self.working_days or 0))


def shifted(moment: Moment, span: Span, sign: int, tz: ZoneInfo, week: WorkWeek, at: time | None = None) -> Moment:
    """`moment` moved by `span`, forward (sign +1) or back (-1); on the day found, at the time of day `at` if given.

    After (before) so many hours, that is the next (last) time that the clock shows it.
    """
    if span.hours is not None:
        moment = Moment.of(moment.instant + sign * timedelta(hours=span.hours), tz)
        return moment if at is None else _next(moment, at, sign, tz)
    day = _day(moment.local.date(), span, sign, week)
    if at is None and day == moment.local.date():
        return moment  # of two moments with one wall clock, where an hour comes twice, the one that it is
    return Moment.local_at(datetime.combine(day, at or moment.local.time()), tz)


def _next(moment: Moment, at: time, sign: int, tz: ZoneInfo) -> Moment:
    """The first moment from `moment` on, in the direction of `sign`, at which the clock shows `at`."""
    shown = datetime.combine(moment.local.date(), at)
    found = Moment.local_at(shown, tz)
    ahead = sign * (found.instant - moment.instant) >= timedelta(0)
    return found if ahead else Moment.local_at(shown + sign * ONE_DAY, tz)


def _day(day: date, span: Span, sign: int, week: WorkWeek) -> date:
    if span.working_days is not None:
        return week.step(day, sign * span.working_days)
    if span.months is not None:
        return plus_months(day, sign * span.months)
    return day + sign * timedelta(days=(span.days or 0) + 7 * (span.weeks or 0))
