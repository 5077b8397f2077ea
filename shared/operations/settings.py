"""What can be set from outside, read from environment variables that begin with `KITHLOG_`: here what services share.

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
