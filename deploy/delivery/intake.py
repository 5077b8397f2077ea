"""What is done with each event: it is written down, and then the broker may forget it."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import timedelta

from deploy.delivery.clock import Clock
from deploy.delivery.ledger import KEPT, Ledger
from deploy.delivery.notification import UNDELIVERED_IS_NEEDLESS, Acknowledged, Notification, Withdrawn
from deploy.delivery.wording import wording
from shared.client import CloudEvent, Handlers, Park

logger = logging.getLogger(__name__)
ENDING = ("withdrawn", "acknowledged", "snoozed")
"""The events of notifications that end what is undelivered."""
Withdraw = Callable[[str, int, int], None]
"""As `Ledger.withdraw`."""


class Intake:
    def __init__(self, ledger: Ledger, clock: Clock, gather: timedelta, ring: Callable[[], None]) -> None:
        """`gather`: see `DeliverySettings.gather`; `ring` is called when there is something new to send."""
        self._ledger, self._clock, self._gather, self._ring = ledger, clock, gather, ring

    def handlers(self) -> Handlers[None]:
        handlers = Endings(self._ledger.withdraw).handlers()
        handlers.on("notification.due")(self.due)
        return handlers

    async def due(self, event: CloudEvent, within: None) -> None:
        """Keep it for the desk. Safe to repeat. Raises `Park` when there are no words for it, and `Unavailable`."""
        notification = Notification.of(event)
        due = notification.due
        if wording(due.kind, due.stage) is None:
            raise Park("no_words", f"there is no mail for {due.kind}/{due.stage}")
        alone = due.urgency == "high" or not self._gather
        now = await self._clock.now()
        if due.expires_at < now - KEPT:  # the ledger may have forgotten that it was sent: it is replayed, most likely
            logger.warning("position %d had expired long ago: it is passed over", event.position)
            return
        if alone:
            self._ledger.add(notification, mail=notification.key, ready_at=now)
        else:
            self._ledger.add(notification, mail=notification.group, ready_at=now + self._gather)
        self._ring()


class Endings:
    """What ends notifications that are undelivered. Safe to repeat."""

    def __init__(self, withdraw: Withdraw) -> None:
        self._withdraw = withdraw

    def handlers(self) -> Handlers[None]:
        handlers: Handlers[None] = Handlers()
        handlers.on("notification.withdrawn")(self.withdrawn)
        handlers.on("notification.acknowledged")(self.acknowledged)
        handlers.on("notification.snoozed")(self.snoozed)
        return handlers

    async def withdrawn(self, event: CloudEvent, within: None) -> None:
        """What has the same key and is still undelivered is needless from now on."""
        told = event.read(Withdrawn)
        if told.reason in UNDELIVERED_IS_NEEDLESS:
            self._withdraw(f"{event.tenant}/{told.cancellation_key}", event.epoch, event.position)

    async def acknowledged(self, event: CloudEvent, within: None) -> None:
        """Who has acted on it, or wants to hear no more, is not told again; where all has fallen due, nothing is left
        to be withdrawn that would say so."""
        told = event.read(Acknowledged)
        if told.how != "seen":
            self._withdraw(f"{event.tenant}/{told.cancellation_key}", event.epoch, event.position)

    async def snoozed(self, event: CloudEvent, within: None) -> None:
        """It comes again, as a notification of its own: this one alone is needless. Its `dedupe_key` is the id of its
        stream."""
        self._withdraw(f"{event.tenant}/{event.subject}", event.epoch, event.position)
