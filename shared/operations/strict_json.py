"""JSON as RFC 8259 has it, and as the log can keep it: what lenient parsers let pass is refused.

A key given twice is taken by some parsers from its first place and by others from its last: not something to guess
about in what is to be kept for ever. Half a surrogate pair stands for no character; NUL can't be held by PostgreSQL.
"""

from __future__ import annotations

import json
import re
from typing import Any

_SUSPECT = re.compile(rb"\\u(?:[dD][89a-fA-F]|0000)")
"""Escapes that may be at fault: halves of surrogate pairs, which need not be lonely, and NUL."""


class NotJson(ValueError):
    """Not JSON, or JSON that readers would disagree about. `field` is the culprit's JSON pointer, where known."""

    def __init__(self, detail: str, field: str | None = None) -> None:
        super().__init__(detail)
        self.detail, self.field = detail, field


class _Twice(ValueError):
    pass


def parse(body: bytes) -> Any:
    """The value of a JSON document. Raises `NotJson`."""
    try:
        value = _decoded(body, _DECODER)
    except _Twice:
        raise _located(body) or NotJson("a key is there twice") from None
    if _SUSPECT.search(body) and (culprit := _located(body)):
        raise culprit
    return value


def _decoded(body: bytes, decoder: json.JSONDecoder) -> Any:
    """Raises `NotJson`, and `_Twice` where the decoder does."""
    try:
        return decoder.decode(body.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise NotJson(f"not UTF-8: byte {error.start + 1}") from None
    except json.JSONDecodeError as error:
        raise NotJson(f"not JSON: {error.msg} (line {error.lineno}, column {error.colno})") from None
    except RecursionError:
        raise NotJson("nested too deeply") from None
    except (NotJson, _Twice):
        raise
    except ValueError:
        raise NotJson("a number has too many digits") from None


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        raise _Twice
    return value


def _no_constant(name: str) -> Any:
    raise NotJson(f"not JSON: {name} is not a number of JSON")


_DECODER = json.JSONDecoder(object_pairs_hook=_once, parse_constant=_no_constant)


class _Object(list[tuple[str, Any]]):
    """An object with all its pairs."""


_LOCATING = json.JSONDecoder(object_pairs_hook=_Object, parse_constant=_no_constant)


def _located(body: bytes) -> NotJson | None:
    """A key given twice or an unfit text, with its place; the slow way, for bodies at fault.

    Raises `NotJson` for what is no JSON behind a key given twice: nobody has read that far yet.
    """
    waiting: list[tuple[str, Any]] = [("", _decoded(body, _LOCATING))]
    while waiting:
        place, value = waiting.pop()
        if isinstance(value, str):
            if fault := _unfit(value):
                return NotJson(fault, place)
        elif isinstance(value, _Object):
            seen: set[str] = set()
            for key, below in value:
                at = f"{place}/{key.replace('~', '~0').replace('/', '~1')}"
                if key in seen:
                    return NotJson("this key is there twice", at)
                if fault := _unfit(key):
                    return NotJson(fault, at)
                seen.add(key)
                waiting.append((at, below))
        elif isinstance(value, list):
            waiting.extend((f"{place}/{index}", below) for index, below in enumerate(value))
    return None


def _unfit(text: str) -> str | None:
    if "\0" in text:
        return "it holds NUL (U+0000)"
    try:
        text.encode()
    except UnicodeEncodeError:
        return "it holds half of a surrogate pair"
    return None
