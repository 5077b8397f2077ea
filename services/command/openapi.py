"""The OpenAPI document of the command endpoints, made from the registry of commands."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from pydantic import BaseModel, TypeAdapter
from pydantic.json_schema import models_json_schema

from services.command.answers import Answer
from services.command.bulk import BULK_PATH
from services.command.bulk import CONTENT_TYPE as NDJSON
from services.command.http import MESSAGE_PATH, path_of
from services.command.messages import model_of
from services.command.requests import KEY
from shared.contract.command_schemas import AsAccepted, told
from shared.domain.catalogue import COMMANDS
from shared.domain.kernel import Command
from shared.domain.values import TENANT, Instant
from shared.operations.openapi import complete
from shared.operations.problems import CONTENT_TYPE as PROBLEM
from shared.operations.problems import ProblemDocument

REF = "#/components/schemas/{model}"

PARAMETERS: dict[str, dict[str, Any]] = {
    "tenant": {
        "in": "path",
        "name": "tenant",
        "required": True,
        "description": "The career centre, programme or platform it belongs to.",
        "schema": {"type": "string", "pattern": TENANT},
    },
    "id": {
        "in": "path",
        "name": "id",
        "required": True,
        "description": "The stream's id; a new one for a command that creates it. A relationship's follows from its "
        "two ends and may be given as `<seeker id>:<contact id>`.",
        "schema": {"type": "string"},
    },
    "occurred_at": {
        "in": "query",
        "name": "occurred_at",
        "description": "When it happened, with its offset from UTC; now, unless given, and if it is up to five minutes "
        "ahead: clocks differ.",
        "schema": TypeAdapter(Instant).json_schema(schema_generator=AsAccepted),
    },
    "idempotency_key": {
        "in": "header",
        "name": "Idempotency-Key",
        "description": "Repeating an accepted command with the same key gives the first answer again; one that was "
        "refused is judged anew. A UUID is kept as it is.",
        "schema": {"type": "string", "pattern": KEY},
    },
    "if_match": {
        "in": "header",
        "name": "If-Match",
        "description": 'Refuse (412) unless the stream has this version, such as `"3"`; `"0"`: unless it is new.',
        "schema": {"type": "string", "pattern": r'^("\d{1,10}"|\d{1,10})$'},
    },
    "actor": {
        "in": "header",
        "name": "X-Actor",
        "description": "Who asks for it, such as `seeker:<id>` or `coach:<id>`.",
        "schema": {"type": "string", "pattern": r"^[A-Za-z0-9._:@-]{1,120}$", "default": "unknown"},
    },
    "correlation_id": {
        "in": "header",
        "name": "X-Correlation-Id",
        "description": "Ties together all that follows from one first cause; else the trace id of `traceparent`.",
        "schema": {"type": "string", "format": "uuid"},
    },
}

REFUSALS = {
    "400": "Something could not be read: the JSON, or a header.",
    "404": "There is no such thing.",
    "409": "Not now: the command does not fit the present state.",
    "412": "The stream does not have the version named in `If-Match`.",
    "413": "The body is too large.",
    "415": "The body is not JSON, or it is in a content coding.",
    "422": "Never so: `errors` names each field at fault. Or the Idempotency-Key was used for another command.",
    "503": "The database is away, or holds what only a newer release can read. Repeat with the same Idempotency-Key.",
}


def describe(app: FastAPI) -> None:
    """Let `app.openapi()` tell of the command endpoints, too."""
    complete(app, _add_commands)


def _add_commands(document: dict[str, Any]) -> None:
    commands = _commands()
    models: list[type[BaseModel]] = [*commands, *(model_of(command) for command in commands), Answer, ProblemDocument]
    refs, definitions = models_json_schema(
        [(model, "validation") for model in models], ref_template=REF, schema_generator=AsAccepted
    )
    schema_of = {model: ref for (model, _), ref in refs.items()}
    components = document.setdefault("components", {})
    components.setdefault("schemas", {}).update(definitions["$defs"])
    components["parameters"] = PARAMETERS
    components["responses"] = {
        "Accepted": {
            "description": "Accepted and durable.",
            "headers": {
                "ETag": {"description": "The stream's version since.", "schema": {"type": "string"}},
                "Kithlog-Position": {"description": "`position`.", "schema": {"type": "integer"}},
            },
            "content": {"application/json": {"schema": schema_of[Answer]}},
        },
        **{
            f"Problem{status}": {"description": text, "content": {PROBLEM: {"schema": schema_of[ProblemDocument]}}}
            for status, text in REFUSALS.items()
        },
    }
    paths = document["paths"]
    for command in commands:
        category, verb = path_of(command)
        paths[f"/v1/tenants/{{tenant}}/{category}/{{id}}/{verb}"] = {"post": _by_path(command, schema_of[command])}
    messages = [schema_of[model_of(command)] for command in commands]
    paths[MESSAGE_PATH] = {"post": _by_message(messages)}
    paths[BULK_PATH] = {"post": _in_bulk()}


def _commands() -> list[type[Command]]:
    """By name: the registry's own order is that of imports, and would differ from one program to the next."""
    return [COMMANDS[name] for name in sorted(COMMANDS)]


def _by_path(command: type[Command], schema: dict[str, Any]) -> dict[str, Any]:
    summary, description = told(command)
    required = any(info.is_required() for info in command.model_fields.values())
    return {
        "tags": [command.category],
        "operationId": command.type,
        "summary": summary,
        "description": description,
        "parameters": [{"$ref": f"#/components/parameters/{name}"} for name in PARAMETERS],
        "requestBody": {"required": required, "content": {"application/json": {"schema": schema}}},
        "responses": _responses("201" if command.creates else "200"),
    }


def _by_message(messages: list[dict[str, Any]]) -> dict[str, Any]:
    mapping = {command.type: message["$ref"] for command, message in zip(_commands(), messages, strict=True)}
    schema = {"oneOf": messages, "discriminator": {"propertyName": "command", "mapping": mapping}}
    responses = _responses("200")
    return {
        "tags": ["commands"],
        "operationId": "command",
        "summary": "One command message of any kind, as over AMQP",
        "description": "It holds all that else is said by path, query and headers. Answered 201 for a command that may "
        "be the first of its stream, else 200.",
        "parameters": [{"$ref": "#/components/parameters/correlation_id"}],
        "requestBody": {"required": True, "content": {"application/json": {"schema": schema}}},
        "responses": {"201": responses["200"], **responses},
    }


def _in_bulk() -> dict[str, Any]:
    return {
        "tags": ["commands"],
        "operationId": "commands.bulk",
        "summary": "Many command messages, one per line (NDJSON); one outcome for each in the same order",
        "description": 'An outcome is `{"line": 1, "status": 200, "answer": {…}}` or `{"line": 2, "status": 409, '
        '"problem": {…}}`, by the number of the line; blank lines are counted and have none. Sending the same lines '
        "again is always safe.",
        "parameters": [{"$ref": "#/components/parameters/correlation_id"}],
        "requestBody": {"required": True, "content": {NDJSON: {"schema": {"type": "string"}}}},
        "responses": {
            "200": {
                "description": "One outcome for each line that is not blank.",
                "content": {NDJSON: {"schema": {"type": "string"}}},
            },
            "400": {"$ref": "#/components/responses/Problem400"},
            "415": {"$ref": "#/components/responses/Problem415"},
            "422": {"$ref": "#/components/responses/Problem422"},
            "503": {"$ref": "#/components/responses/Problem503"},
        },
    }


def _responses(accepted: str) -> dict[str, Any]:
    return {
        accepted: {"$ref": "#/components/responses/Accepted"},
        **{status: {"$ref": f"#/components/responses/Problem{status}"} for status in REFUSALS},
    }
