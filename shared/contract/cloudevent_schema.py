"""The envelope that every event travels in, over AMQP and in the history feed, as a JSON Schema.

`shared/broker/cloudevents.py` writes it. Attributes may be added: ignore those that are not described.
"""

from __future__ import annotations

from shared.contract.event_schemas import DIALECT
from shared.contract.json import Json
from shared.domain.catalogue import CATEGORIES

FILE = "cloudevent.json"
ID = "urn:kithlog:cloudevent"


def _text(description: str, **more: object) -> Json:
    return {"type": "string", "description": description, **more}


def _id(description: str) -> Json:
    return _text(description, format="uuid")


_DECIMAL = r"^[0-9]{1,19}$"
"""CloudEvents integers end at 2^31, so positions are decimal strings in the body. In AMQP headers they are integers."""

ATTRIBUTES: Json = {
    "specversion": {"const": "1.0", "description": "Version of CloudEvents."},
    "id": _id("The event's id; the same again when the event is delivered again."),
    "source": _text(
        "Whose events, and of which kind of stream: `/kithlog/<tenant>/<category>`.",
        pattern=r"^/kithlog/[a-z0-9-]+/[a-z]+$",
    ),
    "type": _text(
        "`kithlog.<category>.<event>.v<schema version>`.", pattern=r"^kithlog\.[a-z]+\.[a-z_]+\.v[1-9][0-9]*$"
    ),
    "subject": _id("Id of the stream: of the interview, the contact …"),
    "time": _text("When it happened outside, as the caller said.", format="date-time"),
    "datacontenttype": {"const": "application/json", "description": "Form of `data`."},
    "dataschema": _text(
        "`$id` of the schema of `data`, found below `events/`.",
        pattern=r"^urn:kithlog:event:[a-z]+\.[a-z_]+:v[1-9][0-9]*$",
    ),
    "sequence": _text(
        "The position with leading zeros, so that its order as text is that of the log.", pattern=r"^[0-9]{19}$"
    ),
    "partitionkey": _text("The tenant: events that share it are on one partition, in order."),
    "tenant": _text("The career centre, programme or platform it belongs to.", pattern=r"^[a-z0-9][a-z0-9-]{0,62}$"),
    "category": _text(
        f"Kind of stream: {', '.join(sorted(CATEGORIES))}; there may be further ones.", pattern=r"^[a-z]+$"
    ),
    "streamversion": {"type": "integer", "minimum": 1, "description": "Place in its stream: 1, 2, 3 … without holes."},
    "position": _text("Place in the whole log: 1, 2, 3 … without gaps, in the order of commit.", pattern=_DECIMAL),
    "previous": _text(
        "Position before it on its partition: whoever has not seen that one has missed something.", pattern=_DECIMAL
    ),
    "epoch": {
        "type": "integer",
        "minimum": 1,
        "description": "Timeline of the log; raised when it was restored to an earlier point and history forked.",
    },
    "recordedat": _text("When it was written down, by the log's clock.", format="date-time"),
    "actor": _text("Who asked for it, such as `seeker:<id>`, `policy:thank_you` or `unknown`."),
    "commandid": _id("The command that led to it."),
    "correlationid": _id("Shared by all that follows from one first cause."),
    "causationid": _id("The command or event that directly caused it."),
    "traceparent": _text(
        "W3C trace context: the trace is the correlation id, the span the first half of the event's id.",
        pattern=r"^00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$",
    ),
    "data": {"type": "object", "description": "The event's payload; its schema is that of `dataschema`."},
}

CLOUDEVENT: Json = {
    "$schema": DIALECT,
    "$id": ID,
    "title": "An event of Kithlog",
    "description": "CloudEvents 1.0 in structured JSON mode (`application/cloudevents+json`).",
    "type": "object",
    "properties": ATTRIBUTES,
    "required": list(ATTRIBUTES),
}

HEADERS: Json = {
    "type": "object",
    "description": "AMQP headers, so that a message can be judged without opening it.",
    "properties": {
        "position": {"type": "integer", "minimum": 1, "description": "`position` of the body."},
        "previous": {"type": "integer", "minimum": 0, "description": "`previous` of the body."},
        "epoch": {"type": "integer", "minimum": 1, "description": "`epoch` of the body."},
        "partition": {"type": "integer", "minimum": 0, "description": "There is one partition as yet: 0."},
        "replay": {"const": True, "description": "Only on messages that were sent once more, to one consumer alone."},
        "replay-id": _id("Of that replay."),
        "routing-key": _text("The key that the message had at first: a replay goes to a queue directly."),
    },
    "required": ["position", "previous", "epoch", "partition"],
}
