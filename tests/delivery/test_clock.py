"""The delivery service goes by the log's clock."""

from __future__ import annotations

from datetime import timedelta

import pytest

from deploy.delivery.clock import EVERY, LogClock
from shared.client import Page, Patterns, Unavailable
from shared.client.patterns import EVERYTHING
from shared.client.testing import MemoryHistory
from tests.delivery.office import NOON


class Feed(MemoryHistory):
    def __init__(self) -> None:
        super().__init__()
        self.time, self.away, self.asked = NOON, False, 0

    async def page(self, after: int, limit: int = 500, wanted: Patterns = EVERYTHING) -> Page:
        self.asked += 1
        if self.away:
            raise Unavailable("no answer")
        return await super().page(after, limit, wanted)


class Monotonic:
    seconds = 1000.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def monotonic(monkeypatch: pytest.MonkeyPatch) -> Monotonic:
    monotonic = Monotonic()
    for module in ("shared.clock", "deploy.delivery.clock"):
        monkeypatch.setattr(f"{module}.monotonic", monotonic)
    return monotonic


async def test_it_is_as_late_as_the_log_says(monotonic: Monotonic) -> None:
    """Given a log whose clock is not this machine's, then its time is told, goes on by itself, and is asked for now and
    then.
    """
    feed = Feed()
    clock = LogClock(feed)
    assert await clock.now() == NOON
    monotonic.seconds += EVERY / 2
    assert (await clock.now(), feed.asked) == (NOON + timedelta(seconds=EVERY / 2), 1)
    feed.time += timedelta(hours=1)
    monotonic.seconds += EVERY / 2
    assert (await clock.now(), feed.asked) == (NOON + timedelta(hours=1), 2)


async def test_while_the_feed_is_away_time_goes_on_from_what_it_told(monotonic: Monotonic) -> None:
    """Given a feed that is away, then everything waits until it has told the time; after that, nothing waits for it,
    and who asks next does not ask it again."""
    feed = Feed()
    clock, feed.away = LogClock(feed), True
    with pytest.raises(Unavailable):
        await clock.now()
    feed.away = False
    assert await clock.now() == NOON
    feed.away = True
    monotonic.seconds += EVERY
    for _ in range(2):
        assert (await clock.now(), feed.asked) == (NOON + timedelta(seconds=EVERY), 3)
