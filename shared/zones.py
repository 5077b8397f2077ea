"""Time zones by their IANA names."""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from zoneinfo import ZoneInfo


@cache
def zone(name: str) -> ZoneInfo | None:
    """The zone of an IANA name; None for one that is not known.

    By the rules of the package `tzdata` and never by the machine's own, which are of another version on each: what one
    process has reckoned would be wrong to the next.
    """
    if name not in _zones():
        return None
    with files("tzdata").joinpath("zoneinfo", *name.split("/")).open("rb") as rules:
        return ZoneInfo.from_file(rules, key=name)


@cache
def _zones() -> frozenset[str]:
    return frozenset(files("tzdata").joinpath("zones").read_text("utf-8").split())
