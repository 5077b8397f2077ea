"""The consumer's mark, kept with what its handlers write."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Generic, TypeVar

from shared.client.failures import HandlerFailed
from shared.client.history import History
from shared.client.mark import Mark
from shared.client.rules import Rules
from shared.client.store import PositionStore, Unit

T = TypeVar("T")


class KeptMark(Generic[T]):
    """The mark as it was saved last, known without asking the store until a save ends badly."""

    def __init__(self, store: PositionStore[T], history: History, rules: Rules) -> None:
        self._store, self._history, self._rules = store, history, rules
        self._known: Mark | None = None

    async def mark(self) -> Mark:
        return self._known if self._known is not None else await self.load()

    async def load(self) -> Mark:
        """From the store; where there is none, that of the beginning, which is saved unless it is the first event."""
        mark = await self._store.load()
        if mark is None:
            mark = Mark()
            if self._rules.begin == "now":
                page = await self._history.page(0, 1)
                mark = Mark(epoch=page.epoch, proven=page.head)
                mark = mark.saved()
                async with self._store.unit() as unit:
                    await unit.save(mark)
        self._known = mark
        return mark

    async def keep(self, mark: Mark) -> None:
        mark = mark.saved()
        async with self.saving() as unit:
            await unit.save(mark)
        self._known = mark

    def go_on_from(self, mark: Mark) -> None:
        """The next one that is kept will be of this one, which a unit of work has saved, or which is as good."""
        self._known = mark

    @asynccontextmanager
    async def saving(self) -> AsyncIterator[Unit[T]]:
        """A unit of work that saves a mark. Where it ends badly, the kept mark has to be read again."""
        try:
            async with self._store.unit() as unit:
                yield unit
        except HandlerFailed:
            raise
        except BaseException:
            self._known = None  # it may be another's by now, or ours although the answer was lost
            raise
