"""What is wrong with an input, in a sentence that says what would be right: pydantic's own tell of Python.

How a text has to look stands beside its pattern, where that is declared (`form`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from difflib import SequenceMatcher
from typing import Any, get_args

from pydantic import BaseModel

_FORMS: dict[str, str] = {}
_DAY = "it must be a day, without a time, such as 2026-03-01"
_INSTANT = "it must be a day and time with its offset from UTC, such as 2026-03-01T10:00:00Z"
_TIME = "it must be a time of day, such as 18:30"
_NUMBER = "it must be a whole number, such as 30"
_ID = "it must be a UUID, such as 0191e3c4-5d2b-7f6a-8c1d-2e3f4a5b6c7d"
_CHOICE = "it must be {expected}"

_SENTENCES: dict[str, str] = {
    "missing": "it is required",
    "string_type": "it must be a text",
    "string_too_long": "it must have no more than {max_length} characters",
    "string_too_short": "it must have at least {min_length} characters",
    "too_long": "it must hold no more than {max_length}",
    "too_short": "it must hold at least {min_length}",
    "greater_than_equal": "it must be {ge} or more",
    "less_than_equal": "it must be {le} or less",
    "literal_error": _CHOICE,
    "enum": _CHOICE,
    **dict.fromkeys(("bool_type", "bool_parsing"), "it must be true or false"),
    **dict.fromkeys(("int_type", "int_parsing", "int_from_float", "int_parsing_size"), _NUMBER),
    **dict.fromkeys(("uuid_type", "uuid_parsing"), _ID),
    **dict.fromkeys(("list_type", "tuple_type"), "it must be a list, in square brackets"),
    **dict.fromkeys(("dict_type", "model_type", "model_attributes_type"), "it must be an object, in braces"),
    **dict.fromkeys(("date_type", "date_from_datetime_inexact"), _DAY),
    **dict.fromkeys(("date_parsing", "date_from_datetime_parsing"), _DAY + ": {error}"),
    **dict.fromkeys(("datetime_type", "timezone_aware"), _INSTANT),
    **dict.fromkeys(
        ("datetime_parsing", "datetime_from_date_parsing", "datetime_object_invalid"), _INSTANT + ": {error}"
    ),
    "time_type": _TIME,
    "time_parsing": _TIME + ": {error}",
}
"""Pydantic's type of error → what to say, with what its context has."""


def form(pattern: str, words: str) -> str:
    """Answers the pattern, and tells how a text that keeps to it looks: `it must be` and these words."""
    _FORMS[pattern] = words
    return pattern


def in_words(error: Mapping[str, Any], model: type[BaseModel] | None = None) -> str:
    """The sentence for an error as pydantic tells it; `model` is what the input was read as, where that is known."""
    kind, context = error["type"], error.get("ctx", {})
    if kind == "extra_forbidden":
        return _unknown(error["loc"], model)
    if kind == "string_pattern_mismatch" and context["pattern"] in _FORMS:
        return f"it must be {_FORMS[context['pattern']]}"
    if context.get("min_length") == 1:
        return "it must not be empty"
    if kind in _SENTENCES:
        return _SENTENCES[kind].format_map(context)
    return str(error["msg"]).removeprefix("Value error, ")


def _unknown(place: Sequence[str | int], model: type[BaseModel] | None) -> str:
    """Names the fields that there are instead, what is most like the unknown one first."""
    owner = model and _model_at(place[:-1], model)
    if owner is None:
        return "it is not known here"
    matcher = SequenceMatcher(b=str(place[-1]))
    known = sorted(owner.model_fields, key=lambda name: -_likeness(matcher, name))
    return f"there is no such field; there {'is' if len(known) == 1 else 'are'} {', '.join(known) or 'none'}"


def _likeness(matcher: SequenceMatcher[str], name: str) -> float:
    matcher.set_seq1(name)
    return matcher.ratio()


def _model_at(place: Sequence[str | int], model: type[BaseModel]) -> type[BaseModel] | None:
    """The model of the part that stands at `place`; steps that are no fields are items and keys."""
    for step in place:
        if step in model.model_fields:
            below = next(_models(model.model_fields[str(step)].annotation), None)
            if below is None:
                return None
            model = below
    return model


def _models(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for part in get_args(annotation):
        yield from _models(part)
