"""What the doctor finds, and what to do about it."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

State = Literal["ok", "look", "wrong", "away", "unknown"]


@dataclass(frozen=True, slots=True)
class Finding:
    """`look`: works, but not for long or not well; `unknown`: could not be looked at, and why."""

    where: str
    what: str
    state: State
    detail: str
    remedy: str = ""

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


def ok(where: str, what: str, detail: str) -> Finding:
    return Finding(where, what, "ok", detail)
