"""What the projector service can be told from outside, beside what it shares with the command service."""

from __future__ import annotations

from pydantic import Field

from shared.operations.settings import Seconds, Settings


class ProjectorSettings(Settings):
    """The projector service."""

    page: int = Field(
        2_000, ge=1, le=10_000, description="Most events folded in one transaction; fewer where all is slow."
    )
    kept_rows: int = Field(30_000, ge=0, description="Rows of the read models that are kept in memory, at least.")
    poll_interval: Seconds = Field(
        1.0,
        description="Seconds between looks at the log's head when the broker rings no bell; after five of them a "
        "projector without messages takes over from one that has stopped.",
    )
    wait_limit: Seconds = Field(
        5.0, description="Most seconds that a query waits for the position it names in `min_position`."
    )
    fire: bool = Field(True, description="Fire timers; off, notifications wait in the schedule.")
    firing_batch: int = Field(200, ge=1, le=500, description="Most timers settled in one transaction.")
