"""Where messages wait between the broker and the loop that folds them.

The broker bounds how many there are, not how large. Of more than fits in memory only that they came is kept: what they
tell is in the log.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

MOST_BYTES = 8 * 1024 * 1024
"""Bytes of bodies that may wait: more than ordinary messages come to."""
BACKLOG = 500
"""Positions behind the checkpoint from which on messages are not worth bringing: as many as are on their way."""


class Place:
    """A channel's place in the queue. Once it is lost, the broker gives all that was not acknowledged on it again."""

    lost = False


class Delivery(Protocol):
    """A message as it came, to be acknowledged together with all that came before it on its channel."""

    @property
    def body(self) -> bytes | None:
        """None once it was emptied."""
        ...

    @property
    def headers(self) -> Mapping[str, Any]: ...

    @property
    def channel(self) -> Place:
        """What acknowledgements reach back to: those of one channel are in order."""
        ...

    def empty(self) -> None:
        """Let go of the body."""
        ...

    async def acknowledge(self) -> None:
        """Acknowledge this one and all before it. Never raises: what can't be acknowledged comes again."""
        ...


class Mailbox:
    """Filled by the doorbell, emptied by one loop. Bounded by what the broker lets be unacknowledged."""

    def __init__(self) -> None:
        self._waiting: deque[Delivery] = deque()
        self._bytes = 0
        self._filled, self._opened, self._shut = asyncio.Event(), asyncio.Event(), asyncio.Event()
        self._overtaken = asyncio.Event()
        self.drops = 0
        """How often what the broker held was dropped: something may be missing each time that the log has."""
        self._opened.set()

    def put(self, delivery: Delivery) -> None:
        if self._bytes >= MOST_BYTES:
            delivery.empty()
        self._waiting.append(delivery)
        self._bytes += _size(delivery)
        self._filled.set()

    def ring(self) -> None:
        """Wake the loop without a message."""
        self._filled.set()

    def put_back(self, deliveries: Sequence[Delivery]) -> None:
        """What was taken and could not be dealt with yet; it comes first again. Rings no bell."""
        back = [delivery for delivery in deliveries if not delivery.channel.lost]
        self._waiting.extendleft(reversed(back))
        self._bytes += sum(map(_size, back))

    def lose(self, place: Place) -> None:
        """Let go of what came on a channel that is gone: it comes again, and would be there twice."""
        place.lost = True
        self._overtaken.clear()  # what comes on the next one tells
        self._waiting = deque(delivery for delivery in self._waiting if not delivery.channel.lost)
        self._bytes = sum(map(_size, self._waiting))

    def take(self, most: int) -> list[Delivery]:
        """Up to `most` messages, in the order in which they came."""
        taken = [self._waiting.popleft() for _ in range(min(most, len(self._waiting)))]
        self._bytes -= sum(map(_size, taken))
        self._filled.clear()
        if self._waiting:
            self._filled.set()
        return taken

    async def filled(self) -> None:
        """Return when there is a message, or when somebody rang."""
        await self._filled.wait()

    def shut(self) -> None:
        """Nobody empties it for now: what is for it is to go to others."""
        self._overtaken.clear()
        self._opened.clear()
        self._shut.set()

    def open(self) -> None:
        self._shut.clear()
        self._opened.set()

    def overtake(self, positions: int) -> None:
        """What comes lies so many positions behind what was folded: if that is far, what the broker still holds may be
        dropped."""
        if positions >= BACKLOG:
            self._overtaken.set()

    @property
    def is_overtaken(self) -> bool:
        return self._overtaken.is_set()

    async def until_overtaken(self) -> None:
        await self._overtaken.wait()

    def drop(self) -> None:
        """What the broker held is gone; something new may be missing with it."""
        self.drops += 1
        self.ring()

    def begin_anew(self) -> None:
        """What was on its way while the rest was dropped has come."""
        self._overtaken.clear()

    @property
    def is_shut(self) -> bool:
        return self._shut.is_set()

    async def until_shut(self) -> None:
        await self._shut.wait()

    async def until_open(self) -> None:
        await self._opened.wait()


def _size(delivery: Delivery) -> int:
    return 0 if delivery.body is None else len(delivery.body)
