"""Prometheus metrics: one registry for each app, so that apps can be built side by side.

Names follow Prometheus' conventions: `kithlog_` first, unit last, `_total` for counters.
"""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Sequence
from time import perf_counter

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    PlatformCollector,
    ProcessCollector,
    generate_latest,
)

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
FAST = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
"""Bounds in seconds for what usually takes milliseconds."""
SIZES = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)


class Metrics:
    """What both services count."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)
        self._garbage = self.gauge("gc_collections", "Runs of the garbage collector so far.", ("generation",))
        self.requests = self.histogram("http_request_seconds", "Time from request to answer.", ("method", "status"))
        self.loop_delay = self.histogram("event_loop_delay_seconds", "How late the event loop ran what was due.")
        self.restarts = self.counter("loop_restarts", "Times that a background loop died and was restarted.", ("loop",))

    def counter(self, name: str, text: str, labels: Sequence[str] = ()) -> Counter:
        return Counter(f"kithlog_{name}", text, labels, registry=self.registry)

    def gauge(self, name: str, text: str, labels: Sequence[str] = ()) -> Gauge:
        return Gauge(f"kithlog_{name}", text, labels, registry=self.registry)

    def histogram(
        self, name: str, text: str, labels: Sequence[str] = (), *, buckets: Sequence[float] = FAST
    ) -> Histogram:
        return Histogram(f"kithlog_{name}", text, labels, buckets=buckets, registry=self.registry)

    def page(self) -> bytes:
        """The present figures in Prometheus' text format."""
        for generation, figures in enumerate(gc.get_stats()):
            self._garbage.labels(str(generation)).set(figures["collections"])
        return generate_latest(self.registry)

    async def watch_event_loop(self, stop: asyncio.Event, *, every: float = 0.5) -> None:
        """Measure until `stop` how long due work waits because something else holds the loop."""
        while not stop.is_set():
            due = perf_counter() + every
            try:
                await asyncio.wait_for(stop.wait(), timeout=every)
            except TimeoutError:
                self.loop_delay.observe(max(0.0, perf_counter() - due))


class CommandMetrics(Metrics):
    """The command service's. Observes the log (`appended`) and the relay (`leading`, `published`, `failed`)."""

    def __init__(self) -> None:
        super().__init__()
        self.commands = self.counter(
            "commands", "Commands by the way they came and how they were answered.", ("channel", "command", "outcome")
        )
        self.append_seconds = self.histogram("append_seconds", "Time to commit one batch.")
        self.append_commands = self.histogram("append_batch_commands", "Commands in one batch.", buckets=SIZES)
        self.appended_events = self.counter("appended_events", "Events written to the log.")
        self.head = self.gauge("log_head", "Last position of the log.")
        self.relay_lag = self.gauge(
            "relay_lag_events", "Events in the log that are not known to be published, read from the log."
        )
        self.relay_leads = self.gauge("relay_leads", "1 while this process publishes, 0 while it stands by.")
        self.relay_published = self.counter("relay_published_events", "Events that the broker has confirmed.")
        self.relay_seconds = self.histogram("relay_confirm_seconds", "Time until a batch was confirmed.")
        self.relay_failures = self.counter(
            "relay_failures", "Attempts to publish, or to stand by for it, that ended early.", ("error",)
        )

    def appended(self, *, commands: int, events: int, seconds: float) -> None:
        self.append_commands.observe(commands)
        self.append_seconds.observe(seconds)
        self.appended_events.inc(events)

    def leading(self, leads: bool) -> None:
        self.relay_leads.set(leads)

    def published(self, *, events: int, seconds: float) -> None:
        self.relay_published.inc(events)
        self.relay_seconds.observe(seconds)

    def failed(self, error: Exception) -> None:
        self.relay_failures.labels(type(error).__name__).inc()


class ProjectorMetrics(Metrics):
    """The projector service's."""

    def __init__(self) -> None:
        super().__init__()
        self.head = self.gauge("log_head", "Last position of the log.")
        self.checkpoint = self.gauge("projector_checkpoint", "Last position that was folded, read from the database.")
        self.lag = self.gauge("projector_lag_events", "Events in the log that are not folded yet.")
        self.folded = self.counter("folded_events", "Events folded into the read models.", ("source",))
        self.fold_seconds = self.histogram("fold_page_seconds", "Time to fold and commit one page.")
        self.fold_events = self.histogram("fold_page_events", "Events in one page.", buckets=SIZES)
        self.messages = self.counter(
            "messages", "Messages from the broker: in order, gap, duplicate, foreign or undecodable.", ("kind",)
        )
        self.parked = self.gauge("parked_streams", "Streams whose fold failed and whose events wait.")
        self.stopped = self.gauge(
            "projector_stopped", "1 when folding has stopped for a reason that time does not mend.", ("reason",)
        )
        self.timers_pending = self.gauge(
            "timers_pending",
            "Notifications still to fire, by PostgreSQL's statistics, which begin anew after a crash or fail-over.",
        )
        self.timers_overdue = self.gauge("timers_overdue", "Notifications past their due time that have not fired.")
        self.timers_late_seconds = self.gauge("timers_late_seconds", "Age of the most overdue notification.")
        self.settled = self.counter("notifications", "Notifications settled, by outcome.", ("policy", "outcome"))
        self.lateness = self.histogram(
            "notification_lateness_seconds",
            "Time from due to fired.",
            buckets=(0.1, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 3600, 86_400),
        )
