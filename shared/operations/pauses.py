"""Pauses between attempts: longer and longer, until an attempt has lasted."""

from __future__ import annotations

from math import inf
from time import monotonic


class Pauses:
    """For one loop: `attempt` when it begins again, `next` when that has failed.

    One that knows by more than its time whether an attempt goes well calls `reset` when it does, and not `attempt`.
    """

    def __init__(self, longest: float, *, first: float = 0.05, lasting: float | None = None) -> None:
        """Seconds, all of them. An attempt of `lasting` (unless told: `longest`) or more has gone well: then the next
        pause is the `first` again."""
        self._first, self._longest = first, longest
        self._lasting = longest if lasting is None else lasting
        self._next, self._began = first, inf

    def attempt(self) -> None:
        self._began = monotonic()

    def reset(self) -> None:
        """The next pause is the first again."""
        self._next = self._first

    def next(self) -> float:
        """Seconds to wait now."""
        if monotonic() - self._began >= self._lasting:
            self.reset()
        pause = self._next
        self._next = min(2 * pause, self._longest)
        return pause
