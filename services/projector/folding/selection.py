"""Which rows are folded afresh: all, a sample, or some."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import md5
from typing import Any

from services.projector.folding.changes import RowId
from services.projector.folding.read_model import Filed, ReadModel
from shared.domain.kernel import Event
from shared.envelope import Recorded

WHOLE = 256


@dataclass(frozen=True, slots=True)
class Selection:
    """Rows by the first byte of their key's MD5 hash, which PostgreSQL can compute as well, or by name."""

    below: int = WHOLE
    """Of 256: how many values of that byte are in."""
    ids: frozenset[RowId] | None = None
    """Only these."""

    @property
    def whole(self) -> bool:
        return self.below >= WHOLE and self.ids is None

    def __contains__(self, id: RowId) -> bool:
        if self.ids is not None:
            return id in self.ids
        return self.below >= WHOLE or md5(id[2].encode(), usedforsecurity=False).digest()[0] < self.below

    def columns(self, model: str) -> tuple[int, list[str] | None, list[str] | None]:
        """As `rebuild.sql` takes it for one model: the byte's bound, tenants and keys."""
        if self.ids is None:
            return self.below, None, None
        ids = [id for id in self.ids if id[0] == model]
        return WHOLE, [tenant for _, tenant, _ in ids], [key for _, _, key in ids]


EVERYTHING = Selection()


class Selected(ReadModel[Any]):
    """A read model, with those of its rows that are selected."""

    def __init__(self, model: ReadModel[Any], selection: Selection) -> None:
        self._model, self._selection = model, selection
        for name in ("name", "version", "row", "entries", "folds", "listed"):
            setattr(self, name, getattr(model, name))
        super().__init__()

    def keys(self, e: Recorded[Event]) -> Iterable[str]:
        return [key for key in self._model.keys(e) if (self.name, e.tenant, key) in self._selection]

    def evolve(self, key: str, row: Any, e: Recorded[Event]) -> Any:
        return self._model.evolve(key, row, e)

    def file(self, row: Any) -> Filed:
        return self._model.file(row)
