"""Which events: what several verbs let be chosen by name, checked before anything is done."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from difflib import get_close_matches
from typing import Annotated, Any
from uuid import UUID

import typer

from services.cli.terminal import misunderstood
from shared.domain.catalogue import CATEGORIES, EVENTS
from shared.domain.values import TENANT

Tenant = Annotated[str | None, typer.Option(help="Only this tenant's.")]
Types = Annotated[
    list[str] | None, typer.Option("--type", help="Only this type, such as interview.held. May be repeated.")
]
Categories = Annotated[
    list[str] | None, typer.Option("--category", help="Only this kind of stream, such as interview. May be repeated.")
]
StreamOption = Annotated[str | None, typer.Option("--stream", help="Only the stream with this id.")]


@dataclass(frozen=True, slots=True)
class Wanted:
    """None, or an empty tuple: all."""

    tenant: str | None = None
    stream_id: UUID | None = None
    types: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()

    def arguments(self) -> tuple[Any, ...]:
        """As the queries take them: tenant, stream, types or None, categories."""
        named = bool(self.types or self.categories)
        return (self.tenant, self.stream_id, list(self.types) if named else None, list(self.categories))


def wanted(
    tenant: str | None = None,
    stream: str | None = None,
    types: Sequence[str] | None = None,
    categories: Sequence[str] | None = None,
) -> Wanted:
    """Raises `Ended` (usage) for a name that can't be."""
    for type in types or ():
        _known(type, EVENTS, "event type")
    for category in categories or ():
        _known(category, CATEGORIES, "category")
    if tenant is not None and not re.match(TENANT, tenant):
        raise misunderstood(f"{tenant!r} can't be a tenant's name: small letters, digits and hyphens")
    return Wanted(tenant, stream_id(stream), tuple(types or ()), tuple(categories or ()))


def stream_id(text: str | None) -> UUID | None:
    try:
        return None if text is None else UUID(text)
    except ValueError:
        raise misunderstood(f"{text!r} is not the id of a stream: a UUID") from None


def instant(text: str | None, option: str) -> datetime | None:
    """An instant from ISO 8601; a date alone is its beginning, and without a zone it is UTC."""
    if text is None:
        return None
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise misunderstood(f"{option} {text!r} is not a time such as 2026-03-02T09:00+01:00 or 2026-03-02") from None
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def _known(name: str, names: Any, what: str) -> None:
    if name not in names:
        near = get_close_matches(name, list(names), n=3) or sorted(names)
        raise misunderstood(f"there is no {what} {name!r}: one of {', '.join(near)}")
