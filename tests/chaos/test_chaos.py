"""The short version of ``make chaos``: fixed seeds, a minute or two, on the servers of this session."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random

import pytest

from deploy.launcher.infrastructure import Infrastructure
from shared.clock import SystemClock
from tests.chaos.faults import FAULTS, draw
from tests.chaos.rounds import run
from tests.chaos.services import HOURS_OFF, set_the_clock_wrong

SEED, ROUNDS = 4, 5


async def test_nothing_is_lost_whatever_dies(
    infra: Infrastructure, database_url: str, amqp_url: str, tmp_path: Path
) -> None:
    """Given two command services, two projectors, a consumer and clients at work, when in five rounds whatever the
    seed says is killed, frozen, wiped, cut off or set wrong, then after each round: every acknowledged command is in
    the log once, nothing refused is, positions and versions have no holes, the consumer saw everything in order, the
    read models equal a cold fold, reminders fired once and in time, and repeated commands got their first answers."""
    outcomes = await run(infra, database_url, amqp_url, tmp_path, SEED, ROUNDS, rate=30.0, seconds=2.0, tell=print)
    assert [outcome.violations for outcome in outcomes] == [()] * ROUNDS, "\n".join(map(str, outcomes))
    assert outcomes[-1].commands > 100, "there was load"


def test_a_wrong_clock_is_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    """Given a machine that is to be three hours behind, when a service starts there, then the clock that it could read
    says so."""
    for owner, name in ((time, "time"), (SystemClock, "now")):
        monkeypatch.setattr(owner, name, getattr(owner, name))  # so that it is put right again
    monkeypatch.setenv(HOURS_OFF, "-3")
    set_the_clock_wrong()
    hours_behind = (datetime.now(UTC) - SystemClock().now()) / timedelta(hours=1)
    assert 2.9 < hours_behind < 3.1
    assert 2.9 < (datetime.now(UTC).timestamp() - time.time()) / 3600 < 3.1


def test_every_fault_has_its_turn() -> None:
    """Given any seed, when faults are drawn, then none comes again before all have come, and the same seed draws the
    same."""
    for seed in range(20):
        hands = list(draw(Random(seed), 12))
        drawn = [fault for hand in hands for fault in hand]
        assert set(drawn[: len(FAULTS)]) == set(FAULTS)
        assert hands == list(draw(Random(seed), 12))
