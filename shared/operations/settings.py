"""Everything that can be set from outside, read from environment variables that begin with `KITHLOG_`.

`documented(Settings)` lists them with what they mean, for the README's table and the test that compares the two.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal, TypeVar

from pydantic import AfterValidator, BeforeValidator, Field, FilePath, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from shared.operations.policies import load_policies
from shared.operations.urls import AmqpUrl, PostgresUrl

PREFIX = "KITHLOG_"


def _usable(policies: Path | None) -> Path | None:
    try:
        load_policies(policies)
    except OSError as error:
        raise ValueError(str(error)) from error
    return policies


PoliciesFile = Annotated[FilePath | None, BeforeValidator(lambda value: value or None)]
"""Empty is none, as in a manifest that hands on what is not set."""
Seconds = Annotated[float, Field(gt=0, le=86_400)]


class Settings(BaseSettings):
    """What both services share."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, frozen=True, extra="ignore", hide_input_in_errors=True)

    database_url: PostgresUrl = Field(
        "postgresql://kithlog@127.0.0.1:5432/kithlog",
        repr=False,
        description="PostgreSQL of the log and the read models.",
    )
    amqp_url: AmqpUrl = Field(
        "amqp://guest:guest@127.0.0.1:5672/",
        repr=False,
        description="RabbitMQ.",
    )
    pool_size: int = Field(10, ge=2, le=200, description="Most connections to PostgreSQL used for reading.")
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="Least important kind of log line to write."
    )
    log_format: Literal["auto", "json", "console"] = Field(
        "auto",
        description="`json`: one object per line; `console`: for eyes; `auto`: console on a terminal, else json.",
    )
    access_log: bool = Field(True, description="Write a log line for each request that was answered.")
    stalled_after: Seconds = Field(
        30.0,
        description="Seconds for which a loop may be behind the log without moving before `/readyz` says so.",
    )
    policies: Annotated[PoliciesFile, AfterValidator(_usable)] = Field(
        None,
        description="TOML file in which tables `[<tenant>.<policy>]` change timing policies; checked at start, and one "
        "for both services.",
    )


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


class Unusable(Exception):
    """Settings that can't be used: the message names each variable, never its value."""


Known = TypeVar("Known", bound=BaseSettings)


def from_environment(settings: type[Known]) -> Known:
    """Raises `Unusable`."""
    try:
        return settings()
    except ValidationError as error:
        prefix = settings.model_config["env_prefix"]
        wrongs = [
            f"{prefix}{str(each['loc'][0]).upper()}: {each['msg'].removeprefix('Value error, ')}"
            for each in error.errors(include_input=False)
        ]
        raise Unusable(f"settings can't be used: {'; '.join(wrongs)}") from None


def of_this_process(settings: type[Known]) -> Known:
    """The settings of a process that is nothing without them: unusable ones end it with a message, and exit code 1."""
    try:
        return from_environment(settings)
    except Unusable as error:
        sys.exit(f"kithlog: {error}")


@dataclass(frozen=True, slots=True)
class Documented:
    variable: str
    default: str
    description: str


def _shown(default: object) -> str:
    if default is None:
        return ""
    return str(default).lower() if isinstance(default, bool) else str(default)


def documented(settings: type[Settings]) -> Iterator[Documented]:
    """Each setting's environment variable, default and meaning, in the order of declaration."""
    for name, info in settings.model_fields.items():
        default = info.default
        yield Documented(
            PREFIX + name.upper(),
            _shown(default),
            info.description or "",
        )
