"""What messages say about the log: which can be folded as they are, and whether something is missing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import structlog

from services.projector.folding.changes import Checkpoint
from services.projector.live.mailbox import Delivery
from services.projector.live.observing import LoopObserver
from shared.broker import cloudevents
from shared.envelope import Recorded
from shared.log.appending import Head

logger = structlog.get_logger(__name__)

NEAR = 50
"""Positions behind the checkpoint within which the log need not be asked for what is new: it comes right behind. Who
asks is ahead of the messages again, and asks for the next one, too: at 500 events/s, the 99th percentile of lateness
was 1.7 times as long by that."""


@dataclass(slots=True)
class Sorted:
    fresh: list[Recorded[bytes]] = field(default_factory=list)
    """Events that follow the checkpoint and each other."""
    look: bool = False
    """Whether the log has to be asked."""
    furthest: Head = field(default_factory=lambda: Head(0, 0))
    """The highest position and the highest epoch that any message tells of."""
    behind: int = 0
    """Positions between the furthest message and the checkpoint, where all are old."""


def sort(deliveries: Sequence[Delivery], checkpoint: Checkpoint, observer: LoopObserver) -> Sorted:
    """Sort messages in the order in which they came.

    Only one that follows without a gap, of the checkpoint's own timeline, is taken at its word. When nothing but old
    ones come that are not near, a backlog is being worked off and the log is ahead of it.
    """
    found = Sorted()
    position = checkpoint.position
    for delivery in deliveries:
        if delivery.body is None:
            observer.message("gap")
            found.look = True
            continue
        try:
            event = cloudevents.decode(delivery.body, delivery.headers)
        except cloudevents.NotACloudEvent as error:
            # Nothing is lost: whatever it was to tell, the log knows.
            logger.error("message is not an event of the log", error=str(error), size=len(delivery.body))
            observer.message("undecodable")
            found.look = True
            continue
        found.furthest = Head(max(event.position, found.furthest.position), max(event.epoch, found.furthest.epoch))
        found.look = found.look or event.epoch > checkpoint.epoch
        if event.position <= position:
            observer.message("duplicate")
        elif event.epoch != checkpoint.epoch:
            observer.message("foreign")
            found.look = True
        elif delivery.headers.get("previous", event.position - 1) == position:
            observer.message("in_order")
            found.fresh.append(event)
            position = event.position
        else:
            observer.message("gap")
            found.look = True
    if found.furthest.position:
        found.behind = max(0, checkpoint.position - found.furthest.position)
    found.look = found.look or found.behind > NEAR
    return found
