"""Which environment variables with Kithlog's prefix no part of it reads: most likely they are misspelt."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches

import structlog

from shared.operations.settings import PREFIX, Settings, documented

_ELSEWHERE = """
APPEND_BATCH APPEND_PATIENCE BODY_LIMIT BULK_CHUNK BULK_LINE_LIMIT INTAKE KEPT_STATES RELAY
FIRE FIRING_BATCH KEPT_ROWS PAGE POLL_INTERVAL WAIT_LIMIT
ACTOR MANAGEMENT_URL
COMMAND_URL PROJECTOR_URL
DELIVERY_COACHES DELIVERY_DOMAIN DELIVERY_GATHER DELIVERY_SENDER DELIVERY_SMTP_HOST DELIVERY_SMTP_PASSWORD
DELIVERY_SMTP_PORT DELIVERY_SMTP_USER DELIVERY_STATE DELIVERY_TENANT DELIVERY_WHEN_UNSURE
COMMAND_PORT POSTGRES_PASSWORD POSTGRES_PORT PROJECTOR_PORT RABBITMQ_PASSWORD RABBITMQ_PORT SERVERS_RESTART
CACHE POSTGRES RABBITMQ
BROKER_KILLS CONSUMER_EVENTS NODE TEST_REBUILD_ROUNDS
"""
"""What is read by what this package knows nothing of: command service, projector, operators' tool, delivery,
`docker-compose.yml`, launcher, tests. One environment may be handed to them all."""
KNOWN = frozenset(each.variable for each in documented(Settings)) | {PREFIX + name for name in _ELSEWHERE.split()}
_SERVICE_HOST = "_SERVICE_HOST"
logger = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Unread:
    """A variable that changes nothing, and the one that may have been meant; never its value."""

    variable: str
    nearest: str | None

    @property
    def remedy(self) -> str:
        return f"rename it to {self.nearest}, if that is meant" if self.nearest else "remove it"


def unread(environment: Mapping[str, str] = os.environ) -> list[Unread]:
    """By name; upper and lower case are one, as they are to settings."""
    # Kubernetes tells each container of the Services beside it, which may be called kithlog-command, by such names.
    links = [name.removesuffix(_SERVICE_HOST) for name in environment if name.endswith(_SERVICE_HOST)]
    told = tuple(link + part for link in links for part in ("_SERVICE_", "_PORT"))
    return [
        Unread(name, _nearest(name.upper()))
        for name in sorted(environment)
        if name.upper().startswith(PREFIX) and name.upper() not in KNOWN and not name.startswith(told)
    ]


def _nearest(name: str) -> str | None:
    own = {known.removeprefix(PREFIX): known for known in KNOWN}
    near = get_close_matches(name.removeprefix(PREFIX), sorted(own), n=1)
    return own[near[0]] if near else None


def warn_of_unread() -> None:
    """A line in the log for each; to be called where logging is set up."""
    for each in unread():
        logger.warning("nothing reads this variable", variable=each.variable, nearest=each.nearest)
