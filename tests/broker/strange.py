"""Messages as senders in other languages may write them, and the client library here would not."""

from __future__ import annotations

from struct import pack
from typing import Any, cast

from aio_pika.abc import AbstractChannel


class _Properties:
    """Bytes that stand for a message's properties."""

    def __init__(self, raw: bytes) -> None:
        self._raw, self.message_id = raw, "known to the publisher alone"

    def marshal(self) -> bytes:
        return self._raw


async def publish(channel: AbstractChannel, queue: str, properties: bytes, body: bytes) -> None:
    underlay = await channel.get_underlay_channel()
    await underlay.basic_publish(body, routing_key=queue, properties=cast(Any, _Properties(properties)))


def correlation_id(raw: bytes) -> bytes:
    """Flags of the properties that there are, and these; persistent, like all here."""
    return pack(">HBB", 1 << 12 | 1 << 10, 2, len(raw)) + raw


def timestamp(seconds: int) -> bytes:
    return pack(">HBQ", 1 << 12 | 1 << 6, 2, seconds)


def headers(kind: bytes, value: bytes) -> bytes:
    """One header, `odd`."""
    table = b"\x03odd" + kind + value
    return pack(">HI", 1 << 13 | 1 << 12, len(table)) + table + b"\x02"


def text(raw: bytes) -> bytes:
    return pack(">I", len(raw)) + raw


def nested(depth: int) -> bytes:
    """A table in a table in a table …"""
    value = text(b"")
    for _ in range(depth):
        value = text(b"\x01aF" + value)
    return value


PROPERTIES = {
    "an id of 16 bytes": correlation_id(bytes(range(240, 256))),
    "a time in microseconds": timestamp(1_772_452_800_000_000),
    "a time in nanoseconds": timestamp(1_772_452_800_000_000_000),
    "headers nested deeply": headers(b"F", nested(2_000)),
}
"""Properties that can't be read."""
HEADERS = {
    "a header that is no text": headers(b"S", text(b"\xff\xfe")),
    "a large double": headers(b"d", pack(">d", 1e300)),
    "headers nested less deeply": headers(b"F", nested(400)),
    "long headers": headers(b"S", text(b"x" * 130_950)),
}
"""Properties that can be read, but not sent again."""
