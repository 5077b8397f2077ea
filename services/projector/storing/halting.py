"""Reasons to stop folding that time alone does not mend."""

from __future__ import annotations

from typing import Literal

Reason = Literal["unknown_event_type", "forked", "model_version", "policies"]


class Halted(Exception):
    """Folding has stopped at the last committed checkpoint, and goes on there once the cause is removed."""

    def __init__(self, reason: Reason, detail: str, remedy: str) -> None:
        super().__init__(f"{detail}: {remedy}")
        self.reason, self.detail, self.remedy = reason, detail, remedy
