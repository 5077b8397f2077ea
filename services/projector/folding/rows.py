"""Rows in memory: those of the page in hand, and those kept from pages before."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any, Final

from services.projector.folding.changes import OwnerId, RowId

MISSING: Final = object()
"""Not known, in contrast to None: known not to exist."""


class Kept:
    """The rows used last, as the database has them or will have once what is on its way is written.

    Two halves: when the younger is full it becomes the elder, and what was not asked for since is forgotten. At least
    `size` rows are kept, at most twice as many, and none is ever moved one by one.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._younger: dict[RowId, Any] = {}
        self._elder: dict[RowId, Any] = {}

    def get(self, id: RowId) -> Any:
        """The row, None where there is none, `MISSING` where that is not known."""
        row = self._younger.get(id, MISSING)
        if row is MISSING and (row := self._elder.get(id, MISSING)) is not MISSING:
            self._younger[id] = row
        return row

    def keep(self, rows: Mapping[RowId, Any]) -> None:
        """Remember these. Nothing is there for certain later on, however soon."""
        if len(self._younger) >= self._size:
            self._elder, self._younger = self._younger, {}
        self._younger.update(rows)

    def clear(self) -> None:
        self._younger, self._elder = {}, {}


class Rows:
    """All rows that a page needs, before and while it is folded."""

    def __init__(self) -> None:
        self._rows: dict[RowId, Any] = {}
        self._owned: dict[OwnerId, dict[RowId, None]] = {}

    def __contains__(self, id: RowId) -> bool:
        return id in self._rows

    def __getitem__(self, id: RowId) -> Any:
        """The row, or None where there is none. Raises `KeyError` for one that was not asked for beforehand."""
        return self._rows[id]

    def of(self, models: Collection[str], tenant: str) -> list[tuple[RowId, Any]]:
        """All rows of some models and a tenant that are here, as they are by now."""
        return [(id, row) for id, row in self._rows.items() if row is not None and id[0] in models and id[1] == tenant]

    def knows_owner(self, owner: OwnerId) -> bool:
        return owner in self._owned

    def owned(self, owner: OwnerId) -> list[RowId]:
        """The ids of all rows of an owner, in the order of their keys: whatever they were read from."""
        return sorted(self._owned[owner])

    def add(self, rows: Mapping[RowId, Any]) -> None:
        self._rows.update(rows)

    def add_owned(self, owner: OwnerId, ids: Iterable[RowId]) -> None:
        """All rows of `owner`, each of which must be there."""
        self._owned[owner] = dict.fromkeys(ids)

    def change(self, rows: Mapping[RowId, Any], owners: Mapping[RowId, OwnerId]) -> None:
        """Rows that were folded; `owners` of those among them by whose owner somebody may ask."""
        self._rows.update(rows)
        for id, owner in owners.items():
            if (ids := self._owned.get(owner)) is not None:
                ids[id] = None
