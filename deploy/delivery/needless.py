"""What has become needless by what the log holds, whether or not the broker has brought it yet."""

from __future__ import annotations

import logging

from shared.client import CloudEvent, Handlers, History, Park, Patterns
from shared.client.event import parse

logger = logging.getLogger(__name__)


class Needless:
    """Reads on in the history feed whenever it is asked, so that no mail is sent which an event before it has ended:
    the broker may be away, or have a backlog."""

    def __init__(self, history: History, wanted: Patterns, after: int | None, handlers: Handlers[None]) -> None:
        """`wanted`: the events that end notifications; `handlers`: the consumer's, which must be safe to repeat;
        `after`: a position up to which it has handled them; None: at the first look nothing is of any concern yet."""
        self._history, self._wanted, self._after, self._handlers = history, wanted, after, handlers

    async def look(self) -> None:
        """Take all that the log holds by now. Raises `Unavailable`, and `Forked` when it ends before what was read."""
        if self._after is None:
            self._after = (await self._history.page(0, 1)).head
        while True:
            page = await self._history.page(self._after, wanted=self._wanted)
            for line in page.events:
                await self._taken(parse(line))
            self._after = page.position
            if page.position >= page.head:
                return

    async def _taken(self, event: CloudEvent) -> None:
        if not self._wanted.match(event.routing_key):
            return
        try:
            await self._handlers.of(event)(event, None)
        except Park as park:  # the consumer puts it aside when it is brought
            logger.error("position %d ends nothing: %s", event.position, park)
