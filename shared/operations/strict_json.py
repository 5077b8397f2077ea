"""JSON as RFC 8259 has it, and as the log can keep it: what lenient parsers let pass is refused.

A key given twice is taken by some parsers from its first place and by others from its last: not something to guess
about in what is to be kept for ever. Half a surrogate pair stands for no character; NUL can't be held by PostgreSQL.
A key that is a good part of the document is refused, too: whoever names the place of each of many values below it, as
pydantic does of each that is at fault, writes it down as many times.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from typing import Any, NamedTuple

LONGEST_KEY = 1_000
"""Characters; no key that means anything has a tenth of them."""
_SUSPECT = re.compile(rb"\\u(?:[dD][89a-fA-F]|0000)")
"""Escapes that may be at fault: halves of surrogate pairs, which need not be lonely, and NUL."""


class NotJson(ValueError):
    """Not JSON, or JSON that readers would disagree about. `field` is the culprit's JSON pointer, where known."""

    def __init__(self, detail: str, field: str | None = None) -> None:
        super().__init__(detail)
        self.detail, self.field = detail, field


class _AtFault(ValueError):
    """There are keys at fault; which and where, `_located` finds out."""


def parse(body: bytes) -> Any:
    """The value of a JSON document. Raises `NotJson`."""
    try:
        value = _decoded(body, _DECODER)
    except _AtFault:
        raise _located(body) or NotJson("a key is there twice, or too long") from None
    if _SUSPECT.search(body) and (culprit := _located(body)):
        raise culprit
    return value


def _decoded(body: bytes, decoder: json.JSONDecoder) -> Any:
    """Raises `NotJson`, and `_AtFault` where the decoder does."""
    try:
        return decoder.decode(body.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise NotJson(f"not UTF-8: byte {error.start + 1}") from None
    except json.JSONDecodeError as error:
        raise NotJson(f"not JSON: {error.msg} (line {error.lineno}, column {error.colno})") from None
    except RecursionError:
        raise NotJson("nested too deeply") from None
    except (NotJson, _AtFault):
        raise
    except ValueError:
        raise NotJson("a number has too many digits") from None


def _sound(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs) or max(map(len, value), default=0) > LONGEST_KEY:
        raise _AtFault
    return value


def _no_constant(name: str) -> Any:
    raise NotJson(f"not JSON: {name} is not a number of JSON")


_DECODER = json.JSONDecoder(object_pairs_hook=_sound, parse_constant=_no_constant)


class _Object(list[tuple[str, Any]]):
    """An object with all its pairs."""


_LOCATING = json.JSONDecoder(object_pairs_hook=_Object, parse_constant=_no_constant)


class _Place(NamedTuple):
    """Linked to the place above, not spelt out: many values share what may be a long way to them."""

    above: _Place | None
    step: str | int


def _located(body: bytes) -> NotJson | None:
    """A key given twice or too long, or an unfit text, with its place; the slow way, for bodies at fault.

    Raises `NotJson` for what is no JSON behind a key at fault: nobody has read that far yet.
    """
    waiting: list[tuple[_Place | None, Any]] = [(None, _decoded(body, _LOCATING))]
    while waiting:
        place, value = waiting.pop()
        if isinstance(value, str):
            if fault := _unfit(value):
                return NotJson(fault, _pointer(place))
        elif isinstance(value, _Object):
            seen: set[str] = set()
            for key, below in value:
                at = _Place(place, key)
                if fault := _unfit_key(key, seen):
                    return NotJson(fault, _pointer(at))
                seen.add(key)
                waiting.append((at, below))
        elif isinstance(value, list):
            waiting.extend((_Place(place, index), below) for index, below in enumerate(value))
    return None


def _pointer(place: _Place | None) -> str:
    steps: list[str | int] = []
    while place is not None:
        place, step = place
        steps.append(step)
    return pointer(reversed(steps))


def _unfit_key(key: str, seen: set[str]) -> str | None:
    if key in seen:
        return "this key is there twice"
    if len(key) > LONGEST_KEY:
        return f"this key has {len(key):,} characters, of at most {LONGEST_KEY:,}"
    return _unfit(key)


def _unfit(text: str) -> str | None:
    if "\0" in text:
        return "it holds NUL (U+0000)"
    try:
        text.encode()
    except UnicodeEncodeError:
        return "it holds half of a surrogate pair"
    return None


def pointer(steps: Iterable[str | int]) -> str:
    """RFC 6901."""
    return "".join("/" + str(step).replace("~", "~0").replace("/", "~1") for step in steps)
