"""Time travel: a stream, or what was folded for one seeker, as it was known then, and as it was valid then.

Two times count. *As of* a position or a recorded time, only what was written down by then is known. *Valid at* a time,
only what had happened outside by then counts, whenever it was written down: last Tuesday's conversation that was noted
today is part of last Tuesday.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import asyncpg
from pydantic import ValidationError

from services.projector.folding.forgetting import contacts_of, emptied, new_contacts_of
from services.projector.folding.read_model import ReadModel, Telling
from services.projector.models import (
    AGENDA,
    LEADS,
    NETWORK,
    NOTEBOOK,
    NOTIFICATIONS,
    PIPELINE,
    PREPARATION,
    RELATIONSHIPS,
    SEEKERS,
    TIMELINE,
)
from services.projector.models.notification import NotificationRow
from shared.codec import decode
from shared.database.queries import load_queries
from shared.domain import contact, lead
from shared.domain.kernel import Event
from shared.envelope import Recorded
from shared.operations.turns import in_turns

QUERIES = load_queries("services.projector.rebuild", "past.sql")
OF_SEEKERS: dict[str, ReadModel[Any]] = {
    model.name: model
    for model in (
        SEEKERS,
        PIPELINE,
        AGENDA,
        PREPARATION,
        RELATIONSHIPS,
        TIMELINE,
        LEADS,
        NETWORK,
        NOTEBOOK,
        NOTIFICATIONS,
    )
}
"""The read models whose rows each belong to one seeker."""
_POSITION = re.compile(r"[0-9]{1,18}")


@dataclass(frozen=True, slots=True)
class Moment:
    """Which events count; None: all."""

    position: int | None = None
    recorded_at: datetime | None = None
    valid_at: datetime | None = None

    @classmethod
    def parse(cls, as_of: str | None, valid_at: datetime | None) -> Moment:
        """`as_of` is a position or an instant in ISO 8601, UTC without a zone. Raises `ValueError`."""
        if as_of is None:
            return cls(valid_at=valid_at)
        if _POSITION.fullmatch(as_of):
            return cls(position=int(as_of), valid_at=valid_at)
        at = datetime.fromisoformat(as_of)
        return cls(recorded_at=at if at.tzinfo else at.replace(tzinfo=UTC), valid_at=valid_at)

    def __contains__(self, e: Recorded[Any]) -> bool:
        return (
            (self.position is None or e.position <= self.position)
            and (self.recorded_at is None or e.recorded_at <= self.recorded_at)
            and (self.valid_at is None or e.occurred_at <= self.valid_at)
        )


@dataclass(frozen=True, slots=True)
class PastRows:
    rows: list[Any]
    """Sorted as their model's pages are."""
    position: int
    """The last position that was taken into account: asking as of it gives the same rows."""


class Unusable(Exception):
    """An event can't be read, or not be folded."""

    def __init__(self, e: Recorded[Any], done: str, error: Exception) -> None:
        told = " ".join(f"{type(error).__name__}: {error}".split())
        self.what = f"position {e.position}, {e.type}, can't be {done}"
        """Without the reason, which may quote what the event tells of somebody."""
        super().__init__(f"{self.what}: {told}")


def read_event(recorded: Recorded[bytes]) -> Recorded[Event]:
    """Raises `Unusable`, and `UnknownEventType`."""
    try:
        return decode(recorded)
    except ValidationError as error:
        raise Unusable(recorded, "read", error) from error


async def fold_rows(model: ReadModel[Any], events: Iterable[Recorded[Event]]) -> dict[str, Any]:
    """The rows of a model after some events, by key, emptied as live ones are when a contact is forgotten.

    Raises `Unusable`.
    """
    rows: dict[str, Any] = {}
    telling = issubclass(model.row, Telling)
    async for e in in_turns(events):
        try:
            for key in model.keys(e):
                rows[key] = model.evolve(key, rows.get(key), e)
            if telling and type(e.data) is contact.Forgotten:
                told = [(key, row) for key, row in rows.items() if row is not None]
                rows = {key: row.forgetting(e.stream_id, e.recorded_at) async for key, row in in_turns(told)}
        except Exception as error:
            raise Unusable(e, "folded", error) from error
    return {key: row for key, row in rows.items() if row is not None}


def _is_coachs(row: Any) -> bool:
    """Whether it is a row by which a coach finds it, of which the seeker has one, too."""
    return isinstance(row, NotificationRow) and row.for_coach


class Past:
    """Everything raises what asyncpg raises while PostgreSQL is away, `Unusable`, and `UnknownEventType`."""

    def __init__(self, database: asyncpg.Pool[asyncpg.Record] | asyncpg.Connection[asyncpg.Record]) -> None:
        self._database = database

    async def stream(self, tenant: str, stream_id: UUID, moment: Moment) -> list[Recorded[Event]] | None:
        """The events of a stream that count, in order; None when there is no such stream.

        Without what they tell of contacts who were forgotten, be that later: the past holds nothing that the present
        may not.
        """
        found = await self._database.fetch(QUERIES["events_of_stream"], tenant, stream_id)
        if not found:
            return None
        events = await _read(found, moment)
        forgotten, leads = await self._forgotten(tenant, events)
        counted = (emptied(e, forgotten, leads) for e in events if e in moment)
        return [e async for e in in_turns(counted)]

    async def rows(self, model: str, tenant: str, seeker_id: UUID, moment: Moment) -> PastRows:
        """A seeker's rows of one of `OF_SEEKERS`, folded from the log. What the live models have not seen is not in;
        nor is what tells of contacts who were forgotten, be that later."""
        checkpoint = int(await self._database.fetchval(QUERIES["checkpoint"]) or 0)
        found = await self._database.fetch(QUERIES["events_of_seeker"], tenant, seeker_id, checkpoint)
        events = await _read(found, moment)
        forgotten, leads = await self._forgotten(tenant, events)
        events = [e for e in events if e in moment]
        if moment.recorded_at is not None:
            position = max((e.position for e in events), default=0)
        else:
            position = checkpoint if moment.position is None else min(moment.position, checkpoint)
        read_model = OF_SEEKERS[model]
        # Of whom it was known by then that they are forgotten, the rows are emptied in their turn, as live ones were.
        known = {e.stream_id for e in events if type(e.data) is contact.Forgotten}
        later = {id: at for id, at in forgotten.items() if id not in known}
        rows = await fold_rows(read_model, (emptied(e, later, leads) for e in events))
        mine = [
            (read_model.file(row).sort or datetime.min.replace(tzinfo=UTC), key, row)
            async for key, row in in_turns(rows.items())
            if row.seeker_id == seeker_id and not _is_coachs(row)
        ]
        mine.sort(key=lambda each: each[:2])
        return PastRows([row for _, _, row in mine], position)

    async def _forgotten(
        self, tenant: str, events: Iterable[Recorded[Any]]
    ) -> tuple[dict[UUID, int], AbstractSet[UUID]]:
        """Of the contacts whom some events tell of, those who were forgotten by now, and at which position; and the
        leads that led to them, as far as these events tell or the models have seen."""
        told: set[UUID] = set()
        leads: dict[UUID, set[UUID]] = defaultdict(set)
        """Whom each has led to, or may have."""
        async for e in in_turns(events):
            told.update(contacts_of(e))
            if e.category == "lead":
                leads[e.stream_id].update(new_contacts_of(e))
        if leads:
            for row in await self._database.fetch(QUERIES["led_to"], tenant, [str(id) for id in leads]):
                leads[UUID(row["key"])].add(UUID(row["id"]))
        told.update(*leads.values())
        found = await self._database.fetch(QUERIES["forgotten"], tenant, list(told))
        forgotten: dict[UUID, int] = {row["stream_id"]: row["position"] for row in found}
        return forgotten, {id for id, new in leads.items() if not new.isdisjoint(forgotten)}


async def _read(found: Sequence[asyncpg.Record], moment: Moment) -> list[Recorded[Event]]:
    """Those that count; and those that tell whom a lead has led to, be that later."""
    recorded = (Recorded[bytes](*row) for row in found)
    wanted = (e for e in recorded if e in moment or e.type == lead.CameToSomething.type)
    return [e async for e in in_turns(map(read_event, wanted))]
