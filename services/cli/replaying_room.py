"""Room in a consumer's queue: a replay may not fill it faster than it is emptied.

A queue that drops its oldest when it is full confirms what it drops, and what is replayed lies behind its consumer's
mark, where no gap shows: it would be gone, and nobody would know.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from time import monotonic

from aio_pika.abc import AbstractChannel

from services.cli.terminal import note

ROOM = 500
"""Messages that a queue may hold by default while a replay goes on. The smallest bound in use here is 1,000, and 500
more is what a consumer on `shared/client` has in hand, which come back to the queue when it ends."""
SHORTEST, LONGEST = 0.01, 0.5
"""Seconds between two looks at a full queue, and for which one at another is good."""
UNTOLD = 2.0
"""Seconds of waiting of which nothing is said."""


class Room:
    def __init__(self, channel: AbstractChannel, queue: str, most: int, resume: str) -> None:
        """`most`: messages, those on the way included; `resume`: the command that goes on when this is interrupted."""
        self._channel, self._queue, self._most, self._resume = channel, queue, most, resume
        self._left, self._asked = 0, monotonic()
        """What may be sent before the queue is asked again, which it is soon: others send to it, too."""
        self._told: bool | None = None

    async def take(self, messages: int, on_the_way: Callable[[], int], land: Callable[[], Awaitable[str]]) -> str:
        """Wait until there is room for so many more. Answers the replay's status.

        `on_the_way` counts what is sent and not confirmed; `land` waits for that, and answers the status. Raises
        aio-pika's `ChannelNotFoundEntity` for a queue that is gone.
        """
        began, pause = monotonic(), SHORTEST
        if began - self._asked > LONGEST:
            self._left = 0
        while self._left < messages:
            flying = on_the_way()  # before the queue is asked: what is confirmed meanwhile is counted twice, not never
            found = (await self._channel.declare_queue(self._queue, passive=True)).declaration_result
            there, self._asked = found.message_count or 0, monotonic()
            self._left = self._most - there - flying
            if self._left >= messages:
                break
            if (status := await land()) != "running":
                return status
            if flying:
                continue
            if monotonic() - began >= UNTOLD:
                self._tell(there, bool(found.consumer_count))
            await asyncio.sleep(pause)
            pause = min(2 * pause, LONGEST)
        self._left -= messages
        return "running"

    def _tell(self, there: int, consumed: bool) -> None:
        """Once of each kind of waiting, and again when it changes."""
        if self._told is consumed:
            return
        self._told = consumed
        full = f"{self._queue} holds {there:,} messages and is to hold no more than {self._most:,} (--room)"
        if consumed:
            note(f"{full}: waiting each time for its consumer to take some")
        else:
            note(f"{full}, and nobody consumes it: waiting for that; after Ctrl-C go on with `{self._resume}`")
