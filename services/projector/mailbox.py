"""Where messages wait between the broker and the loop that folds them."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any, Protocol


class Place:
    """A channel's place in the queue. Once it is lost, the broker gives all that was not acknowledged on it again."""

    lost = False


class Delivery(Protocol):
    """A message as it came, to be acknowledged together with all that came before it on its channel."""

    @property
    def body(self) -> bytes: ...

    @property
    def headers(self) -> Mapping[str, Any]: ...

    @property
    def channel(self) -> Place:
        """What acknowledgements reach back to: those of one channel are in order."""
        ...

    async def acknowledge(self) -> None:
        """Acknowledge this one and all before it. Never raises: what can't be acknowledged comes again."""
        ...


class Mailbox:
    """Filled by the doorbell, emptied by one loop. Bounded by what the broker lets be unacknowledged."""

    def __init__(self) -> None:
        self._waiting: deque[Delivery] = deque()
        self._filled = asyncio.Event()

    def put(self, delivery: Delivery) -> None:
        self._waiting.append(delivery)
        self._filled.set()

    def ring(self) -> None:
        """Wake the loop without a message."""
        self._filled.set()

    def put_back(self, deliveries: Sequence[Delivery]) -> None:
        """What was taken and could not be dealt with yet; it comes first again. Rings no bell."""
        self._waiting.extendleft(delivery for delivery in reversed(deliveries) if not delivery.channel.lost)

    def lose(self, place: Place) -> None:
        """Let go of what came on a channel that is gone: it comes again, and would be there twice."""
        place.lost = True
        self._waiting = deque(delivery for delivery in self._waiting if not delivery.channel.lost)

    def take(self, most: int) -> list[Delivery]:
        """Up to `most` messages, in the order in which they came."""
        taken = [self._waiting.popleft() for _ in range(min(most, len(self._waiting)))]
        self._filled.clear()
        if self._waiting:
            self._filled.set()
        return taken

    async def filled(self) -> None:
        """Return when there is a message, or when somebody rang."""
        await self._filled.wait()
