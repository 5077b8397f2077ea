"""A handler that does as it is told, and events for it."""

from __future__ import annotations

from collections.abc import Callable

from shared.client import (
    CloudEvent,
    Handlers,
    Incoming,
    Rules,
)
from tests.client.messages import held

FIRST = Rules(begin="first", delays=(1, 10))


def some(*positions: int) -> list[Incoming]:
    return [held(position) for position in positions]


class Taker:
    """A handler that remembers what it took, and fails as it is told."""

    def __init__(self) -> None:
        self.took: list[int] = []
        self.fails: Callable[[CloudEvent], Exception | None] = lambda event: None
        self.handlers: Handlers[None] = Handlers()
        self.handlers.on("interview.held")(self._take)

    async def _take(self, event: CloudEvent, within: None) -> None:
        if error := self.fails(event):
            raise error
        self.took.append(event.position)


class Killed(BaseException):
    """The process ends."""
