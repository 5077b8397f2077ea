"""What is stored as rows, and what a read model is: documents folded from the log, one event at a time, by pure
functions."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Iterable
from datetime import datetime
from typing import Any, ClassVar, Generic, Self, TypeVar
from uuid import UUID

from pydantic import TypeAdapter

from shared.domain.kernel import Event
from shared.envelope import Recorded
from shared.immutable import immutable

Row = TypeVar("Row")


@immutable
class Filed:
    """By what a row is found besides its key. Pages are sorted by (`sort`, key); rows without `sort` come first."""

    owner: UUID | None = None
    """Whose it is: a seeker, a contact, a programme."""
    state: str | None = None
    """What queries filter by."""
    sort: datetime | None = None


class Telling(ABC):
    """A row that tells of contacts more than ids, times and states.

    When a contact is forgotten, all rows of such a model that mention them are looked up, and emptied of it.
    """

    __slots__ = ()

    @abstractmethod
    def forgetting(self, contact_id: UUID, at: datetime) -> Self | None:
        """The row without what it tells of a contact who was forgotten at `at`; None: nothing is left of it.

        Answers the row itself when it tells nothing of them.
        """


class StoredRows(ABC, Generic[Row]):
    """One kind of row, as it is stored, whoever folds it.

    `version` rises whenever the same log would fold into other rows; then they have to be rebuilt. Rows are immutable
    (frozen dataclasses with slots), stored as JSON; a row is known by its tenant and a `key` which is unique within
    those of its `name`.
    """

    name: ClassVar[str]
    version: ClassVar[int] = 1
    row: ClassVar[type[Any]]
    entries: ClassVar[bool] = False
    """Whether each row is made by one event alone and never touched by another: then none is looked up before."""
    listed: ClassVar[bool] = False
    """Whether the rows of a whole tenant are paged through, not only those of one owner."""

    def __init__(self) -> None:
        self._adapter: TypeAdapter[Row] = TypeAdapter(self.row)

    @abstractmethod
    def file(self, row: Row) -> Filed:
        """Where the row is to be found."""

    def encode(self, row: Row) -> str:
        return self._adapter.dump_json(row).decode()

    def decode(self, body: str | bytes) -> Row:
        """Raises pydantic's `ValidationError` when it is not a row of this version."""
        return self._adapter.validate_json(body)


class ReadModel(StoredRows[Row]):
    """One kind of document. Stateless: the rows are handed in, and what comes back replaces them."""

    folds: ClassVar[Collection[type[Event]] | None] = None
    """The events that may touch its rows: of others it is not asked. None: it is asked of all."""

    @abstractmethod
    def keys(self, e: Recorded[Event]) -> Iterable[str]:
        """The rows that the event may touch, from the event alone; `()` for one that is not among `folds`."""

    @abstractmethod
    def evolve(self, key: str, row: Row | None, e: Recorded[Event]) -> Row | None:
        """The row after the event; `row` is None where there is none, None is answered where there is to be none.

        Answer `row` itself when nothing changes: then nothing is written. An exception parks the event's stream.
        """
