"""Rows on their way into generations beside the live ones: kept in memory, written in bulk."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from uuid import UUID

from services.projector.folding.changes import Changes, OwnerId, RowId
from services.projector.folding.read_model import StoredRows
from services.projector.folding.timing_rows import LINK
from services.projector.storing.store import SETTINGS, Store
from shared.database.pool import connect
from shared.database.queries import columns, load_queries

if TYPE_CHECKING:
    import asyncpg

    Connection = asyncpg.Connection[asyncpg.Record]

QUERIES = load_queries("services.projector.rebuild", "rebuild.sql")
_COLUMNS = ("generation", "tenant", "key", "owner", "state", "sort", "body")
UNSORTED = datetime.min.replace(tzinfo=UTC)  # which PostgreSQL takes as -infinity


class Superseded(Exception):
    """Somebody else has moved or removed the generations: this process is the relic of another rebuild."""


class Staging(Store):
    """What the loader reads from while generations are built; nothing is in the database before `flush`."""

    def __init__(
        self,
        reading: Connection,
        writing: Connection,
        models: Sequence[StoredRows[Any]],
        generations: Mapping[str, int],
        position: int,
    ) -> None:
        super().__init__(reading, writing, models)
        self._generations = dict(generations)
        self.position = position
        """All events up to here are in the database."""
        # Links may be made twice; whatever else is made by one event alone is made once.
        self._once = {model.name for model in models if model.entries and model.name != LINK}
        self._dirty: dict[RowId, Any] = {}
        self._absent: set[RowId] = set()
        self._again: set[RowId] = set()
        """Rows that are in the database and may change, though their model's are made once: somebody was forgotten."""
        self._owned: dict[OwnerId, list[RowId]] = {}

    @classmethod
    @asynccontextmanager
    async def beside(
        cls, database_url: str, models: Sequence[StoredRows[Any]], generations: Mapping[str, int], position: int
    ) -> AsyncIterator[Staging]:
        """Raises what asyncpg raises while PostgreSQL is away."""
        connections: list[Connection] = []
        try:
            for _ in range(2):
                connections.append(await connect(database_url, server_settings=SETTINGS))
            await connections[1].execute(QUERIES["take_part"])
            yield cls(connections[0], connections[1], models, generations, position)
        finally:
            for connection in connections:
                connection.terminate()

    async def load(self, ids: Collection[RowId]) -> dict[RowId, Any]:
        staged = {id: self._dirty[id] for id in ids if id in self._dirty}
        asked = [id for id in ids if id not in staged]
        found = await super().load(asked)
        self._absent.update(id for id in asked if id not in found)
        return found | {id: row for id, row in staged.items() if row is not None}

    async def load_owned(self, model: str, owners: Collection[tuple[str, UUID]]) -> list[tuple[OwnerId, RowId, Any]]:
        found = await super().load_owned(model, owners)
        known = {id for _, id, _ in found}
        for tenant, id in owners:
            owner = (model, tenant, id)
            found += ((owner, row, self._dirty[row]) for row in self._owned.get(owner, ()) if row not in known)
        return found

    async def load_mentioning(self, models: Collection[str], ids: Collection[tuple[str, UUID]]) -> dict[RowId, Any]:
        found = await super().load_mentioning(models, ids)
        self._again.update(found)
        return found

    def stage(self, changes: Changes) -> None:
        self._dirty.update(changes.rows)
        for id, owner in changes.owners.items():
            self._owned.setdefault(owner, []).append(id)

    async def flush(self, position: int) -> None:
        """Write what is staged, which is what the events up to `position` lead to. Raises `Superseded`."""
        generations = list(self._generations.values())
        if position == self.position or not generations:
            return
        async with self._writing.transaction():
            moved = await self._writing.fetchval(QUERIES["advance"], generations, self.position, position)
            if moved != len(generations):
                raise Superseded(f"generations {generations} are not at position {self.position} any more")
            await self._write()
        self.position = position
        self._dirty, self._absent, self._again, self._owned = {}, set(), set(), {}

    async def _write(self) -> None:
        copied: dict[str, list[tuple[Any, ...]]] = {name: [] for name in self._generations}
        upserted: list[tuple[Any, ...]] = []
        deleted: list[tuple[Any, ...]] = []
        for id, row in self._dirty.items():
            if row is None:
                deleted.append((self._generations[id[0]], id[1], id[2]))
                continue
            *filed, sort, body = self.filed_row(id, row)
            once = id[0] in self._once and id not in self._again
            record = (*filed, sort or UNSORTED, body)
            if once or id in self._absent:
                copied[id[0]].append(record)
            else:
                upserted.append(record)
        for name, records in copied.items():
            if records:
                await self._writing.copy_records_to_table(
                    f"row_{self._generations[name]}", schema_name="read", columns=_COLUMNS, records=records
                )
        if upserted:
            await self._writing.execute(QUERIES["upsert_rows"], *columns(upserted, 7))
        if deleted:
            await self._writing.execute(QUERIES["delete_rows"], *columns(deleted, 3))
