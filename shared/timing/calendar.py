"""Between wall clock and instant, and which days are worked.

An instant is an aware datetime in UTC; a local time is a naive one, meant in a zone. A local time that daylight saving
skips or repeats is read with the offset before the change, as RFC 5545 has it: 02:30 in a gap of one hour is
03:30 on the new clock, 02:30 of a repeated hour is the first of the two.
"""

from __future__ import annotations

from calendar import monthrange
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from importlib.metadata import version
from typing import NamedTuple
from zoneinfo import ZoneInfo

import holidays
from holidays.registry import EntityLoader

ONE_DAY = timedelta(days=1)
MONDAY_TO_FRIDAY = frozenset({1, 2, 3, 4, 5})
"""ISO weekdays."""
SOURCES = f"tzdata {version('tzdata')}, holidays {version('holidays')}"
"""Where the rules of zones and the holidays are from: by others, the same facts may lead to other moments."""


def wall(moment: datetime, tz: ZoneInfo) -> datetime:
    """What a clock on the wall shows: naive."""
    return moment.astimezone(tz).replace(tzinfo=None, fold=0)


def instant(local: datetime, tz: ZoneInfo, fold: int = 0) -> datetime:
    """The instant of a local time; `fold=1` reads a skipped or repeated one with the offset after the change."""
    return local.replace(tzinfo=tz, fold=fold).astimezone(UTC)


class Moment(NamedTuple):
    """One moment as an instant, and as the wall clock of the person concerned shows it (naive)."""

    local: datetime
    instant: datetime

    @classmethod
    def of(cls, at: datetime, tz: ZoneInfo) -> Moment:
        return cls(wall(at, tz), at)

    @classmethod
    def local_at(cls, local: datetime, tz: ZoneInfo, fold: int = 0) -> Moment:
        """A local time that daylight saving skips shows as the one that the clock went on to."""
        found = instant(local, tz, fold)
        return cls(wall(found, tz), found)


def plus_months(day: date, months: int) -> date:
    """The same day of another month, or that month's last day: 31 January and a month is 28 or 29 February."""
    year, month = divmod(day.year * 12 + day.month - 1 + months, 12)
    return date(year, month + 1, min(day.day, monthrange(year, month + 1)[1]))


COUNTRIES = frozenset(EntityLoader.get_country_codes())
"""Those whose public holidays are known; told without loading them, which takes most of a second."""


@lru_cache(maxsize=4096)
def public_holidays(country: str | None, year: int) -> frozenset[date]:
    """Those of the whole country; none for a country that is not known or not given."""
    if country is None:
        return frozenset()
    try:
        return frozenset(holidays.country_holidays(country, years=year))
    except NotImplementedError:
        return frozenset()


@dataclass(frozen=True, slots=True)
class WorkWeek:
    """Which days a person works: the weekdays, without the public holidays of the country."""

    weekdays: frozenset[int] = MONDAY_TO_FRIDAY
    country: str | None = None

    def works(self, day: date) -> bool:
        return day.isoweekday() in self.weekdays and day not in public_holidays(self.country, day.year)

    def step(self, day: date, count: int) -> date:
        """The count-th working day after (count > 0) or before (count < 0) `day`, which need not be one itself.

        0 is the day itself, or the next working day where it is none.
        """
        forward = ONE_DAY if count >= 0 else -ONE_DAY
        left = abs(count)
        if left == 0:
            while not self.works(day):
                day += forward
        while left:
            day += forward
            left -= self.works(day)
        return day


@lru_cache(maxsize=4096)
def work_week(weekdays: tuple[int, ...], country: str | None) -> WorkWeek:
    """The week of a person who named these weekdays; none named is Monday to Friday."""
    return WorkWeek(frozenset(weekdays) or MONDAY_TO_FRIDAY, country)
