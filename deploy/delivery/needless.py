"""What has become needless by what the log holds, whether or not the broker has brought it yet."""

from __future__ import annotations

import logging

from shared.client import CloudEvent, Handlers, History, Park, Patterns, PositionStore
from shared.client.event import parse

logger = logging.getLogger(__name__)


class Needless:
    """Reads on in the history feed whenever it is asked, so that no mail is sent which an event before it has ended:
    the broker may be away, or have a backlog."""

    def __init__(
        self, history: History, wanted: Patterns, store: PositionStore[None], handlers: Handlers[None]
    ) -> None:
        """`wanted`: the events that end notifications; `handlers`: the consumer's, which must be safe to repeat;
        `store`: where it keeps up to which position it has handled them, before which nothing is looked for."""
        self._history, self._wanted, self._store, self._handlers = history, wanted, store, handlers
        self._after: int | None = None

    async def look(self) -> None:
        """Take all that the log holds by now. Raises `Unavailable`, and `Forked` when it ends before what was read."""
        if self._after is None:
            # Not the end of the log: what is to be mailed has been taken before, and may have had its end since.
            mark = await self._store.load()
            self._after = 0 if mark is None else mark.proven
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
