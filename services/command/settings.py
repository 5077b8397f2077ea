"""What the command service can be told from outside, beside what it shares with the projector service."""

from __future__ import annotations

from pydantic import Field

from shared.operations.settings import Seconds, Settings


class CommandSettings(Settings):
    """The command service."""

    body_limit: int = Field(
        256 * 1024, ge=1024, le=64 * 1024 * 1024, description="Most bytes in the body of one command."
    )
    bulk_line_limit: int = Field(
        256 * 1024, ge=1024, le=64 * 1024 * 1024, description="Most bytes in one line of an import."
    )
    bulk_chunk: int = Field(500, ge=1, le=10_000, description="Lines of an import that are written in one transaction.")
    append_batch: int = Field(1000, ge=1, le=20_000, description="Most events in one group commit.")
    append_patience: Seconds = Field(
        10.0,
        description="Seconds for which a read or an append of a command waits for PostgreSQL before it is answered "
        "503; commands for one stream wait one after the other.",
    )
    kept_states: int = Field(50_000, ge=0, description="Streams whose folded state is kept in memory.")
    relay: bool = Field(True, description="Publish the log to RabbitMQ; one replica leads, the others stand by.")
    intake: bool = Field(True, description="Take commands from RabbitMQ's queue `kithlog.commands`.")
