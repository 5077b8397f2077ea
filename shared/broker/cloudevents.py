"""Events on the wire: CloudEvents 1.0, structured JSON mode (`application/cloudevents+json`).

| attribute | value |
|---|---|
| `specversion` | `1.0` |
| `id` | the event's id (UUID); the same again when the event is delivered again |
| `source` | `/kithlog/<tenant>/<category>` |
| `type` | `kithlog.<category>.<event>.v<schema version>` |
| `subject` | id of the stream (UUID) |
| `time` | when it happened, as the caller said (RFC 3339) |
| `datacontenttype` | `application/json` |
| `dataschema` | `$id` of the JSON Schema of `data`: `urn:kithlog:event:<category>.<event>:v<schema version>` |
| `tenant`, `category` | whose it is, kind of stream |
| `streamversion` | place in its stream: 1, 2, 3 … |
| `position` | place in the whole log, as a decimal string: CloudEvents integers end at 2³¹ |
| `previous` | position before it on its partition: whoever has not seen that one has missed something |
| `epoch` | timeline of the log; raised when history was restored to an earlier point |
| `sequence` | the position with leading zeros, so that its order as text is that of the log |
| `partitionkey` | the tenant: events that share it are on one partition, in order |
| `recordedat` | when it was written down (RFC 3339) |
| `actor` | who asked for it |
| `commandid`, `correlationid`, `causationid` | UUIDs |
| `traceparent` | W3C trace context: the trace is the correlation id, the span the first half of the event's id |
| `data` | the event's payload, always the last member |

AMQP: `message_id` = id, `type`, `correlation_id`, `timestamp` = recorded, and the headers `position`, `previous`,
`epoch`, `partition` as integers, so that a consumer can judge a message without opening it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from pydantic_core import from_json, to_json

from shared.envelope import Recorded

CONTENT_TYPE = "application/cloudevents+json"
PARTITION = 0
"""There is one partition as yet."""

_DATA = b',"data":'


class NotACloudEvent(ValueError):
    """A message that is not an event of ours; says what is wrong with it."""


def routing_key(event: Recorded[Any]) -> str:
    """`<tenant>.<category>.<event>`, such as `demo.interview.held`."""
    return f"{event.tenant}.{event.type}"


def message_type(event: Recorded[Any]) -> str:
    """Such as `kithlog.interview.held.v1`."""
    return f"kithlog.{event.type}.v{event.schema_version}"


def schema_id(type: str, schema_version: int) -> str:
    """What identifies the JSON Schema of a payload: a name, since it must not move with any server."""
    return f"urn:kithlog:event:{type}:v{schema_version}"


def headers(event: Recorded[Any]) -> dict[str, int]:
    return {
        "position": event.position,
        "previous": event.position - 1,
        "epoch": event.epoch,
        "partition": PARTITION,
    }


def encode(event: Recorded[bytes]) -> tuple[bytes, dict[str, int]]:
    """Body and headers of an event. Its stored payload is JSON and goes into the body as it is."""
    # Assembled by hand: the relay does this for every event, and nothing but the actor can need escaping (tenant,
    # category and type are checked against patterns where they enter).
    head = (
        f'{{"specversion":"1.0","id":"{event.event_id}","source":"/kithlog/{event.tenant}/{event.category}",'
        f'"type":"{message_type(event)}","subject":"{event.stream_id}","time":"{event.occurred_at.isoformat()}",'
        f'"datacontenttype":"application/json","dataschema":"{schema_id(event.type, event.schema_version)}",'
        f'"sequence":"{event.position:019}","partitionkey":"{event.tenant}","tenant":"{event.tenant}","category":"{event.category}",'
        f'"streamversion":{event.version},"position":"{event.position}","previous":"{event.position - 1}",'
        f'"epoch":{event.epoch},"recordedat":"{event.recorded_at.isoformat()}","actor":{json.dumps(event.actor)},'
        f'"commandid":"{event.command_id}","correlationid":"{event.correlation_id}",'
        f'"causationid":"{event.causation_id}","traceparent":"{_traceparent(event)}"'
    )
    return b"".join((head.encode(), _DATA, event.data, b"}")), headers(event)


def decode(body: bytes, headers: Mapping[str, Any]) -> Recorded[bytes]:
    """The event of a message, its payload byte for byte. Raises `NotACloudEvent`, naming the attribute at fault."""
    try:
        document = from_json(body)
    except ValueError as error:
        raise NotACloudEvent(f"the body is not JSON: {error}") from None
    if not isinstance(document, dict):
        raise NotACloudEvent(f"the body is not a JSON object but {type(document).__name__}")
    if document.get("specversion") != "1.0":
        raise NotACloudEvent(f"specversion is {document.get('specversion')!r}, not '1.0'")
    if "data" not in document:
        raise NotACloudEvent("data is missing")
    type_, schema_version = _stored_type(_read(document, "type", _text))
    event = Recorded(
        position=_read(document, "position", _whole_number),
        epoch=_read(document, "epoch", _whole_number),
        tenant=_read(document, "tenant", _text),
        category=_read(document, "category", _text),
        stream_id=_read(document, "subject", UUID),
        version=_read(document, "streamversion", _whole_number),
        event_id=_read(document, "id", UUID),
        type=type_,
        schema_version=schema_version,
        occurred_at=_read(document, "time", _instant),
        recorded_at=_read(document, "recordedat", _instant),
        actor=_read(document, "actor", _text),
        command_id=_read(document, "commandid", UUID),
        correlation_id=_read(document, "correlationid", UUID),
        causation_id=_read(document, "causationid", UUID),
        data=_payload(body, document),
    )
    if headers.get("position", event.position) != event.position:
        raise NotACloudEvent(f"header position is {headers['position']!r}, the body's is {event.position}")
    return event


def _payload(body: bytes, document: dict[str, Any]) -> bytes:
    # No string in JSON holds an unescaped quote, so the first mark is the member itself, if that comes last as ours.
    _, mark, rest = body.partition(_DATA)
    if mark and next(reversed(document)) == "data":
        return rest.rstrip()[:-1]
    return to_json(document["data"])


def _read(document: Mapping[str, Any], name: str, convert: Callable[[Any], Any]) -> Any:
    if name not in document:
        raise NotACloudEvent(f"{name} is missing")
    try:
        return convert(document[name])
    except (ValueError, TypeError, AttributeError):
        raise NotACloudEvent(f"{name} is {document[name]!r}") from None


def _stored_type(type_: str) -> tuple[str, int]:
    prefix, _, rest = type_.partition(".")
    stored, _, schema = rest.rpartition(".v")
    if prefix != "kithlog" or "." not in stored or not (schema.isascii() and schema.isdigit()):
        raise NotACloudEvent(f"type is {type_!r}, not 'kithlog.<category>.<event>.v<schema version>'")
    return stored, int(schema)


def _traceparent(event: Recorded[Any]) -> str:
    return f"00-{event.correlation_id.hex}-{event.event_id.hex[:16]}-01"


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError
    return value


def _whole_number(value: Any) -> int:
    if isinstance(value, bool | float):
        raise TypeError
    return int(value)


def _instant(value: Any) -> datetime:
    instant = datetime.fromisoformat(value)
    if instant.tzinfo is None:
        raise ValueError
    return instant
