"""Which function handles which event."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

from shared.client.event import CloudEvent
from shared.client.failures import Park

T = TypeVar("T")
Handler = Callable[[CloudEvent, T], Awaitable[None]]
"""Gets the event, and what the store's unit of work is written with (None where that is nothing)."""


class Handlers(Generic[T]):
    """A table of event type → handler, and the greatest schema version that it understands."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[int, Handler[T]]] = {}
        self._otherwise: Handler[T] | None = None

    def on(self, type: str, *, version: int = 1) -> Callable[[Handler[T]], Handler[T]]:
        """A decorator: this handles `type`, such as `interview.held`, up to that schema version.

        A new version is only made for a change that breaks readers: an event of one waits, parked, for your release.
        """

        def add(handler: Handler[T]) -> Handler[T]:
            self._known[type] = (version, handler)
            return handler

        return add

    def otherwise(self, handler: Handler[T]) -> Handler[T]:
        """A decorator: this handles all other types, in any version."""
        self._otherwise = handler
        return handler

    def of(self, event: CloudEvent) -> Handler[T]:
        """Raises `Park`: `unknown_type`, `newer_version`."""
        known, handler = self._known.get(event.type, (None, self._otherwise))
        if handler is None:
            raise Park("unknown_type", f"there is no handler for {event.type}")
        if known is not None and event.version > known:
            raise Park(
                "newer_version", f"{event.type} has schema version {event.version}; known are those up to {known}"
            )
        return handler
