"""The AsyncAPI 3 document: exchanges, queues, and every message on them.

Made from the registries of events and commands. FastStream can make one, too, but of its subscribers alone: events
leave through the relay, and the one subscriber there is takes commands of every kind as bytes.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from shared.broker import topology
from shared.broker.cloudevents import CONTENT_TYPE, encode, headers
from shared.broker.topology import TOPOLOGY, QueueSpec
from shared.contract import cloudevent_schema, command_schemas
from shared.contract.examples import recorded_example
from shared.contract.json import Json
from shared.domain.catalogue import CATEGORIES
from shared.operations.problems import CONTENT_TYPE as PROBLEM

BINDING = "0.3.0"
"""Version of AsyncAPI's AMQP bindings."""

DESCRIPTION = """\
What Kithlog publishes, and what it takes from the broker.

Events: bind a queue of your own to the exchange by tenant, category or event. Delivery is at least once and in order;
a position seen before is a duplicate, unless the `epoch` has risen (the log was restored to an earlier point, which the
history feed tells as `fork`), and a `previous` that was not seen is a gap, to be filled from the history feed
(`GET /v1/events` of the query service) or from the stream queue. Ignore fields and attributes that you don't know.
A new schema version of an event has a type and a schema of its own; the old ones stay valid for what was recorded.

Commands: send a message to the queue through the default exchange, persistent (`delivery_mode` 2), `mandatory` and with
publisher confirms. A confirm alone says nothing: RabbitMQ confirms what it can't route, too, and throws it away; it
returns what is `mandatory` before that. Repeating a command with the same `command_id` is safe.
"""

COMMAND_PROPERTIES: Json = {
    "type": "object",
    "description": "AMQP properties.",
    "properties": {
        "reply_to": {"type": "string", "description": "Queue for the answer; without it there is none."},
        "correlation_id": {"type": "string", "description": "Comes back with the answer."},
    },
}


def asyncapi(schemas: Mapping[str, Json], commands: Mapping[str, Json], replies: Sequence[BaseModel]) -> Json:
    """The document.

    `schemas` and `commands` are those that the messages refer to, by file name; `replies` are examples of the answer
    to a command, and of the problem document that takes its place.
    """
    events = {file.removesuffix(".json"): _event_message(file, schema) for file, schema in schemas.items()}
    orders = {file.removesuffix(".json"): _command_message(file, schema) for file, schema in commands.items()}
    answers, definitions = _replies(replies)
    schemata = {"EventHeaders": cloudevent_schema.HEADERS, "CommandProperties": COMMAND_PROPERTIES, **definitions}
    return {
        "asyncapi": "3.0.0",
        "id": "urn:kithlog",
        "info": {"title": "Kithlog", "version": "1", "description": DESCRIPTION},
        "defaultContentType": "application/json",
        "servers": {"broker": _server()},
        "channels": {
            "events": _events_channel(events),
            "history": _queue_channel(
                topology.HISTORY,
                "Every event of the last weeks, in a stream queue: read it from the first, the last, an offset or a "
                "time (`x-stream-offset`), as often as you like. Ask for a prefetch, and acknowledge.",
                events,
            ),
            "commands": _queue_channel(
                topology.COMMANDS, "Commands, executed in the order in which they were queued.", orders
            ),
            "replies": {
                "address": None,
                "title": "The sender's own queue",
                "description": "Where a command named `reply_to`, its answer goes there, with its correlation id.",
                "messages": _references(answers),
            },
        },
        "operations": _operations(),
        "components": {"messages": {**events, **orders, **answers}, "schemas": schemata},
    }


def _server() -> Json:
    return {
        "host": "{host}:{port}",
        "protocol": "amqp",
        "protocolVersion": "0-9-1",
        "description": "RabbitMQ, 3.10 or later.",
        "variables": {
            "host": {"default": "localhost", "description": "Its name in your network."},
            "port": {"default": "5672", "description": "5671 with TLS."},
        },
    }


def _events_channel(messages: Json) -> Json:
    exchange = TOPOLOGY.exchanges[0]
    return {
        "address": "{tenant}.{category}.{event}",
        "title": "All events",
        "description": "Topic exchange; the address is the routing key. `#` binds everything, `*.interview.*` all of "
        "interviews, `demo.#` all of one tenant.",
        "messages": _references(messages),
        "parameters": {
            "tenant": {"description": "The career centre, programme or platform.", "examples": ["demo"]},
            "category": {"description": "Kind of stream.", "examples": sorted(CATEGORIES)},
            "event": {"description": "What happened.", "examples": ["held", "request_sent"]},
        },
        "bindings": {
            "amqp": {
                "is": "routingKey",
                "exchange": {
                    "name": exchange.name,
                    "type": exchange.kind,
                    "durable": True,
                    "autoDelete": False,
                    "vhost": "/",
                },
                "bindingVersion": BINDING,
            }
        },
    }


def _queue_channel(name: str, description: str, messages: Json) -> Json:
    queue: QueueSpec = TOPOLOGY.queue(name)
    return {
        "address": name,
        "title": name,
        "description": description,
        "messages": _references(messages),
        "bindings": {
            "amqp": {
                "is": "queue",
                "queue": {"name": name, "durable": True, "exclusive": False, "autoDelete": False, "vhost": "/"},
                "bindingVersion": BINDING,
            }
        },
        "x-arguments": dict(queue.arguments),
    }


def _operations() -> Json:
    persistent: Json = {"amqp": {"deliveryMode": 2, "mandatory": True, "timestamp": True, "bindingVersion": BINDING}}
    return {
        "publishEvents": {
            "action": "send",
            "channel": {"$ref": "#/channels/events"},
            "summary": "Every recorded event, in the order of the log, at least once",
            "bindings": persistent,
        },
        "keepHistory": {
            "action": "send",
            "channel": {"$ref": "#/channels/history"},
            "summary": "The same messages, kept for reading again",
        },
        "executeCommands": {
            "action": "receive",
            "channel": {"$ref": "#/channels/commands"},
            "summary": "Execute a command, once, whatever was sent twice",
            "description": "To be sent persistent, `mandatory` and with publisher confirms: it is safe in the queue "
            "when it was confirmed and not returned. Without `reply_to`, a command that can't be executed is parked in "
            f"`{topology.DEAD_COMMANDS}` with its reason; so is, in any case, one that may be what ends "
            "whatever takes it.",
            "bindings": {"amqp": {"ack": True, "bindingVersion": BINDING}},
            "reply": {
                "address": {"location": "$message.header#/reply_to", "description": "AMQP property `reply_to`."},
                "channel": {"$ref": "#/channels/replies"},
            },
        },
    }


def _event_message(file: str, schema: Json) -> Json:
    type, _, version = file.removesuffix(".json").rpartition(".v")
    sample = recorded_example(type, int(version), schema["examples"][0])
    return {
        "name": f"kithlog.{type}.v{version}",
        "title": schema["title"],
        "summary": schema["description"],
        "contentType": CONTENT_TYPE,
        "headers": {"$ref": "#/components/schemas/EventHeaders"},
        "correlationId": {"location": "$message.payload#/correlationid"},
        "payload": {
            "allOf": [
                {"$ref": f"./{cloudevent_schema.FILE}"},
                {
                    "type": "object",
                    "properties": {
                        "type": {"const": f"kithlog.{type}.v{version}"},
                        "dataschema": {"const": schema["$id"]},
                        "data": {"$ref": f"./events/{file}"},
                    },
                },
            ]
        },
        "bindings": {"amqp": {"messageType": f"kithlog.{type}.v{version}", "bindingVersion": BINDING}},
        "examples": [{"name": "complete", "headers": headers(sample), "payload": json.loads(encode(sample)[0])}],
    }


def _command_message(file: str, schema: Json) -> Json:
    return {
        "name": file.removesuffix(".json"),
        "title": schema["title"],
        "summary": schema["description"].partition("\n\n")[0],
        "description": schema["description"].partition("\n\n")[2],
        "contentType": "application/json",
        "headers": {"$ref": "#/components/schemas/CommandProperties"},
        "correlationId": {"location": "$message.header#/correlation_id"},
        "payload": {"$ref": f"./commands/{command_schemas.file_of(schema['title'])}"},
        "bindings": {"amqp": {"bindingVersion": BINDING}},
        "examples": [{"name": "complete", "payload": payload} for payload in schema["examples"]],
    }


def _replies(examples: Sequence[BaseModel]) -> tuple[Json, Json]:
    """The messages that answer a command, the accepting one first, and the schemas that they refer to."""
    references, definitions = models_json_schema(
        [(type(example), "serialization") for example in examples], ref_template="#/components/schemas/{model}"
    )
    accepted, refused = (
        {
            "payload": references[type(example), "serialization"],
            "examples": [{"name": "complete", "payload": example.model_dump(mode="json", exclude_none=True)}],
        }
        for example in examples
    )
    return {
        "accepted": {
            "name": "accepted",
            "title": "The command was executed, and what it wrote is durable",
            "contentType": "application/json",
            **accepted,
        },
        "refused": {
            "name": "refused",
            "title": "The command was not executed: a problem document (RFC 9457)",
            "contentType": PROBLEM,
            **refused,
        },
    }, definitions["$defs"]


def _references(messages: Iterable[str]) -> Json:
    return {name: {"$ref": f"#/components/messages/{name}"} for name in messages}
