"""How the launcher is told to end, and when it does not listen."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Callable, Iterator, Sequence
from types import FrameType

_TO_END = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Interrupted(BaseException):
    """The person at the terminal, or the machine, asked the launcher to end."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


@contextlib.contextmanager
def interruptible() -> Iterator[None]:
    """Turns the first signal to end into :class:`Interrupted`; later ones do not disturb the stopping.

    A hangup that is ignored stays so: ``nohup`` asks for that.
    """
    ignored = signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    numbers = [number for number in _TO_END if number != signal.SIGHUP or not ignored]

    def interrupt(number: int, frame: FrameType | None) -> None:
        for each in numbers:
            signal.signal(each, signal.SIG_IGN)
        raise Interrupted(number)

    with _handled(numbers, interrupt):
        yield


@contextlib.contextmanager
def undisturbed() -> Iterator[None]:
    """For what has to be done to its end when all else has ended: a signal to end that comes meanwhile says no more."""
    with _handled(_TO_END, signal.SIG_IGN):
        yield


@contextlib.contextmanager
def _handled(
    numbers: Sequence[int], handler: Callable[[int, FrameType | None], None] | signal.Handlers
) -> Iterator[None]:
    before = {number: signal.signal(number, handler) for number in numbers}
    try:
        yield
    finally:
        for number, earlier in before.items():
            signal.signal(number, earlier)
