"""For tests of handlers: everything but the broker, in memory.

trial = Trial(handlers)
await trial.give(an_event("interview.held", {"minutes": 25}, position=1))
assert trial.parked == []
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Generic, TypeVar
from uuid import UUID, uuid5

from shared.client.event import parse
from shared.client.failures import Forked
from shared.client.handlers import Handlers
from shared.client.history import Page
from shared.client.message import ATTEMPTS, Incoming
from shared.client.patterns import EVERYTHING, Patterns
from shared.client.rules import Counts, Rules
from shared.client.store import MemoryStore, PositionStore
from shared.client.worker import Worker

T = TypeVar("T")
_IDS = UUID("00000000-0000-4000-8000-0000000c11e7")
FROM_THE_FIRST = Rules(begin="first")
_INSTANT = "2026-03-02T12:00:00+00:00"


def an_event(type: str, data: Mapping[str, Any], *, position: int, version: int = 1, **attributes: Any) -> Incoming:
    """A message as the relay would send it; `attributes` replace those of its envelope."""
    category = type.partition(".")[0]
    document = {
        "specversion": "1.0",
        "id": str(uuid5(_IDS, f"event {position} {attributes.get('epoch', 1)}")),
        "source": f"/kithlog/demo/{category}",
        "type": f"kithlog.{type}.v{version}",
        "subject": str(uuid5(_IDS, f"stream {position}")),
        "time": _INSTANT,
        "datacontenttype": "application/json",
        "tenant": "demo",
        "category": category,
        "streamversion": 1,
        "position": str(position),
        "previous": str(position - 1),
        "epoch": 1,
        "recordedat": _INSTANT,
        "actor": "unknown",
        "commandid": str(uuid5(_IDS, f"command {position}")),
        "correlationid": str(uuid5(_IDS, f"correlation {position}")),
        "causationid": str(uuid5(_IDS, f"command {position}")),
        **attributes,
        "data": data,
    }
    headers = {"position": position, "previous": int(document["previous"]), "epoch": document["epoch"]}
    return Incoming(json.dumps(document).encode(), headers)


class MemoryHistory:
    """A log in memory; `events` may be changed at any time."""

    def __init__(self, events: Sequence[Incoming] = (), *, epoch: int = 1) -> None:
        self.events, self.epoch = list(events), epoch
        self.time = datetime.fromisoformat(_INSTANT)

    async def page(self, after: int, limit: int = 500, wanted: Patterns = EVERYTHING) -> Page:
        parsed = [(parse(each.body), each.body) for each in self.events]
        head = max((event.position for event, _ in parsed), default=0)
        if after > head:
            raise Forked(f"the log ends at {head}")
        following = [each for each in parsed if each[0].position > after and wanted.match(each[0].routing_key)]
        page = sorted(following, key=lambda each: each[0].position)[:limit]
        position = page[-1][0].position if len(following) > limit else head
        return Page(tuple(body for _, body in page), position, head, self.epoch, self.time)


@dataclass(frozen=True, slots=True)
class Parked:
    message: Incoming
    attempts: int
    reason: str
    error: str


class Trial(Generic[T]):
    """A consumer without a broker."""

    def __init__(
        self,
        handlers: Handlers[T],
        *,
        rules: Rules = FROM_THE_FIRST,
        store: PositionStore[T] | None = None,
        history: Sequence[Incoming] | MemoryHistory = (),
    ) -> None:
        self.history = history if isinstance(history, MemoryHistory) else MemoryHistory(history)
        self.parked: list[Parked] = []
        self.waiting: list[Incoming] = []
        """What failed, and is to come again."""
        self.pauses: list[float] = []
        """Seconds that it would have waited in place."""
        kept: Any = MemoryStore() if store is None else store
        self.store: PositionStore[T] = kept
        self.worker: Worker[T] = Worker(handlers, self.store, self.history, self, rules, self._pause)

    @property
    def counts(self) -> Counts:
        return self.worker.counts

    async def give(self, *messages: Incoming) -> None:
        """Bring these messages, at one time, to their ends. Raises what `Worker.work` raises."""
        await self.worker.work(messages)

    async def give_again(self) -> None:
        """Bring what waits for another attempt."""
        waiting, self.waiting = self.waiting, []
        await self.give(*waiting)

    async def retry(self, message: Incoming, attempts: int, error: str) -> None:
        self.waiting.append(replace(message, headers={**message.headers, ATTEMPTS: attempts}))

    async def park(self, message: Incoming, attempts: int, reason: str, error: str) -> None:
        self.parked.append(Parked(message, attempts, reason, error))

    async def _pause(self, seconds: float) -> None:
        self.pauses.append(seconds)
