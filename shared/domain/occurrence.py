"""Rule 6: what happened outside is recorded with the time it happened, beside the time it was written down."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from shared.domain.kernel import Context
from shared.domain.refusals import refusal

CLOCKS_DIFFER_BY = timedelta(minutes=5)
_EARLIEST = datetime(1900, 1, 1, tzinfo=UTC)


def check_occurrence(context: Context) -> None:
    """Refuse `in_the_future` or `too_long_ago`. The past is welcome: people write up last Tuesday today."""
    if context.at > context.now + CLOCKS_DIFFER_BY:
        raise refusal(
            "in_the_future",
            f"it is said to have happened at {context.at.isoformat()}, and it is {context.now.isoformat()} now",
            field="/occurred_at",
        )
    if context.at < _EARLIEST:
        raise refusal("too_long_ago", f"{context.at.isoformat()} is before 1900", field="/occurred_at")
