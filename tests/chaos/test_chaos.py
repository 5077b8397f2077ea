"""The short version of ``make chaos``: fixed seeds, two minutes or so, on the servers of this session."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random

import pytest

from deploy.launcher.infrastructure import Infrastructure
from services.command.relay import SESSION_TIMEOUT
from services.command.settings import CommandSettings
from shared.clock import SystemClock
from tests.chaos.faults import FAULTS, LONG_FOR_A_SESSION, LONG_FOR_AN_APPEND, draw
from tests.chaos.rounds import run
from tests.chaos.seen import Seen, read
from tests.chaos.services import HOURS_OFF, set_the_clock_wrong

ROUNDS = [(287, 3), (1176, 2)]
"""Seeds, and rounds of each: two that draw 20 of the 23 faults in so few."""
MUST_COME = [
    {"notification.acknowledged", "notification.snoozed"},
    {"contact.forgotten", "contact.asked_not_to_be_contacted", "seeker.left", "seeker.moved"},
    {"interview.thanked"},
    {"interview.prepared", "interview.cancelled"},
    {"interview.notes_taken"},
    {"lead.acted_on", "lead.dropped"},
    {"lead.reported_back"},
    {"programme.participant_enrolled"},
]
"""Of each, at least one: what makes reminders needless is only worth a check if it is accepted, and a read model only
if something is in it."""


def worth_a_check(seen: Seen) -> bool:
    accepted = {event.type for answer in seen.accepted.values() for event in answer.events}
    return (
        seen.commands > 100
        and set(seen.via) == {"Http", "Queue", "Imports"}
        and all(each & accepted for each in MUST_COME)
        and len(seen.outdated) > 0
        and len(seen.looks) > 0
    )


@pytest.mark.parametrize(("seed", "rounds"), ROUNDS)
async def test_nothing_is_lost_whatever_dies(
    infra: Infrastructure, database_url: str, amqp_url: str, tmp_path: Path, seed: int, rounds: int
) -> None:
    """Given two command services, two projectors, a consumer and clients at work, when in some rounds whatever the
    seed says is killed, frozen, wiped, cut off or set wrong, then after each round: every acknowledged command is in
    the log once, on the version that it named, nothing refused is, positions and versions have no holes, the consumer
    saw everything in order, the read models equal a cold fold, and showed what was accepted to who asked for it,
    reminders fired once, in time and not in vain, repeated commands got their first answers, and messages bring events
    to the projector as before. The load ends when all of its kinds have come about, however long that takes on the
    machine at hand."""
    outcomes = await run(
        infra, database_url, amqp_url, tmp_path, seed, rounds,
        rate=30.0, clients=16, seconds=2.0, enough=worth_a_check, tell=print,
    )  # fmt: skip
    assert [outcome.violations for outcome in outcomes] == [()] * rounds, "\n".join(map(str, outcomes))
    assert worth_a_check(read(tmp_path / "journal")), "the load ended early"


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


def test_what_is_silent_for_long_is_so_for_longer_than_others_wait() -> None:
    """Given the services' limits, then a silent leader has a successor before it goes on, and what a silent PostgreSQL
    was asked is given up before that goes on."""
    assert min(LONG_FOR_A_SESSION) > SESSION_TIMEOUT
    assert min(LONG_FOR_AN_APPEND) > CommandSettings.model_fields["append_patience"].default
