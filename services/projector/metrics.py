"""What the projector service counts, beside what every service does."""

from __future__ import annotations

from shared.operations.metrics import SIZES, Metrics


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
