"""JSON that readers can't disagree about."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.operations.strict_json import NotJson, parse

TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXT,
    lambda below: st.lists(below, max_size=4) | st.dictionaries(TEXT, below, max_size=4),
    max_leaves=20,
)


@settings(derandomize=True, max_examples=200, deadline=None)
@given(VALUES, st.booleans())
def test_what_is_json_comes_through(value: object, escaped: bool) -> None:
    """Law: any JSON value is read back as it was, written in UTF-8 or escaped, surrogate pairs included."""
    assert parse(json.dumps(value, ensure_ascii=escaped).encode()) == value


@pytest.mark.parametrize(
    ("body", "field"),
    [
        (rb'{"a": 1, "a": 2}', "/a"),
        (rb'{"a": [0, {"b": 1, "b": 1}]}', "/a/1/b"),
        (rb'{"x/y": {"~": 1, "~": 1}}', "/x~1y/~0"),
        (rb'{"a": "\ud800"}', "/a"),
        (rb'{"a": "\udc00\ud800"}', "/a"),
        (rb'["\uD83D"]', "/0"),
        (rb'{"a": "\u0000"}', "/a"),
        (rb'"\ud800"', ""),
        (b'{"a": 1, "a": 2} x', None), (b'[{"a": 1, "a": 2}, NaN]', None),
        (b'[{"a": 1, "a": 2}, ' + b"1" * 5000 + b"]", None), (b'[{"a": 1, "a": 2}, ' + b"[" * 5000, None),
        (b"NaN", None), (b"[Infinity]", None), (b"", None), (b"\xff", None), (b"\xef\xbb\xbf{}", None),
        (b"[" * 5000 + b"]" * 5000, None), (b"1" * 5000, None), (b"'a'", None), (b"01", None), (b"{,}", None),
    ],
)  # fmt: skip
def test_what_is_not_is_refused(body: bytes, field: str | None) -> None:
    with pytest.raises(NotJson) as refused:
        parse(body)
    assert refused.value.field == field
    assert refused.value.detail


def test_an_escaped_pair_is_a_character() -> None:
    assert parse(rb'{"a": "\ud83d\ude00", "b": "\\ud800"}') == {"a": "\U0001f600", "b": "\\ud800"}
