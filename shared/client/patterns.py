"""Which events a consumer is bound to: patterns of routing keys, `<tenant>.<category>.<event>`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Patterns:
    """As in a topic exchange: `*` stands for one word, `#` for any number of them."""

    keys: tuple[str, ...]

    def __post_init__(self) -> None:
        if not self.keys or not all(key and all(key.split(".")) for key in self.keys):
            raise ValueError(f"not patterns of routing keys: {self.keys!r}")

    @property
    def everything(self) -> bool:
        return "#" in self.keys

    def match(self, routing_key: str) -> bool:
        words = routing_key.split(".")
        return any(_match(key.split("."), words) for key in self.keys)

    @property
    def tenant(self) -> str | None:
        """The one tenant whose events can match; None: they may be of several."""
        tenants = {key.partition(".")[0] for key in self.keys}
        only = tenants.pop()
        return None if tenants or only in ("*", "#") else only

    @property
    def types(self) -> tuple[str, ...] | None:
        """Types (`interview.held`) and categories (`interview.*`) of what can match; None: it may be any."""
        types = set()
        for key in self.keys:
            match key.split("."):
                case [tenant, category, event] if tenant != "#" and category not in "*#":
                    types.add(f"{category}.{'*' if event == '#' else event}")
                case ["#", category, event] if category not in "*#" and event not in "*#":
                    types.add(f"{category}.{event}")
                case _:
                    return None
        return tuple(sorted(types))


EVERYTHING = Patterns(("#",))


def _match(pattern: Sequence[str], words: Sequence[str]) -> bool:
    if not pattern:
        return not words
    if pattern[0] == "#":
        return any(_match(pattern[1:], words[skipped:]) for skipped in range(len(words) + 1))
    return bool(words) and pattern[0] in ("*", words[0]) and _match(pattern[1:], words[1:])
