"""How the launcher is told to end, and when it does not listen."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator

import pytest

from deploy.launcher.interruption import Interrupted, interruptible, undisturbed


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    """Whatever the tests were started with: in the background interrupts are ignored, after nohup hangups."""
    before = {
        number: signal.signal(number, signal.SIG_DFL) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    }
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def send(*numbers: int) -> None:
    for number in numbers:
        os.kill(os.getpid(), number)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_the_first_signal_to_end_counts(number: signal.Signals) -> None:
    """Given any of them, then it interrupts, and those that follow do not disturb the stopping."""

    def run() -> None:
        try:
            send(number)
        finally:
            send(signal.SIGTERM, signal.SIGINT)

    with pytest.raises(Interrupted) as interrupted, interruptible():
        run()
    assert interrupted.value.number == number


def test_under_nohup_a_hangup_does_not_end_it() -> None:
    """Given that hangups are ignored, as after nohup, then they still are; other signals interrupt."""
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    with pytest.raises(Interrupted) as interrupted, interruptible():
        send(signal.SIGHUP, signal.SIGTERM)
    assert interrupted.value.number == signal.SIGTERM
    assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN


def test_what_is_undisturbed_goes_on_and_what_follows_listens_again() -> None:
    def last() -> None:
        with undisturbed():
            send(signal.SIGINT, signal.SIGHUP)
        send(signal.SIGTERM)

    with pytest.raises(Interrupted) as interrupted, interruptible():
        last()
    assert interrupted.value.number == signal.SIGTERM
