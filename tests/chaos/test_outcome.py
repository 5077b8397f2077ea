"""What a run tells of its rounds."""

from __future__ import annotations

from tests.chaos.outcome import Outcome, summary


def outcome(seed: int, number: int, recovered: float | None, *violations: str) -> Outcome:
    """With figures that grow with the round, as they count from the run's beginning."""
    faults = ("kill postgres", "wipe rabbitmq")
    counted = (100 * number, number, 10.0 * number, 150 * number)
    return Outcome(seed, number, faults, *counted, recovered, "firing", violations)


def test_rounds_are_summed_up() -> None:
    """Given eleven rounds of two seeds, one of them slow to recover, when they are summed up, then there are totals
    over all seeds, in which what is found again counts once, and median, ninth tenth and maximum of the recoveries."""
    rounds = [outcome(1, number, float(number)) for number in range(1, 10)]
    rounds += [outcome(2, 1, 12.5, "lost: a command"), outcome(2, 2, 10.0, "lost: a command", "late: a reminder")]
    assert summary(rounds) == (
        "11 rounds, 2 seeds, 22 faults, 1100 commands (11 of unknown fate), 40/s (median of the rounds), 1650 events, "
        "2 violations\n"
        "lag normal after 6.0 s (median), 10.0 s (p90), 12.5 s (max); after more than 10 s in 1 rounds"
    )


def test_a_round_tells_who_was_behind_last() -> None:
    """Given a round, then its line names its figures, whose lag was normal last, and its faults."""
    assert str(outcome(3, 2, 1.25, "late: a reminder")) == (
        "seed 3 round 2: 200 commands (20/s), 300 events, lag normal after 1.2 s (firing), 1 violations; "
        "faults: kill postgres, wipe rabbitmq"
    )


def test_a_round_that_never_recovered_is_the_slowest() -> None:
    """Given a round whose lag was never normal again, when it is summed up, then that is the maximum, and slow."""
    assert "inf s (max); after more than 10 s in 1 rounds" in summary([outcome(1, 1, 2.0), outcome(1, 2, None)])
