"""What has become needless by what the log holds, whether or not the broker has brought it yet."""

from __future__ import annotations

import logging

from deploy.delivery.intake import Endings
from deploy.delivery.ledger import Ledger
from shared.client import CloudEvent, Forked, History, Mark, Page, Park, Patterns, PositionStore
from shared.client.event import parse
from shared.client.history import as_known

logger = logging.getLogger(__name__)


class Needless:
    """Reads on in the history feed whenever it is asked, so that no mail is sent which an event before it has ended:
    the broker may be away, or have a backlog."""

    def __init__(self, history: History, wanted: Patterns, store: PositionStore[None], ledger: Ledger) -> None:
        """`wanted`: the events that end notifications; `store`: where the consumer keeps up to which position it has
        handled them, before which nothing is looked for."""
        self._history, self._wanted, self._store, self._ledger = history, wanted, store, ledger
        self._handlers = Endings(ledger.withdraw_ahead).handlers()
        self._after, self._epoch = 0, 0
        """How far the log was read, and in which of its timelines; 0: nothing was yet."""

    async def look(self) -> None:
        """Take all that the log holds by now. Raises `Unavailable`, and `Forked` when it lacks what the consumer has
        seen."""
        mark = await self._store.load() or Mark()
        # What has failed is to come again, and may lie before what is proven.
        handled = min([mark.proven, *(position - 1 for position in mark.begun)])
        self._ledger.caught_up(handled)
        # At first not from the log's end: what is to be mailed has been taken before, and may have had its end since.
        self._after = max(self._after, handled)
        while True:
            page = await self._page(mark)
            if page is None:
                # The restore may have undone what was read beyond the mark. The consumer has not seen that, and so need
                # not come to know.
                self._ledger.forget_ahead()
                self._after, self._epoch = handled, 0
                continue
            for line in page.events:
                await self._taken(parse(line))
            self._after, self._epoch = page.position, max(self._epoch, page.epoch)
            if page.position >= page.head:
                return

    async def _page(self, mark: Mark) -> Page | None:
        """None: the log was restored since it was last read. Raises as `look`."""
        try:
            page = await self._history.page(self._after, wanted=self._wanted)
        except Forked:
            if self._after <= mark.proven:
                raise
            return None
        if page.head < mark.top:
            raise Forked(f"position {mark.top} was seen, but the log ends at {page.head}")
        if page.epoch > mark.epoch > 0 and mark.top and not await as_known(self._history, mark.top, mark.epoch):
            raise Forked(f"position {mark.top} of epoch {mark.epoch} was seen, which the log has in another epoch")
        return None if 0 < self._epoch < page.epoch else page

    async def _taken(self, event: CloudEvent) -> None:
        if not self._wanted.match(event.routing_key):
            return
        try:
            await self._handlers.of(event)(event, None)
        except Park as park:  # the consumer puts it aside when it is brought
            logger.error("position %d ends nothing: %s", event.position, park)
