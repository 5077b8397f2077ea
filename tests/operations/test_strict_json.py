"""JSON that readers can't disagree about."""

from __future__ import annotations

import json
import tracemalloc
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.operations.strict_json import LONGEST_KEY, NotJson, parse

TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXT,
    lambda below: st.lists(below, max_size=4) | st.dictionaries(TEXT, below, max_size=4),
    max_leaves=20,
)


@settings(max_examples=200)
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


def test_a_key_has_its_longest() -> None:
    """Given a key that is longer, wherever it is, then it is refused as that, and named."""
    key = "x" * LONGEST_KEY
    assert parse(json.dumps({"a": [{key: 1}]}).encode()) == {"a": [{key: 1}]}
    for more in ({}, {"b": "\U0001f600"}):
        with pytest.raises(NotJson, match="1,001 characters, of at most 1,000") as refused:
            parse(json.dumps({"a": [{key + "x": 1}], **more}).encode())
        assert refused.value.field == f"/a/0/{key}x"


LONG_WAY = b'{"' + b"x" * LONGEST_KEY + b'":'


@pytest.mark.parametrize(
    "fault", [b'"\\ud83d\\ude00"', b'{"a":1,"a":1}', rb'"\ud800"'], ids=["none", "a key twice", "half a pair"]
)
def test_what_is_at_the_end_of_a_long_way_takes_no_room_for_it(fault: bytes) -> None:
    """Given many values far below, and something to look for, then what that takes goes by what was sent, and not by
    the length of the way times the number of values."""
    body = LONG_WAY * 20 + b"[" + fault + b",0" * 20_000 + b"]" + b"}" * 20
    assert peak(lambda: parse(body)) < 100 * len(body)


def peak(work: Callable[[], object]) -> int:
    """The most bytes that Python held for it at once."""
    tracemalloc.start()
    try:
        work()
    except NotJson:
        pass
    finally:
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    return most
