"""How long commands that were delivered wait, where they can't be executed, and what for."""

from __future__ import annotations

from time import monotonic

from services.command.executor import WAITED_FOR
from shared.codec import UnknownEventType
from shared.database.pool import is_away

HOLD = 20 * 60.0
"""Seconds for which commands that were delivered wait outside their queue: RabbitMQ closes the channel of who holds one
for half an hour, again and again. Going back counts as a delivery (before RabbitMQ 4.3 any way of going back does), so
they don't go back sooner than they have to, and are not asked for again before PostgreSQL answers: an outage counts
once, however long it is and however often the connection is lost. (Where it answers and can't write, as with a full
disk, each stretch counts.)"""


class HeldTooLong(Exception):
    """What commands wait for takes longer than they may wait outside their queue."""


def waits(error: Exception) -> bool:
    """Whether the command is to wait: it is not its fault."""
    return isinstance(error, WAITED_FOR) or is_away(error)


class Waiting:
    """Of the commands in hand, for what `waits` is true of.

    For PostgreSQL they wait however long it is away. For a release that can read what this one can't, and nothing else,
    they wait as long as they may be held, and go back once, as one may stand by at the queue. When they come here
    again, none does: a release was rolled back, say, and what lies beside those commands is not to wait, or to be
    dead-lettered, with them. What is written later may be of one that comes yet.
    """

    def __init__(self, hold: float) -> None:
        """`hold`: as `HOLD`."""
        self._hold = hold
        self._since: float | None = None
        self._newer_since: float | None = None  # a newer release is waited for, and PostgreSQL is not
        self._offered = 0  # the log's head when what waits for one went back, unless another service has taken it
        self._in_vain = 0  # position of the last event for which none came

    @property
    def begun(self) -> bool:
        return self._since is not None

    def ended(self) -> None:
        """Nothing in hand waits any more."""
        self._since = self._newer_since = None

    def in_vain(self, away: Exception) -> bool:
        """Whether nobody comes for whom it would not be `away`."""
        if not isinstance(away, UnknownEventType):
            return False
        if away.position <= self._offered:
            self._in_vain = self._offered
        return away.position <= self._in_vain

    def go_on(self, away: Exception) -> None:
        """Raises `HeldTooLong`: all that was delivered is to go back to the queue."""
        now = monotonic()
        self._since = self._since or now
        self._newer_since = (self._newer_since or now) if isinstance(away, UnknownEventType) else None
        if now - self._since > self._hold:
            raise HeldTooLong

    def went_back(self, head: int) -> None:
        """All that was delivered, and PostgreSQL answers. `head`: the log's last position."""
        if self._newer_since is not None and monotonic() - self._newer_since > self._hold:
            self._offered = head
        self._since = None

    def through(self) -> None:
        """What went back is: if another service has taken it, that may take more."""
        self._offered, self._newer_since = 0, None
