"""What the command service counts, beside what every service does."""

from __future__ import annotations

from shared.operations.metrics import SIZES, Metrics


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
