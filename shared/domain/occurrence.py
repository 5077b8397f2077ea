"""Rule 6: what happened outside is recorded with the time it happened, beside the time it was written down."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

from shared.domain.kernel import Context
from shared.domain.refusals import refusal

CLOCKS_DIFFER_BY = timedelta(minutes=5)
_ZONES = timedelta(hours=14)
"""By so much a seeker's day may still be the one that is over elsewhere."""
_EARLIEST = datetime(1900, 1, 1, tzinfo=UTC)


def occurrence(said: datetime | None, now: datetime) -> datetime:
    """When something happened that is written down now: as is said, but by a clock that is a little ahead, now.

    Else what is written down next, undated, would count as the earlier of the two.
    """
    return now if said is None or now < said <= now + CLOCKS_DIFFER_BY else said


def is_over(day: date, at: datetime) -> bool:
    """Whether a day is over at `at`, wherever the seeker lives."""
    return day < (at - _ZONES).date()


def check_occurrence(context: Context) -> None:
    """Refuse `in_the_future` or `too_long_ago`. The past is welcome: people write up last Tuesday today."""
    if context.at > context.now:
        raise refusal(
            "in_the_future",
            f"it is said to have happened at {context.at.isoformat()}, and it is {context.now.isoformat()} now",
            field="/occurred_at",
        )
    if context.at < _EARLIEST:
        raise refusal("too_long_ago", f"{context.at.isoformat()} is before 1900", field="/occurred_at")
