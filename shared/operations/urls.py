"""Addresses of servers among the settings: one that nobody can reach is told at the start, and without its password.

A `#`, `/` or `?` that a password holds as it is ends the place of the server too early, and what is left of the
password is taken for a port or a query: whoever complains of that shows a piece of it.
"""

from __future__ import annotations

import re
from typing import Annotated
from urllib.parse import SplitResult, parse_qs, urlsplit

from pydantic import AfterValidator

UNREADABLE = (
    "its host and port can't be read: write `#`, `/`, `?`, `@`, `[`, `\\` in a password as %23, %2F, %3F, %40, %5B, "
    "%5C, `@` so wherever it does not stand before the host, a port from 1 to 65535, and a query as name=value"
)
SSL_MODES = ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")
_PLACE = re.compile(r"/.*|(?:\[[^][]+]|[^][:@]*)(?::(?P<port>[0-9]{0,5}))?")
"""A folder of socket files, or a host, which may be an address of IPv6, with or without a port."""


def _of_postgresql(url: str) -> str:
    parts = _split(url, "postgresql", "postgres")
    # As asyncpg reads it: a user ends at the first `@`, there may be several hosts, or all of it is in the query.
    _check_places((parts.netloc.partition("@")[2] if "@" in parts.netloc else parts.netloc).split(","))
    try:
        query = parse_qs(parts.query, strict_parsing=bool(parts.query))
    except ValueError:  # it names what it could not read
        raise ValueError(UNREADABLE) from None
    for hosts in query.get("host", ()):
        _check_places(hosts.split(","))
    for ports in query.get("port", ()):
        _check_places([port and f":{port}" for port in ports.split(",")])
    if not {mode.replace("_", "-") for mode in query.get("sslmode", ())} <= set(SSL_MODES):
        raise ValueError(f"sslmode must be one of {', '.join(SSL_MODES)}")
    return url


def _of_rabbitmq(url: str) -> str:
    parts = _split(url, "amqp", "amqps")
    # As yarl reads it: a user ends at the last `@`.
    place = parts.netloc.rpartition("@")[2]
    if not parts.hostname or "\\" in parts.netloc or ("@" in parts.query and place == parts.netloc):
        raise ValueError(UNREADABLE)
    _check_places([place])
    return url


def _split(url: str, *schemes: str) -> SplitResult:
    if not url.startswith(tuple(f"{scheme}://" for scheme in schemes)):
        raise ValueError(f"must begin with {' or '.join(f'{scheme}://' for scheme in schemes)}")
    try:
        parts = urlsplit(url)
    except ValueError:  # brackets that match no address
        raise ValueError(UNREADABLE) from None
    if "#" in url or ("@" in parts.path and "@" not in parts.netloc):
        raise ValueError(UNREADABLE)
    return parts


def _check_places(places: list[str]) -> None:
    for each in places:
        found = _PLACE.fullmatch(each)
        if found is None or (len(places) > 1 and not each) or not 1 <= int(found["port"] or 1) <= 65_535:
            raise ValueError(UNREADABLE)


PostgresUrl = Annotated[str, AfterValidator(_of_postgresql)]
AmqpUrl = Annotated[str, AfterValidator(_of_rabbitmq)]
