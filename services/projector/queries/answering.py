"""What a query answers: rows with names joined in, in pages that tell of which position they are."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import fields
from functools import cache
from typing import Any, Generic, TypeVar
from uuid import UUID

from fastapi import Response
from pydantic import TypeAdapter

from services.projector.folding.read_model import ReadModel
from services.projector.models import CONTACTS, SEEKERS
from services.projector.models.seeker import SeekerRow
from services.projector.queries.asking import Look, Paging
from services.projector.queries.reader import MalformedCursor, NotYetVisible, OtherVersion, Page, Reader
from shared.domain.moves import LEAVE_IN_PEACE, TO_CONTACTS
from shared.immutable import immutable
from shared.operations.problems import Problem, ProblemError, problem_of

Item = TypeVar("Item")
Shown = TypeVar("Shown")


@immutable
class PageOf(Generic[Item]):
    items: list[Item]
    next: str | None
    """Give it as `after` to get the next page; null: this was the last one."""
    position: int
    """Everything up to this position of the log has been taken into account."""

    @classmethod
    def read(cls, page: Page, decode: Callable[[str], Item]) -> PageOf[Item]:
        return PageOf(list(map(decode, page.bodies)), None if page.next is None else str(page.next), page.position)

    def shown(self, items: list[Shown]) -> PageOf[Shown]:
        """The same page with what stands for its rows in the answer."""
        return PageOf(items, self.next, self.position)


@immutable
class One(Generic[Item]):
    item: Item
    position: int
    """Everything up to this position of the log has been taken into account."""


@immutable
class Person:
    """A contact as other documents mention them."""

    contact_id: UUID
    name: str | None
    """Null for a contact who was forgotten."""
    employer: str | None
    position: str | None


@cache
def _adapter(shape: Any) -> TypeAdapter[Any]:
    return TypeAdapter(shape)


def json_response(shape: Any, answer: Any) -> Response:
    """`answer`, which has the type `shape`, as JSON."""
    return Response(_adapter(shape).dump_json(answer), media_type="application/json")


def widen(shape: Callable[..., Item], row: Any, **more: Any) -> Item:
    """A row as an item that has the row's fields and `more`."""
    return shape(**{field.name: getattr(row, field.name) for field in fields(row)}, **more)


class Desk:
    """Answers queries from a reader that may not be there yet.

    `reader()` gives it, or raises; `patience` is how many seconds a query waits for the position that it names.
    """

    def __init__(self, reader: Callable[[], Reader], patience: float) -> None:
        self._reader, self._patience = reader, patience

    async def reader(self, look: Look | None = None) -> Reader:
        """The reader, once it sees what the query must have seen, and for answers that do. Raises `NotYetVisible`."""
        reader = self._reader()
        if look is not None and look.min_position is not None:
            await reader.wait_for(look.min_position, self._patience)
            return reader.at_least(look.min_position)
        return reader


async def require(reader: Reader, model: ReadModel[Item], tenant: str, what: str, id: UUID) -> One[Item]:
    """The row of what a path names, and as of when. It must be there, or 404; what it holds may be empty."""
    found = await reader.get(model.name, tenant, str(id))
    if found.body is None:
        raise unknown(what, id)
    return One(model.decode(found.body), found.position)


async def page_of(
    reader: Reader,
    model: ReadModel[Item],
    tenant: str,
    ask: Paging,
    *,
    owner: UUID | None = None,
    states: Collection[str] | None = None,
    descending: bool = False,
) -> PageOf[Item]:
    """The page that is asked for of a tenant's rows, or of one owner's; see `Reader.page`."""
    since, until = ask.span
    page = await reader.page(
        model.name,
        tenant,
        owner=owner,
        states=states,
        since=since,
        until=until,
        limit=ask.limit,
        after=ask.cursor,
        descending=descending,
    )
    return PageOf.read(page, model.decode)


async def require_seeker(reader: Reader, tenant: str, seeker_id: UUID) -> SeekerRow:
    return (await require(reader, SEEKERS, tenant, "seeker", seeker_id)).item


def unknown(what: str, id: UUID, field: str | None = None) -> ProblemError:
    """404 for something that a path names, by the parameter `field` or else the one of its own name."""
    return ProblemError(
        Problem(
            404,
            f"unknown_{what}",
            f"there is no {what} {id} in this tenant, as far as the log has been read",
            "correct the id; right after a command, give the position of its answer as min_position",
            f"path.{field or what + '_id'}",
        )
    )


def other_version(detail: str) -> Problem:
    """503 for what a release can't read before a rebuild."""
    return Problem(
        503,
        "model_version",
        detail,
        "repeat it once `kithlog rebuild` is through; until then a projector of the release before answers, where one "
        "still runs",
        retry_after=30,
    )


class People:
    """The contacts that some rows mention, by id."""

    def __init__(self, persons: dict[UUID, Person], closed: AbstractSet[UUID] = frozenset()) -> None:
        """`closed`: those who asked to be left in peace, or were forgotten."""
        self._persons, self._closed = persons, closed

    @classmethod
    async def of(cls, reader: Reader, tenant: str, ids: Iterable[UUID | None]) -> People:
        keys = {str(each) for each in ids if each is not None}
        rows = [CONTACTS.decode(body) for body in (await reader.rows(CONTACTS.name, tenant, keys)).values()]
        persons = {row.contact_id: Person(row.contact_id, row.name, row.employer, row.position) for row in rows}
        return cls(persons, {row.contact_id for row in rows if row.status != "reachable"})

    def __call__(self, contact_id: UUID) -> Person:
        return self._persons.get(contact_id) or Person(contact_id, None, None, None)

    def all(self, contact_ids: Sequence[UUID]) -> tuple[Person, ...]:
        return tuple(self(each) for each in contact_ids)

    def polite(self, move: str | None, contact_ids: Sequence[UUID]) -> str | None:
        """The next move, unless it is to write to people who are all to be left in peace."""
        return LEAVE_IN_PEACE if move in TO_CONTACTS and self.closed(contact_ids) else move

    def closed(self, contact_ids: Iterable[UUID]) -> bool:
        """Whether all of them are to be left in peace."""
        return set(contact_ids) <= self._closed


@problem_of.register
def _(error: NotYetVisible) -> Problem:
    return Problem(
        503,
        "not_yet_visible",
        str(error),
        "repeat in a moment, or without min_position to see what there is",
        "query.min_position",
        members={"position": error.position},
        retry_after=1,
    )


@problem_of.register
def _(error: OtherVersion) -> Problem:
    return other_version(str(error))


@problem_of.register
def _(error: MalformedCursor) -> Problem:
    return Problem(
        400,
        "malformed_cursor",
        "`after` is not what an answer to this query gave as `next`",
        "give `next` of the page before unchanged, or leave `after` out to begin at the first page",
        "query.after",
    )
