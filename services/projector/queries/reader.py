"""Reading what was folded: rows by key, pages by owner, pending timers; and waiting for one's own writes."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Collection, Mapping, Sequence
from copy import copy
from dataclasses import dataclass
from datetime import UTC, datetime
from time import monotonic
from typing import Any
from uuid import UUID

import asyncpg

from services.projector.folding.timing_rows import OF_TIMING, RECIPIENT, SUBJECT
from services.projector.live.progress import Progress
from services.projector.models import MODELS
from shared.database.queries import load_queries
from shared.timing.settling import without_turn

QUERIES = load_queries("services.projector.queries", "reader.sql")
VERSIONS: Mapping[str, int] = {
    model.name: model.version for model in (*MODELS, OF_TIMING[SUBJECT], OF_TIMING[RECIPIENT])
}
"""In which version this release reads each model."""
ELSEWHERE = 0.05
"""Seconds between looks at the checkpoint while waiting for it, in case another process is the one that folds."""
_ENDS_OF_TIME = (datetime.min, datetime.max)  # noqa: DTZ901 - as asyncpg gives them
"""What PostgreSQL's infinities are here; the only instants without an offset."""


class NotYetVisible(Exception):
    """The read models have not come to the position that was asked for, in the time that was given."""

    def __init__(self, wanted: int, position: int) -> None:
        super().__init__(f"the read models are at position {position}, not yet at {wanted}")
        self.wanted, self.position = wanted, position


class OtherVersion(Exception):
    """What is live of a model is another release's, which this one can't read, or nothing: until it is rebuilt."""

    def __init__(self, model: str, live: int | None, wanted: int) -> None:
        has = "has no rows" if live is None else f"has rows of version {live}"
        super().__init__(f"read model {model} {has}, this release reads version {wanted}")


class MalformedCursor(ValueError):
    """A cursor that no page has given out."""


@dataclass(frozen=True, slots=True)
class Cursor:
    """The last row of a page; its string form is what callers hold, and is no business of theirs."""

    sort: datetime
    key: str

    def __str__(self) -> str:
        text = json.dumps([self.sort.isoformat(), self.key], separators=(",", ":"))
        return base64.urlsafe_b64encode(text.encode()).rstrip(b"=").decode()

    @classmethod
    def parse(cls, text: str) -> Cursor:
        """Raises `MalformedCursor`."""
        try:
            sort, key = json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
            cursor = cls(datetime.fromisoformat(sort), key)
            if not isinstance(key, str) or "\0" in key or str(cursor) != text:
                raise ValueError
            key.encode()
            if cursor.sort.tzinfo is not None:
                cursor.sort.astimezone(UTC)
            elif cursor.sort not in _ENDS_OF_TIME:
                raise ValueError
        except (ValueError, TypeError, OverflowError) as error:
            raise MalformedCursor(f"{text!r} is not a cursor") from error
        return cursor


@dataclass(frozen=True, slots=True)
class Found:
    """A row's JSON, or None, as of `position`."""

    position: int
    body: str | None


@dataclass(frozen=True, slots=True)
class Page:
    """Rows as JSON in order, as of `position`; `next` leads to the page after it, if there is one."""

    position: int
    bodies: list[str]
    next: Cursor | None
    sorts: list[datetime]
    """What each is ordered by."""


class Reader:
    """Reads the live generation of the models, named as in `services.projector.models`.

    Each answer is of one moment. Everything raises what asyncpg raises while PostgreSQL is away; what reads a model
    raises `OtherVersion` where a projector of this release would not fold it.
    """

    def __init__(
        self,
        pool: asyncpg.Pool[asyncpg.Record],
        progress: Progress | None = None,
        versions: Mapping[str, int] = VERSIONS,
    ) -> None:
        self._pool, self._progress, self._versions = pool, progress or Progress(), versions
        self._look: asyncio.Task[int] | None = None
        self._least = 0

    def at_least(self, position: int) -> Reader:
        """One whose answers are of that position or a later one; else it raises `NotYetVisible`.

        For what was waited for may be gone by the time it is read: the folds that a server had not written to its disk
        yet when it crashed, or not sent to the stand-by that has taken over, are made again.
        """
        reader = copy(self)
        reader._least = position
        return reader

    @property
    def pool(self) -> asyncpg.Pool[asyncpg.Record]:
        """For what reads the log itself, such as time travel."""
        return self._pool

    async def get(self, model: str, tenant: str, key: str) -> Found:
        rows = await self._read(model, "get", model, tenant, key)
        return Found(rows[0]["position"], rows[0]["body"]) if rows else Found(0, None)

    async def rows(self, model: str, tenant: str, keys: Collection[str]) -> dict[str, str]:
        """The rows that there are of those keys, as JSON, by key."""
        rows = await self._read(model, "rows", model, tenant, list(keys)) if keys else []
        return {row["key"]: row["body"] for row in rows if row["key"] is not None}

    async def rows_of_owners(self, model: str, tenant: str, owners: Collection[UUID], *, limit: int) -> list[str]:
        """The first `limit` rows of several owners together, as JSON, by (`sort`, key)."""
        rows = await self._read(model, "rows_of_owners", model, tenant, list(owners), limit) if owners else []
        return [row["body"] for row in rows if row["key"] is not None]

    async def willing_contacts(self, tenant: str, *, limit: int) -> list[str]:
        """The first `limit` contacts who are willing to be asked by any seeker, as JSON, added first, first."""
        rows = await self._read("contact", "willing_contacts", tenant, limit)
        return [row["body"] for row in rows if row["key"] is not None]

    async def page(
        self,
        model: str,
        tenant: str,
        *,
        limit: int,
        owner: UUID | None = None,
        states: Collection[str] | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        after: Cursor | None = None,
        descending: bool = False,
    ) -> Page:
        """A page of a tenant's rows, or of one owner's; `since` and `until` bound `sort`, both inclusive."""
        name = f"page_of_{'tenant' if owner is None else 'owner'}{'_descending' if descending else ''}"
        arguments: list[Any] = [
            model,
            tenant,
            None if states is None else list(states),
            since,
            until,
            *_place(after),
            limit + 1,
        ]
        if owner is not None:
            arguments.append(owner)
        return _page(await self._read(model, name, *arguments), limit)

    async def search_notebook(
        self,
        tenant: str,
        seeker_id: UUID,
        words: str,
        *,
        language: str,
        limit: int,
        kinds: Collection[str] | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        after: Cursor | None = None,
    ) -> Page:
        """A seeker's pieces that hold `words` (as typed into a search engine), newest first.

        `language` is a text search configuration of PostgreSQL, such as `english`.
        """
        of_kinds = None if kinds is None else list(kinds)
        place = _place(after)
        arguments = (tenant, seeker_id, words, language, of_kinds, *place, limit + 1, since, until)
        rows = await self._read("notebook", "search_notebook", *arguments)
        return _page(rows, limit)

    async def timers(
        self,
        tenant: str,
        seeker_id: UUID,
        *,
        limit: int,
        until: datetime | None = None,
        after: Cursor | None = None,
    ) -> Page:
        """What will fall due for a seeker, up to `until`, soonest first, as JSON of `shared.timing`'s timers.

        `sorts` say when, also of what was put off.

        Raises `MalformedCursor` for a cursor that is not one of timers.
        """
        sort, key = _place(after)
        try:
            id = None if key is None else UUID(key)
        except ValueError as error:
            raise MalformedCursor(f"{key!r} is not a timer") from error
        rows = await self._fetch("timers", tenant, seeker_id, sort, id, limit + 1, until)
        return _page(rows, limit)

    async def due(self, tenant: str, ids: Collection[UUID]) -> dict[UUID, datetime]:
        """When the pending ones of some notifications are to be fired."""
        rows = await self._pool.fetch(QUERIES["due"], tenant, list(ids)) if ids else []
        return {row["id"]: row["due_at"] for row in rows}

    async def next_due(self, tenant: str, subject_ids: Collection[UUID], policy: str) -> dict[UUID, datetime]:
        """When the policy's next notification is due, to the second, for each of the subjects that has one pending."""
        if not subject_ids:
            return {}
        rows = await self._pool.fetch(QUERIES["next_timers"], tenant, list(subject_ids), policy)
        return {row["subject_id"]: without_turn(row["due_at"]) for row in rows}

    async def position(self) -> int:
        """How far the models have come; 0 before anything was folded."""
        return int(await self._pool.fetchval(QUERIES["checkpoint"]) or 0)

    async def wait_for(self, position: int, timeout: float) -> None:
        """Return once the models have come to `position`. Raises `NotYetVisible` after `timeout` seconds."""
        if self._progress.position >= position:
            return
        end = monotonic() + timeout
        seen = await self.position()
        while seen < position:
            left = end - monotonic()
            if left <= 0:
                raise NotYetVisible(position, seen)
            look = self._next_look()
            await self._progress.moved(left, look)
            if self._progress.position >= position:
                return
            if look.done():
                seen = look.result()

    def _next_look(self) -> asyncio.Task[int]:
        """At the checkpoint, for all who wait: however many they are, it is one each `ELSEWHERE`."""
        if self._look is None or self._look.done():
            self._look = asyncio.create_task(self._look_in_a_moment())
            # Nobody may be waiting any more when it fails.
            self._look.add_done_callback(lambda done: done.cancelled() or done.exception())
        return self._look

    async def _look_in_a_moment(self) -> int:
        await asyncio.sleep(ELSEWHERE)
        return await self.position()

    async def _read(self, model: str, query: str, *arguments: Any) -> list[asyncpg.Record]:
        """What a query finds in a model; none before anything was folded, else at least one row. Raises
        `OtherVersion`."""
        rows = await self._fetch(query, *arguments)
        if rows and rows[0]["version"] != self._versions[model]:
            raise OtherVersion(model, rows[0]["version"], self._versions[model])
        return rows

    async def _fetch(self, query: str, *arguments: Any) -> list[asyncpg.Record]:
        """Rows that tell of which position they are."""
        rows = await self._pool.fetch(QUERIES[query], *arguments)
        position = rows[0]["position"] if rows else 0
        if position < self._least:
            self._progress.forget()
            raise NotYetVisible(self._least, position)
        return rows


def _place(after: Cursor | None) -> tuple[datetime | None, str | None]:
    return (None, None) if after is None else (after.sort, after.key)


def _page(rows: Sequence[asyncpg.Record], limit: int) -> Page:
    if not rows:
        return Page(0, [], None, [])
    position: int = rows[0]["position"]
    found = [row for row in rows if row["key"] is not None]
    last = found[limit - 1] if len(found) > limit else None
    return Page(
        position,
        [row["body"] for row in found[:limit]],
        None if last is None else Cursor(last["sort"], last["key"]),
        [row["sort"] for row in found[:limit]],
    )
