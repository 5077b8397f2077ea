"""Properties that the client library can't read, or can't send again."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from struct import error, pack
from typing import Any

import pytest
from pamqp import encode
from pamqp.header import ContentHeader

from shared.broker.properties import LARGEST, UNREADABLE, deliver_all, sendable
from tests.broker import strange

deliver_all()


def read(properties: bytes) -> ContentHeader:
    header = ContentHeader()
    header.unmarshal(pack(">HHQ", 60, 0, 7) + properties)
    return header


@pytest.mark.parametrize(
    "properties",
    [*strange.PROPERTIES.values(), b"\x10\x00\x03", b"\x10"],
    ids=[*strange.PROPERTIES, "a delivery mode that is none", "cut off"],
)
def test_what_can_not_be_read_is_left_out(properties: bytes) -> None:
    """Given properties that can't be read, then the message has none but a header that tells, and its body."""
    header = read(properties)
    assert header.body_size == 7
    told = (header.properties.headers or {})[UNREADABLE]
    assert isinstance(told, str)
    assert repr(properties[:10])[2:-1] in told
    assert header.properties.delivery_mode is None
    assert header.properties.correlation_id is None
    assert sendable(header.properties.headers or {}) == header.properties.headers


def test_what_can_be_read_is_as_it_was() -> None:
    assert read(b"\x10\x00\x02").properties.delivery_mode == 2
    assert read(b"\x00\x00").properties.delivery_mode is None
    assert read(strange.correlation_id(b"mine")).properties.correlation_id == "mine"
    with pytest.raises(error):
        ContentHeader().unmarshal(b"\x00\x3c")


@pytest.mark.parametrize(
    "headers",
    [{}, {"a": 1, "b": [True, {"c": "d"}], "e": datetime(2026, 3, 2, tzinfo=UTC), "f": Decimal("1.5"), "g": None}],
)
def test_headers_that_can_be_sent_are_as_they_were(headers: dict[str, Any]) -> None:
    assert sendable(headers) == headers


def test_headers_that_are_too_many_are_told_in_brief() -> None:
    """Given headers that fill a frame alone, in letters that take four to show, then what is told leaves room."""
    wide = {f"{n:02}": {f"{m:02}": "\1" * 40 for m in range(50)} for n in range(50)}
    told = sendable(wide)
    assert isinstance(told, str)
    assert len(told) <= LARGEST // 4


@pytest.mark.parametrize("depth", range(40, 520, 10))
def test_headers_of_any_depth_can_be_sent(depth: int) -> None:
    """Given headers nested deeply, then what comes of them can be written from deeper in calls than it was checked."""
    header = read(strange.headers(b"F", strange.nested(depth)))

    def write(calls: int) -> bytes:
        if calls:
            return write(calls - 1)
        return encode.field_table({"kithlog-headers": sendable_now})

    sendable_now: Any = sendable(header.properties.headers or {})
    assert len(write(100)) <= LARGEST
