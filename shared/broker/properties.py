"""Properties and headers of messages that the client library can't read, or can't send again.

RabbitMQ passes on whatever a sender has put there: an id that is no text, a time in the year 55000, tables nested
hundreds deep. The library decodes it where it reads the connection, which ends with the first error: one such message
would end every connection on which it is delivered. A delivery mode that is none (RabbitMQ 4 takes it) ends only the
making of its message: nobody would see that one, and whoever acknowledges several at once would acknowledge it, too.
So messages whose properties can't be read are delivered without them. The library has no way in for that but the method
itself, which is exchanged for the whole process.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from reprlib import Repr
from typing import Any

from aio_pika import DeliveryMode
from pamqp import encode
from pamqp.commands import Basic
from pamqp.header import ContentHeader

UNREADABLE = "kithlog-unreadable"
"""The one header of such a message: what was wrong with its properties, and how they begin."""
LARGEST = 64 * 1024
"""Bytes of a message's headers that leave room for others beside them: all have to fit into one frame."""
DEEPEST = 50
"""Tables within tables that can be written from however deep in calls."""
_TOLD = 300
_BRIEF = 8 * 1024
_FIXED = 12
"""Bytes before the properties: class, weight, and the body's size."""

_unmarshal = ContentHeader.unmarshal


def deliver_all() -> None:
    """From now on. Calling again changes nothing."""
    ContentHeader.unmarshal = _unmarshal_or_leave_out  # type: ignore[assignment, method-assign]


def _unmarshal_or_leave_out(header: ContentHeader, data: bytes) -> None:
    try:
        _unmarshal(header, data)
        DeliveryMode(header.properties.delivery_mode or DeliveryMode.NOT_PERSISTENT)
    except Exception as error:
        if len(data) < _FIXED:
            raise
        told = f"{str(error)[:_TOLD]}: {data[_FIXED : _FIXED + _TOLD]!r}"
        header.properties = Basic.Properties(headers={UNREADABLE: told})


def sendable(headers: Mapping[str, Any]) -> dict[str, Any] | str:
    """Headers that came, as they are if they can be sent again beside others, else told as text."""
    # Not everything that the library reads it writes: not a double, nor a text that was not UTF-8.
    with suppress(Exception):
        if _depth(headers) <= DEEPEST and len(encode.field_table(dict(headers))) <= LARGEST:
            return dict(headers)
    brief = Repr()
    brief.maxdict, brief.maxlist, brief.maxstring, brief.maxother = 50, 50, 200, 200
    return brief.repr(dict(headers))[:_BRIEF]


def _depth(value: object) -> int:
    below = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return 1 + max(map(_depth, below), default=0)
