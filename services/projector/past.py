"""Time travel: a stream, or what was folded for one seeker, as it was known then, and as it was valid then.

Two times count. *As of* a position or a recorded time, only what was written down by then is known. *Valid at* a time,
only what had happened outside by then counts, whenever it was written down: last Tuesday's conversation that was noted
today is part of last Tuesday.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import asyncpg
from pydantic import ValidationError

from services.projector.forgetting import contacts_of, emptied, new_contacts_of
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
from services.projector.read_model import ReadModel
from shared.codec import decode
from shared.database.queries import load_queries
from shared.domain import lead
from shared.domain.kernel import Event
from shared.envelope import Recorded

QUERIES = load_queries("services.projector", "past.sql")
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


def fold_rows(model: ReadModel[Any], events: Iterable[Recorded[Event]]) -> dict[str, Any]:
    """The rows of a model after some events, by key. Raises `Unusable`."""
    rows: dict[str, Any] = {}
    for e in events:
        try:
            for key in model.keys(e):
                rows[key] = model.evolve(key, rows.get(key), e)
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

    async def stream(self, tenant: str, stream_id: UUID, moment: Moment) -> list[Recorded[Event]]:
        """The events of a stream that count, in order; none, too, when there is no such stream."""
        found = await self._database.fetch(QUERIES["events_of_stream"], tenant, stream_id)
        return await self._counted(tenant, found, moment)

    async def rows(self, model: str, tenant: str, seeker_id: UUID, moment: Moment) -> PastRows:
        """A seeker's rows of one of `OF_SEEKERS`, folded from the log. What the live models have not seen is not in."""
        checkpoint = int(await self._database.fetchval(QUERIES["checkpoint"]) or 0)
        found = await self._database.fetch(QUERIES["events_of_seeker"], tenant, seeker_id, checkpoint)
        events = await self._counted(tenant, found, moment)
        if moment.recorded_at is not None:
            position = max((e.position for e in events), default=0)
        else:
            position = checkpoint if moment.position is None else min(moment.position, checkpoint)
        read_model = OF_SEEKERS[model]
        rows = fold_rows(read_model, events)
        mine = [(key, row) for key, row in rows.items() if row.seeker_id == seeker_id and not _is_coachs(row)]
        mine.sort(key=lambda each: (read_model.file(each[1]).sort or datetime.min.replace(tzinfo=UTC), each[0]))
        return PastRows([row for _, row in mine], position)

    async def _counted(self, tenant: str, found: Sequence[asyncpg.Record], moment: Moment) -> list[Recorded[Event]]:
        """Those that count, without what they tell of contacts who were forgotten, be that later, as may be whom a lead
        has led to: the past holds nothing that the present may not."""
        recorded: list[Recorded[bytes]] = [Recorded(*row) for row in found]
        events = [read_event(e) for e in recorded if e in moment or e.type == lead.CameToSomething.type]
        of_leads = {str(e.stream_id) for e in events if e.category == "lead"}
        led_to = await self._database.fetch(QUERIES["led_to"], tenant, list(of_leads)) if of_leads else []
        told = {str(id) for e in events for id in (*contacts_of(e), *new_contacts_of(e))} | {
            row["id"] for row in led_to
        }
        found = await self._database.fetch(QUERIES["forgotten"], tenant, list(told))
        forgotten = {UUID(row["key"]) for row in found}
        if not forgotten:
            return [e for e in events if e in moment]
        leads = {e.stream_id for e in events if not forgotten.isdisjoint(new_contacts_of(e))}
        leads |= {UUID(row["key"]) for row in led_to if UUID(row["id"]) in forgotten}
        return [emptied(e, forgotten, leads) for e in events if e in moment]
