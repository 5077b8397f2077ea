"""What the database holds once everything has come to rest: values that the checker judges."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from typing import Any, NamedTuple
from uuid import UUID

from shared.envelope import Recorded
from tests.chaos.seen import Command

ENDS = ("notification.due", "notification.withdrawn")
"""With one of these a timer ends, and its notification's stream begins."""


class Receipt(NamedTuple):
    """What a repeated command is answered from."""

    position: int
    """Of the command's last event."""
    events: int
    """How many it wrote, up to that one."""


@dataclass(frozen=True)
class Held:
    events: Sequence[Recorded[bytes]]
    """The whole log, by position."""
    head: int
    receipts: Mapping[Command, Receipt] = field(default_factory=dict)
    overdue: Collection[UUID] = ()
    """Timers that should have fired by now."""
    dead_letters: int = 0
    """Commands that the broker has put aside."""
    wiped_at: datetime | None = None
    """When the broker came back without anything, last."""
    earlier: Sequence[Recorded[bytes]] = ()
    """The log as it was when it was judged before."""

    @cached_property
    def data(self) -> Mapping[int, dict[str, Any]]:
        """Payloads by position."""
        return {each.position: json.loads(each.data) for each in self.events}

    @cached_property
    def by_command(self) -> Mapping[Command, Sequence[Recorded[bytes]]]:
        found: dict[Command, list[Recorded[bytes]]] = defaultdict(list)
        for each in self.events:
            found[each.tenant, each.command_id].append(each)
        return found

    @cached_property
    def by_id(self) -> Mapping[tuple[str, UUID], Recorded[bytes]]:
        """By tenant and event id: two tenants may use the same command id, which the event's follows from."""
        return {(each.tenant, each.event_id): each for each in self.events}

    @cached_property
    def by_stream(self) -> Mapping[tuple[str, str], Sequence[Recorded[bytes]]]:
        """By tenant and stream, as answers name it."""
        found: dict[tuple[str, str], list[Recorded[bytes]]] = defaultdict(list)
        for each in self.events:
            found[each.tenant, stream_of(each)].append(each)
        return found

    @cached_property
    def ends(self) -> Mapping[UUID, Sequence[Recorded[bytes]]]:
        """What each notification's timer ended as: it fired, or was withdrawn, be it with an earlier stage."""
        found: dict[UUID, list[Recorded[bytes]]] = defaultdict(list)
        for each in self.events:
            if each.type in ENDS and each.version == 1:
                others = self.data[each.position].get("others", ())
                for id in (each.stream_id, *(UUID(other["id"]) for other in others)):
                    found[id].append(each)
        return found


def stream_of(event: Recorded[bytes]) -> str:
    """As answers name it."""
    return f"{event.category}/{event.stream_id}"
