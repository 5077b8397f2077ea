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
