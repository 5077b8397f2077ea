"""Wall clock and instant, working days, waking hours: expected values worked out by hand."""

from __future__ import annotations

from datetime import date, time, timedelta
from importlib.resources import files
from pathlib import Path
from zoneinfo import ZoneInfo, reset_tzpath

import pytest

from shared.timing.calendar import Moment, instant, plus_months, public_holidays, wall, work_week
from shared.timing.offsets import Span, shifted
from shared.timing.waking import earlier, later, waking
from shared.zones import zone
from tests.timing.story import at, local, utc

BERLIN, NEW_YORK = ZoneInfo("Europe/Berlin"), ZoneInfo("America/New_York")
DAYTIME = (time(8), time(21))


@pytest.mark.parametrize(
    ("shown", "zone_name", "expected"),
    [
        # The clock goes from 02:00 CET to 03:00 CEST: 02:30 with the old offset (+1) is 03:30 on the new clock.
        ("2026-03-29T02:30", "Europe/Berlin", "2026-03-29 01:30"),
        # From 03:00 CEST back to 02:00 CET: 02:30 comes twice, the first (+2) counts.
        ("2026-10-25T02:30", "Europe/Berlin", "2026-10-25 00:30"),
        ("2026-03-08T02:30", "America/New_York", "2026-03-08 07:30"),
        ("2026-11-01T01:30", "America/New_York", "2026-11-01 05:30"),
        # Half-hour zone of the south: forward in October (+9:30 → +10:30), back in April.
        ("2026-10-04T02:30", "Australia/Adelaide", "2026-10-03 17:00"),
        ("2026-04-05T02:30", "Australia/Adelaide", "2026-04-04 16:00"),
        # A shift of half an hour: Lord Howe goes from 02:00 (+10:30) to 02:30 (+11).
        ("2026-10-04T02:15", "Australia/Lord_Howe", "2026-10-03 15:45"),
        ("2026-03-29T02:30", "Asia/Kolkata", "2026-03-28 21:00"),
    ],
)
def test_a_skipped_or_repeated_local_time_is_read_with_the_offset_before_the_change(
    shown: str, zone_name: str, expected: str
) -> None:
    """Given a local time in a gap or a fold, when it becomes an instant, then RFC 5545's reading holds."""
    assert instant(local(shown), ZoneInfo(zone_name)) == utc(expected)


def test_a_skipped_time_shows_as_the_one_that_the_clock_went_on_to() -> None:
    moment = Moment.local_at(local("2026-03-29T02:30"), BERLIN)
    assert moment == (local("2026-03-29T03:30"), utc("2026-03-29 01:30"))


def test_an_unknown_zone_is_none() -> None:
    """Given a name that the database of zones lacks, no name at all, or the path of something else in it, then there is
    no zone to be wrong about."""
    for name in ("Mars/Olympus", "", "Asia", "../zones", "/etc/localtime"):
        assert zone(name) is None


def test_zones_are_the_same_on_every_machine(tmp_path: Path) -> None:
    """Given a machine with rules of its own for a zone, then what is reckoned goes by those of the package."""
    (tmp_path / "Asia").mkdir()
    (tmp_path / "Asia/Tokyo").write_bytes(files("tzdata").joinpath("zoneinfo", "Europe", "Berlin").read_bytes())
    reset_tzpath([tmp_path])
    try:
        assert ZoneInfo.no_cache("Asia/Tokyo").utcoffset(local("2026-01-01T00:00")) == timedelta(hours=1)
        tokyo = zone.__wrapped__("Asia/Tokyo")
    finally:
        reset_tzpath()
    assert tokyo is not None
    assert tokyo.utcoffset(local("2026-01-01T00:00")) == timedelta(hours=9)
    assert tokyo.key == "Asia/Tokyo"


@pytest.mark.parametrize(
    ("day", "months", "expected"),
    [
        (date(2026, 1, 31), 1, date(2026, 2, 28)),
        (date(2028, 1, 31), 1, date(2028, 2, 29)),
        (date(2026, 7, 31), -5, date(2026, 2, 28)),
        (date(2026, 7, 31), -2, date(2026, 5, 31)),
        (date(2026, 3, 30), -1, date(2026, 2, 28)),
        (date(2026, 12, 31), 2, date(2027, 2, 28)),
        (date(2026, 1, 15), -1, date(2025, 12, 15)),
        (date(2026, 5, 31), -12, date(2025, 5, 31)),
    ],
)
def test_months_end_where_the_month_ends(day: date, months: int, expected: date) -> None:
    assert plus_months(day, months) == expected


@pytest.mark.parametrize(
    ("country", "start", "count", "expected"),
    [
        (None, date(2026, 4, 2), 5, date(2026, 4, 9)),
        # Good Friday 3 April and Easter Monday 6 April: Tue 7, Wed 8, Thu 9, Fri 10, Mon 13.
        ("DE", date(2026, 4, 2), 5, date(2026, 4, 13)),
        # Thanksgiving, Thu 26 November: Fri 27, Mon 30, Tue 1, Wed 2, Thu 3.
        ("US", date(2026, 11, 25), 5, date(2026, 12, 3)),
        # Golden Week: Mon 4, Tue 5 and (for Sunday 3) Wed 6 May are off: Fri 1, Thu 7, Fri 8, Mon 11, Tue 12.
        ("JP", date(2026, 4, 30), 5, date(2026, 5, 12)),
        # Independence Day, Mon 7 September: Tue 1 … Fri 4, Tue 8.
        ("BR", date(2026, 8, 31), 5, date(2026, 9, 8)),
        # Republic Day, Mon 26 January: Fri 23, Tue 27 … Fri 30.
        ("IN", date(2026, 1, 22), 5, date(2026, 1, 30)),
        # Across the year: Thu 24 December has no holiday, Fri 25, Sat 26 (boxing), New Year's Fri 1 are off.
        ("DE", date(2026, 12, 23), 5, date(2026, 12, 31)),
        ("DE", date(2026, 12, 31), 1, date(2027, 1, 4)),
        # Backwards: the working day before Tue 7 April is Thu 2.
        ("DE", date(2026, 4, 7), -1, date(2026, 4, 2)),
        # From a weekend.
        (None, date(2026, 3, 28), 1, date(2026, 3, 30)),
        (None, date(2026, 3, 28), 0, date(2026, 3, 30)),
        (None, date(2026, 3, 30), 0, date(2026, 3, 30)),
        (None, date(2026, 3, 29), -1, date(2026, 3, 27)),
        # A country that nobody knows has weekends only.
        ("ZZ", date(2026, 4, 2), 5, date(2026, 4, 9)),
    ],
)
def test_working_days_leave_out_weekends_and_public_holidays(
    country: str | None, start: date, count: int, expected: date
) -> None:
    assert work_week((), country).step(start, count) == expected


def test_a_person_may_have_other_working_days() -> None:
    """Given a week from Sunday to Thursday, when two working days pass from a Thursday, then it is Monday."""
    assert work_week((7, 1, 2, 3, 4), None).step(date(2026, 4, 2), 2) == date(2026, 4, 6)
    assert public_holidays(None, 2026) == frozenset()


@pytest.mark.parametrize(
    ("waking_hours", "quiet_hours", "stretches"),
    [
        (DAYTIME, None, ((480, 1260),)),
        (DAYTIME, (time(20), time(10)), ((600, 1200),)),
        (DAYTIME, (time(12), time(14)), ((480, 720), (840, 1260))),
        # A night worker, awake from 14:00 to 02:00.
        ((time(14), time(2)), None, ((0, 120), (840, 1440))),
        # Nothing left: the explicit quiet hours win, the rest of the day is open.
        (DAYTIME, (time(7), time(22)), ((0, 420), (1320, 1440))),
        # From and to the same: no quiet hours; no waking hours named: the whole day.
        (DAYTIME, (time(0), time(0)), ((480, 1260),)),
        ((time(0), time(0)), None, ((0, 1440),)),
        # Parts of a minute belong to the quiet.
        (DAYTIME, (time(20, 0, 30), time(8, 0, 30)), ((481, 1200),)),
    ],
)
def test_a_person_may_be_disturbed_in_waking_hours_that_are_not_quiet(
    waking_hours: tuple[time, time],
    quiet_hours: tuple[time, time] | None,
    stretches: tuple[tuple[int, int], ...],
) -> None:
    assert waking(waking_hours, quiet_hours).stretches == stretches


@pytest.mark.parametrize(
    ("moment", "expected"),
    [
        ("2026-03-02T12:00+01:00", "2026-03-02T12:00+01:00"),
        ("2026-03-02T08:00+01:00", "2026-03-02T08:00+01:00"),
        ("2026-03-02T07:59:59+01:00", "2026-03-02T08:00+01:00"),
        ("2026-03-02T20:59:59+01:00", "2026-03-02T20:59:59+01:00"),
        ("2026-03-02T21:00+01:00", "2026-03-03T08:00+01:00"),
        # Over the night in which an hour is lost, and the one in which it is won back.
        ("2026-03-28T23:00+01:00", "2026-03-29T08:00+02:00"),
        ("2026-10-24T23:00+02:00", "2026-10-25T08:00+01:00"),
    ],
)
def test_a_reminder_moves_forward_into_waking_hours(moment: str, expected: str) -> None:
    assert later(Moment.of(at(moment), BERLIN), BERLIN, waking(DAYTIME, None)).instant == at(expected)


@pytest.mark.parametrize(
    ("moment", "expected"),
    [
        ("2026-03-02T12:00+01:00", "2026-03-02T12:00+01:00"),
        ("2026-03-02T21:00+01:00", "2026-03-02T20:59+01:00"),
        ("2026-03-02T07:00+01:00", "2026-03-01T20:59+01:00"),
        ("2026-03-29T07:00+02:00", "2026-03-28T20:59+01:00"),
        ("2026-10-25T07:00+01:00", "2026-10-24T20:59+02:00"),
    ],
)
def test_a_deadline_moves_backward_into_waking_hours(moment: str, expected: str) -> None:
    assert earlier(Moment.of(at(moment), BERLIN), BERLIN, waking(DAYTIME, None)).instant == at(expected)


def test_quiet_hours_that_end_in_the_repeated_hour_end_the_second_time() -> None:
    """Given quiet hours until 02:30, and 02:10 of the second time round, then 02:30 of the second time follows."""
    hours = waking((time(0), time(0)), (time(22), time(2, 30)))
    second = Moment.of(at("2026-10-25T02:10+01:00"), BERLIN)
    assert later(second, BERLIN, hours).instant == at("2026-10-25T02:30+01:00")
    first = Moment.of(at("2026-10-25T02:10+02:00"), BERLIN)
    assert later(first, BERLIN, hours).instant == at("2026-10-25T02:30+02:00")


def test_a_deadline_does_not_move_into_the_quiet_through_a_gap() -> None:
    """Given quiet hours from 03:00 on a day without 02:xx, then the last open minute before them is 01:59."""
    hours = waking((time(0), time(0)), (time(3), time(8)))
    moment = Moment.of(at("2026-03-29T05:00+02:00"), BERLIN)
    assert earlier(moment, BERLIN, hours).instant == at("2026-03-29T01:59+01:00")


def test_a_deadline_moves_back_to_the_second_time_of_a_repeated_hour() -> None:
    """Given quiet hours from 02:31 on a night with two of them, then the last open minute is the second 02:30."""
    hours = waking((time(0), time(0)), (time(2, 31), time(8)))
    moment = Moment.of(at("2026-10-25T05:00+01:00"), BERLIN)
    assert earlier(moment, BERLIN, hours).instant == at("2026-10-25T02:30+01:00")


def test_working_days_and_waking_hours_together() -> None:
    """Given Good Friday evening, then the next waking minute of a working day is Tuesday's first, the last one
    before it Thursday's last."""
    moment = Moment.of(at("2026-04-03T19:00+02:00"), BERLIN)
    week, hours = work_week((), "DE"), waking(DAYTIME, None)
    assert later(moment, BERLIN, hours, week).instant == at("2026-04-07T08:00+02:00")
    assert earlier(moment, BERLIN, hours, week).instant == at("2026-04-02T20:59+02:00")


@pytest.mark.parametrize(
    ("span", "sign", "expected"),
    [
        # 24 hours are elapsed time: over the change the wall clock shows another time …
        (Span(hours=24), 1, "2026-03-29T15:00+02:00"),
        # … a day keeps the wall clock, though only 23 hours pass.
        (Span(days=1), 1, "2026-03-29T14:00+02:00"),
        (Span(weeks=1), 1, "2026-04-04T14:00+02:00"),
        (Span(months=1), 1, "2026-04-28T14:00+02:00"),
        (Span(months=1), -1, "2026-02-28T14:00+01:00"),
        (Span(working_days=1), 1, "2026-03-30T14:00+02:00"),
        (Span(working_days=1), -1, "2026-03-27T14:00+01:00"),
        (Span(hours=1.5), -1, "2026-03-28T12:30+01:00"),
    ],
)
def test_hours_are_elapsed_and_days_are_of_the_calendar(span: Span, sign: int, expected: str) -> None:
    start = Moment.of(at("2026-03-28T14:00+01:00"), BERLIN)
    assert shifted(start, span, sign, BERLIN, work_week((), None)).instant == at(expected)


def test_no_days_later_is_the_moment_itself() -> None:
    """Given the second of two moments with one wall clock, then it is not taken for the first."""
    second = Moment.of(utc("2026-11-01 06:30"), NEW_YORK)
    assert shifted(second, Span(days=0), 1, NEW_YORK, work_week((), None)) == second


def test_a_span_has_one_unit() -> None:
    with pytest.raises(ValueError, match="exactly one"):
        Span(hours=1, days=1)
    with pytest.raises(ValueError, match="exactly one"):
        Span()


def test_the_wall_shows_no_offset() -> None:
    assert wall(utc("2026-07-01 16:00"), NEW_YORK) == local("2026-07-01T12:00")
