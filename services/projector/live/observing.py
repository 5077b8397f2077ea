"""What the projector tells about itself while it works; for metrics."""

from __future__ import annotations

from typing import Literal, Protocol

Source = Literal["message", "page"]
Kind = Literal["in_order", "duplicate", "gap", "foreign", "undecodable"]


class LoopObserver(Protocol):
    def folded(self, source: Source, *, events: int, seconds: float) -> None:
        """So many events were folded and committed at once, in so many seconds."""
        ...

    def message(self, kind: Kind) -> None: ...

    def parked(self, streams: int) -> None:
        """So many streams wait in all."""
        ...

    def halted(self, reason: str | None) -> None:
        """Folding has stopped for a reason that time does not mend; None: it goes on."""
        ...


class Silent:
    """Observes nothing."""

    def folded(self, source: Source, *, events: int, seconds: float) -> None: ...

    def message(self, kind: Kind) -> None: ...

    def parked(self, streams: int) -> None: ...

    def halted(self, reason: str | None) -> None: ...
