"""From what the projector tells about itself to Prometheus' figures."""

from __future__ import annotations

from services.projector.live.observing import Kind, Source
from services.projector.metrics import ProjectorMetrics


class Measuring:
    """Observes the loop and the firing (`LoopObserver`, `FiringObserver`)."""

    def __init__(self, metrics: ProjectorMetrics) -> None:
        self._metrics = metrics
        self._reason: str | None = None

    def folded(self, source: Source, *, events: int, seconds: float) -> None:
        self._metrics.folded.labels(source).inc(events)
        self._metrics.fold_events.observe(events)
        self._metrics.fold_seconds.observe(seconds)

    def message(self, kind: Kind) -> None:
        self._metrics.messages.labels(kind).inc()

    def parked(self, streams: int) -> None:
        self._metrics.parked.set(streams)

    def halted(self, reason: str | None) -> None:
        if self._reason is not None:
            self._metrics.stopped.labels(self._reason).set(0)
        if reason is not None:
            self._metrics.stopped.labels(reason).set(1)
        self._reason = reason

    def moved(self, head: int, checkpoint: int) -> None:
        """As the database holds them."""
        self._metrics.head.set(head)
        self._metrics.checkpoint.set(checkpoint)
        self._metrics.lag.set(head - checkpoint)

    def settled(self, policy: str, outcome: str, late: float | None) -> None:
        self._metrics.settled.labels(policy, outcome).inc()
        if late is not None:
            self._metrics.lateness.observe(max(0.0, late))

    def timers(self, *, pending: int, overdue: int, late: float) -> None:
        self._metrics.timers_pending.set(pending)
        self._metrics.timers_overdue.set(overdue)
        self._metrics.timers_late_seconds.set(late)
