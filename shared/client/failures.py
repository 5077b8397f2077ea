"""How consuming can fail, and what a handler may raise to say what is to become of an event."""

from __future__ import annotations


class Park(Exception):
    """A handler raises it for an event that no repetition will mend: it is parked at once.

    `reason` is a short code that operators can filter by; the message says more.
    """

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(detail or reason)
        self.reason, self.detail = reason, detail or reason


class Unavailable(Exception):
    """What the work needs is away: everything waits, and no attempt is counted against the event.

    Handlers raise it, and so do the history and the stores of this package.
    """


class Forked(Exception):
    """The log was restored to an earlier point, and this consumer has seen what came after it and is no more.

    The consumer stops: only its owner knows how to undo that. With the point of the restore and the new epoch, as
    `kithlog log fork` tells them, undo it and save the mark in one unit of work, and start again:

        mark = await store.load()
        async with store.unit() as unit:
            await undo(unit.within, position)
            await unit.save(mark.back_to(position, epoch).saved())
    """


class Stale(Exception):
    """Another process has moved this consumer's mark meanwhile; what was done in this unit is undone with it."""


class NotACloudEvent(Exception):
    """A message that is not an event of the log. `reason` is `not_json` or `not_a_cloudevent`."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason


class HandlerFailed(Exception):
    """Carries what a handler raised through the unit of work, so that the unit is undone."""

    def __init__(self, error: Exception) -> None:
        super().__init__(repr(error))
        self.error = error
