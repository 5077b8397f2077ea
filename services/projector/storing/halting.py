"""Reasons to stop folding that time alone does not mend."""

from __future__ import annotations

from typing import Literal

from services.projector.folding.changes import Checkpoint
from shared.codec import UnknownEventType
from shared.log.appending import Head
from shared.timing.calendar import SOURCES
from shared.timing.policies import Policies

Reason = Literal["unknown_event_type", "forked", "model_version", "policies"]


class Halted(Exception):
    """Folding has stopped at the last committed checkpoint, and goes on there once the cause is removed."""

    def __init__(self, reason: Reason, detail: str, remedy: str) -> None:
        super().__init__(f"{detail}: {remedy}")
        self.reason, self.detail, self.remedy = reason, detail, remedy


def check_timeline(checkpoint: Checkpoint, head: Head, furthest: Head) -> None:
    """Raises `Halted` when the checkpoint, or a message, is not of the log's timeline."""
    if head.epoch != checkpoint.epoch or head.position < checkpoint.position:
        raise Halted(
            "forked",
            f"the log is at position {head.position} of epoch {head.epoch}, the read models at {checkpoint.position} "
            f"of epoch {checkpoint.epoch}",
            "the database was restored to an earlier point: run `kithlog rebuild`",
        )
    if furthest.epoch > head.epoch or furthest.position > head.position:
        raise Halted(
            "forked",
            f"a message tells of position {furthest.position} and epoch {furthest.epoch}, the log ends at "
            f"{head.position} of epoch {head.epoch}",
            "this is not the log that is published: correct the settings, or, after restoring the database, raise the "
            "epoch, stop all projectors, empty the queue, start them again and run `kithlog rebuild`",
        )


def check_policies(reckoned_by: str | None, policies: Policies) -> None:
    """Raises `Halted` when another projector, started later, has reckoned the timers by other policies, or in another
    calendar: of two that took turns, each would move what the other has reckoned."""
    if reckoned_by and reckoned_by != policies.fingerprint:
        raise Halted(
            "policies",
            f"the pending timers follow timing policies, or zones and holidays, that this process was not started with "
            f"(it has {SOURCES})",
            "end it, or start it again with those that are to hold",
        )


def unknown_event_type(unknown: UnknownEventType) -> Halted:
    return Halted("unknown_event_type", str(unknown), "start a release that does; nothing is skipped until then")
