"""The hours of the day in which a person may be disturbed, and how to get a moment into them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, time, timedelta
from functools import lru_cache
from typing import Literal
from zoneinfo import ZoneInfo

from shared.timing.calendar import ONE_DAY, Moment, WorkWeek

MIDNIGHT = 24 * 60
Direction = Literal["later", "earlier"]
Hours = tuple[time, time]
"""From, to; an end before the start is on the next day, an end at the start means no hours at all."""

_ONE_MINUTE = timedelta(minutes=1)
_ATTEMPTS = 800
"""More days than any run of holidays; a bound, so that no data can make a loop endless."""


@dataclass(frozen=True, slots=True)
class Waking:
    """The open stretches of a day as minutes [from, to) after midnight, ascending, at least one."""

    stretches: tuple[tuple[int, int], ...]

    def allows(self, local: datetime) -> bool:
        minute = local.hour * 60 + local.minute
        return any([start <= minute < end for start, end in self.stretches])  # noqa: C419 - a third of the time

    def open_minute(self, number: int) -> int:
        """One of the open minutes, counted round and round."""
        left = number % sum(end - start for start, end in self.stretches)
        for start, end in self.stretches:
            if left < end - start:
                return start + left
            left -= end - start
        raise AssertionError("the rest of a division is smaller than its divisor")

    def next_start(self, local: datetime) -> datetime:
        """The local time at which the next stretch begins, after `local`."""
        minute = local.hour * 60 + local.minute
        for start, _ in self.stretches:
            if start > minute:
                return at_minute(local, start)
        return at_minute(local, self.stretches[0][0]) + ONE_DAY

    def last_minute(self, local: datetime) -> datetime:
        """The last minute of the stretch that ended before `local`."""
        minute = local.hour * 60 + local.minute
        for _, end in reversed(self.stretches):
            if end <= minute:
                return at_minute(local, end - 1)
        return at_minute(local, self.stretches[-1][1] - 1) - ONE_DAY


def at_minute(local: datetime, minute: int) -> datetime:
    """The same day at a minute after midnight."""
    return local.replace(hour=minute // 60, minute=minute % 60, second=0, microsecond=0)


def _minutes(hours: Hours, *, widen: bool) -> set[int]:
    """The minutes of the day that lie in `hours`; one that lies in them in part counts only when widened."""
    start, end = (bound.hour * 60 + bound.minute for bound in hours)
    if widen and hours[1].second:
        end += 1
    if not widen and hours[0].second:
        start += 1
    if start == end:
        return set()
    return set(range(start, end)) if start < end else set(range(start, MIDNIGHT)) | set(range(end))


@lru_cache(maxsize=4096)
def waking(waking_hours: Hours, quiet_hours: Hours | None) -> Waking:
    """Waking hours without quiet hours.

    Where nothing is left the quiet hours win, being the explicit wish, and the rest of the day is open.
    """
    every = set(range(MIDNIGHT))
    quiet = _minutes(quiet_hours, widen=True) if quiet_hours else set()
    free = ((_minutes(waking_hours, widen=False) or every) - quiet) or (every - quiet) or every
    starts = sorted(minute for minute in free if minute - 1 not in free)
    ends = sorted(minute + 1 for minute in free if minute + 1 not in free)
    return Waking(tuple(zip(starts, ends, strict=True)))


def later(moment: Moment, tz: ZoneInfo, hours: Waking, week: WorkWeek | None = None) -> Moment:
    """The first open minute not before `moment`; with a `week`, on a working day."""
    for _ in range(_ATTEMPTS):
        local = moment.local
        if week is not None and not week.works(local.date()):
            target = at_minute(local, 0) + ONE_DAY
        elif hours.allows(local):
            return moment
        else:
            target = hours.next_start(local)
        # In a repeated hour the target's first reading may lie in the past; its second does not.
        readings = (Moment.local_at(target, tz), Moment.local_at(target, tz, fold=1))
        ahead = [reading for reading in readings if reading.instant > moment.instant]
        moment = ahead[0] if ahead else Moment.of(moment.instant + _ONE_MINUTE, tz)
    return moment


def earlier(moment: Moment, tz: ZoneInfo, hours: Waking, week: WorkWeek | None = None) -> Moment:
    """The last open minute not after `moment`; with a `week`, on a working day."""
    for _ in range(_ATTEMPTS):
        local = moment.local
        if week is not None and not week.works(local.date()):
            target = at_minute(local, 0) - _ONE_MINUTE
        elif hours.allows(local):
            return moment
        else:
            target = hours.last_minute(local)
        # In a gap the offset after the change gives the earlier instant, which is what a deadline needs.
        readings = (Moment.local_at(target, tz, fold=1), Moment.local_at(target, tz))
        back = [reading for reading in readings if reading.instant < moment.instant]
        moment = max(back, key=_instant) if back else Moment.of(moment.instant - _ONE_MINUTE, tz)
    return moment


def _instant(moment: Moment) -> datetime:
    return moment.instant


def into(direction: Direction, moment: Moment, tz: ZoneInfo, hours: Waking, week: WorkWeek | None) -> Moment:
    """`later` or `earlier`: reminders move forward out of quiet hours, deadlines backward."""
    move = later if direction == "later" else earlier
    return move(moment, tz, hours, week)
