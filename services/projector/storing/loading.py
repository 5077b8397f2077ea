"""Bringing the rows that a page needs into memory: those kept from before, the others from the database."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from services.projector.folding.changes import Changes, ContactId, OwnerId, RowId
from services.projector.folding.folder import Folder, Plan
from services.projector.folding.rows import MISSING, Kept, Rows
from services.projector.storing.store import Store

PAGE_BYTES = 4 * 1024 * 1024
"""A page ends with the event whose payload reaches this sum: three times what ordinary ones come to, and little enough
for one to be folded, the next to be read and the one before to be written at the same time."""
KEPT_ROWS = 30_000
"""Rows kept in memory between pages."""


class Loader:
    """Answers what the database will hold once the page on its way is written."""

    def __init__(self, store: Store, folder: Folder, *, kept: int = KEPT_ROWS) -> None:
        self._store, self._folder = store, folder
        self._entries = {model.name for model in folder.models if model.entries}
        self._kept = Kept(kept)

    def keep(self, changes: Changes) -> None:
        """Remember what a page leads to. Rows that no other event touches are not asked for again."""
        self._kept.keep({id: row for id, row in changes.rows.items() if id[0] not in self._entries})

    def forget(self) -> None:
        self._kept.clear()

    async def gather(self, plan: Plan, on_the_way: Changes) -> Rows:
        """Everything that folding the plan needs; `on_the_way` is what the page before changes, maybe unwritten yet."""
        rows = Rows()
        rows.add(dict.fromkeys(plan.fresh))
        wanted: Collection[RowId] = plan.wanted
        owners: Collection[OwnerId] = plan.owners
        while wanted or owners:
            rows.add(await self._load(wanted, on_the_way))
            if owners:
                await self._load_owned(owners, on_the_way, rows)
            wanted, owners = self._folder.further(plan, rows)
        if plan.forgotten and self._folder.telling:
            rows.add(await self._load_told(plan.forgotten, on_the_way, rows))
        return rows

    async def _load_told(self, contacts: Collection[ContactId], on_the_way: Changes, rows: Rows) -> dict[RowId, Any]:
        """The rows that tell of some contacts, and maybe others."""
        found = await self._store.load_mentioning(self._folder.telling, contacts)
        found = {id: self._as_of(id, on_the_way, row) for id, row in found.items()}
        found |= {id: row for id, row in on_the_way.rows.items() if id[0] in self._folder.telling}
        return {id: row for id, row in found.items() if id not in rows}

    async def _load(self, wanted: Collection[RowId], on_the_way: Changes) -> dict[RowId, Any]:
        known = {id: self._as_of(id, on_the_way) for id in wanted}
        missing = [id for id, row in known.items() if row is MISSING]
        if missing:
            found = await self._store.load(missing)
            loaded = {id: found.get(id) for id in missing}
            self._kept.keep(loaded)
            known |= loaded
        return known

    async def _load_owned(self, owners: Collection[OwnerId], on_the_way: Changes, rows: Rows) -> None:
        owned: dict[OwnerId, list[RowId]] = {owner: [] for owner in owners}
        found: dict[RowId, Any] = {}
        for model in {owner[0] for owner in owners}:
            pairs = [(tenant, id) for name, tenant, id in owners if name == model]
            for owner_id, id, row in await self._store.load_owned(model, pairs):
                found[id] = self._as_of(id, on_the_way, row)
                owned[owner_id].append(id)
        for id, owner_id in on_the_way.owners.items():
            if owner_id in owned:
                found[id] = on_the_way.rows[id]
                owned[owner_id].append(id)
        rows.add(found)
        for owner_id, ids in owned.items():
            rows.add_owned(owner_id, ids)

    def _as_of(self, id: RowId, on_the_way: Changes, otherwise: Any = MISSING) -> Any:
        """The row once the page on its way is written, which the database may not show yet and the kept rows may have
        lost by now; `otherwise` where that page leaves it alone and it is not kept."""
        if id in on_the_way.rows:
            return on_the_way.rows[id]
        kept = self._kept.get(id)
        return otherwise if kept is MISSING else kept
