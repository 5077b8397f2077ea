"""Folding in memory: what the projector does between loading and writing, over plain dictionaries."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

from services.projector.folding.changes import Ending, OwnerId, Parked, RowId, StreamId, TimerId
from services.projector.folding.folder import Folder, Plan
from services.projector.folding.rows import Rows
from shared.envelope import Recorded
from shared.timing.timers import Timer


def gather(
    folder: Folder, plan: Plan, rows: Mapping[RowId, Any], owned: Callable[[OwnerId], Collection[RowId]]
) -> Rows:
    """Of all rows, those that the plan asks for; `owned` names those of an owner."""
    gathered = Rows()
    gathered.add(dict.fromkeys(plan.fresh))
    wanted: Iterable[RowId] = plan.wanted
    owners: Iterable[OwnerId] = plan.owners
    while wanted or owners:
        gathered.add({id: rows.get(id) for id in wanted})
        for owner in owners:
            ids = owned(owner)
            gathered.add({id: rows[id] for id in ids})
            gathered.add_owned(owner, ids)
        wanted, owners = folder.further(plan, gathered)
    if plan.forgotten:
        gathered.add({id: row for id, row in rows.items() if id not in gathered})
    return gathered


class Memory:
    """All rows and timers after some pages, and the streams that were parked."""

    def __init__(self, folder: Folder) -> None:
        self._folder = folder
        self._models = {model.name: model for model in folder.models}
        self.rows: dict[RowId, Any] = {}
        self.timers: dict[TimerId, Timer | Ending] = {}
        self.parked: dict[StreamId, Parked] = {}

    def fold(self, events: Sequence[Recorded[bytes]], sizes: Iterable[int]) -> Memory:
        """Fold the events in pages of those sizes; the last size is taken for all that are left."""
        for page in pages(events, sizes):
            plan = self._folder.plan(page, self.parked)
            changes = self._folder.fold(plan, gather(self._folder, plan, self.rows, self._owned))
            self.rows |= changes.rows
            self.timers |= changes.timers  # type: ignore[arg-type]  # those that are gone are taken out below
            self.timers = {id: timer for id, timer in self.timers.items() if timer is not None}
            self.parked |= changes.parked
        return self

    @property
    def pending(self) -> dict[TimerId, Timer]:
        return {id: timer for id, timer in self.timers.items() if isinstance(timer, Timer)}

    @property
    def endings(self) -> dict[TimerId, Ending]:
        """What is to be recorded as ended."""
        return {id: timer for id, timer in self.timers.items() if isinstance(timer, Ending)}

    def _owned(self, owner: OwnerId) -> list[RowId]:
        return [id for id, row in self.rows.items() if row is not None and self._owner(id) == owner]

    def _owner(self, id: RowId) -> tuple[str, str, Any]:
        return (id[0], id[1], self._models[id[0]].file(self.rows[id]).owner)


def pages(events: Sequence[Recorded[bytes]], sizes: Iterable[int]) -> Iterator[list[Recorded[bytes]]]:
    left = iter(events)
    size = 1
    for size in sizes:
        if page := list(islice(left, size)):
            yield page
    while page := list(islice(left, size)):
        yield page
