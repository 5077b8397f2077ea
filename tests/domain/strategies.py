"""Any valid event or command, drawn from the declarations themselves: a new field needs nothing here."""

from __future__ import annotations

import re
import types
from datetime import UTC, date, datetime, time, timedelta
from enum import Enum
from functools import cache
from typing import Annotated, Any, Literal, Union, get_args, get_origin
from uuid import UUID

from annotated_types import Ge, Le, MaxLen, MinLen
from hypothesis import strategies as st
from pydantic import AwareDatetime, BaseModel, JsonValue, NaiveDatetime, StringConstraints
from pydantic.fields import FieldInfo

from shared.domain.values import NO_NUL
from tests.domain.scenario import ANA, BEN, INTERVIEW, LEAD, PROGRAMME, SEEKER

IDS = st.sampled_from([SEEKER, ANA, BEN, INTERVIEW, LEAD, PROGRAMME])
"""Few, so that they meet."""
INSTANTS = st.integers(0, 2 * 366 * 24 * 60).map(
    lambda minutes: datetime(2026, 1, 1, tzinfo=UTC) + timedelta(minutes=minutes)
)
TEXTS = st.sampled_from(["a", "Ana Reis", "What do you read?", "Grüße, 東京 🌱", "two\nlines", "“quoted” \\ {x}"])
ZONES = st.sampled_from(["Europe/Lisbon", "Asia/Kolkata", "America/Sao_Paulo", "UTC"])
EXAMPLES = [
    "Europe/Lisbon",
    "PT",
    "pt-PT",
    "2026-11",
    "ana@example.org",
    "+351 21 000 0000",
    "https://example.org/ana",
    "thank_you.due",
    "0123456789abcdef" * 4,
]
"""For texts of a certain form."""
_PLAIN: dict[Any, st.SearchStrategy[Any]] = {
    UUID: IDS,
    bool: st.booleans(),
    datetime: INSTANTS,
    AwareDatetime: INSTANTS,
    NaiveDatetime: INSTANTS.map(lambda instant: instant.replace(tzinfo=None)),
    date: st.dates(date(2026, 1, 1), date(2027, 12, 31)),
    time: st.times(),
    str: TEXTS,
    JsonValue: st.none() | st.booleans() | st.integers(0, 9) | TEXTS,
}


@cache
def models(model: type[BaseModel]) -> st.SearchStrategy[Any]:
    """Valid instances of a model, every field drawn."""
    fields = {name: _of_field(name, info) for name, info in model.model_fields.items()}
    return st.fixed_dictionaries(fields).map(model.model_validate)


def _of_field(name: str, info: FieldInfo) -> st.SearchStrategy[Any]:
    if name == "time_zone":
        return ZONES
    return _of(info.annotation, list(info.metadata))


def _of(annotation: Any, metadata: list[Any]) -> st.SearchStrategy[Any]:
    if annotation in _PLAIN and annotation is not str:
        return _PLAIN[annotation]
    if annotation is str:
        return _texts(metadata)
    if annotation is int:
        low = next((each.ge for each in _flat(metadata) if isinstance(each, Ge)), 0)
        high = next((each.le for each in _flat(metadata) if isinstance(each, Le)), 99)
        return st.integers(low, high)  # type: ignore[arg-type]
    origin, args = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _of(args[0], [*args[1:], *metadata])
    if origin is Literal:
        return st.sampled_from(args)
    if origin in (Union, types.UnionType):
        return st.one_of([st.none() if each is type(None) else _of(each, metadata) for each in args])
    if origin is tuple:
        low = next((each.min_length for each in _flat(metadata) if isinstance(each, MinLen)), 0)
        return st.lists(_of(args[0], []), min_size=low, max_size=2, unique_by=str).map(tuple)
    if origin is dict:
        return st.dictionaries(_of(args[0], []), _of(args[1], []), max_size=2)
    if isinstance(annotation, type) and issubclass(annotation, Enum):
        return st.sampled_from(annotation)
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return models(annotation)
    raise TypeError(f"no strategy for {annotation}")


def _texts(metadata: list[Any]) -> st.SearchStrategy[str]:
    pattern = _pattern(metadata)
    if pattern is None or pattern == NO_NUL:
        return TEXTS
    most = next((each.max_length for each in _flat(metadata) if isinstance(each, MaxLen)), 2_000)
    fitting = [each for each in EXAMPLES if re.fullmatch(pattern, each) and len(each) <= most]
    if not fitting:
        raise TypeError(f"no example fits {pattern}")
    return st.sampled_from(fitting)


def _flat(metadata: list[Any]) -> list[Any]:
    """The single constraints, also those inside of a field of its own."""
    return [inner for each in metadata for inner in (each.metadata if isinstance(each, FieldInfo) else [each])]


def _pattern(metadata: list[Any]) -> str | None:
    for each in _flat(metadata):
        found = each.pattern if isinstance(each, StringConstraints) else getattr(each, "pattern", None)
        if isinstance(found, str):
            return found
    return None
