"""Read models of which each row tells of one stream."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, ClassVar, TypeVar

from services.projector.folding.read_model import ReadModel
from shared.domain.kernel import Event
from shared.envelope import Recorded

Row = TypeVar("Row")
Begin = Callable[[Recorded[Any]], Row]
Change = Callable[[Row, Recorded[Any]], Row]


class PerStream(ReadModel[Row]):
    """One row a stream, by the stream's id. Two tables fold it: the events that begin a row, and those that change it.

    An event in neither table leaves the row alone. A change without a row has nothing to change: the stream began
    before this model knew how to begin it.
    """

    begins: ClassVar[Mapping[type[Event], Begin[Any]]]
    changes: ClassVar[Mapping[type[Event], Change[Any]]]

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        cls.folds = frozenset((*cls.begins, *cls.changes))

    def keys(self, e: Recorded[Event]) -> Iterable[str]:
        return (str(e.stream_id),) if type(e.data) in (self.folds or ()) else ()

    def evolve(self, key: str, row: Row | None, e: Recorded[Event]) -> Row | None:
        kind = type(e.data)
        begin = self.begins.get(kind)
        if begin is not None:
            begun: Row = begin(e)
            return begun
        return None if row is None else self.changes[kind](row, e)
