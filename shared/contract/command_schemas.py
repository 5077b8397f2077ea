"""The JSON Schema of each command message: what callers may send, over AMQP or to `POST /v1/commands`.

Nothing but what is described is taken, so that a mistyped field is never silently ignored. A command has no versions:
only such changes are made as leave every message valid that was.
"""

from __future__ import annotations

from inspect import cleandoc

from pydantic_core import core_schema

from shared.command_envelope import message_model
from shared.contract.event_schemas import DIALECT, AsSaid
from shared.contract.examples import example_of
from shared.contract.json import Json
from shared.domain.diagrams import taken
from shared.domain.kernel import Command


class AsAccepted(AsSaid):
    """Schemas of models as callers may fill them."""

    def dict_schema(self, schema: core_schema.DictSchema) -> Json:
        described = super().dict_schema(schema)
        return {**described, "additionalProperties": False} if "patternProperties" in described else described

    def time_schema(self, schema: core_schema.TimeSchema) -> Json:
        # `time` would ask for an offset from UTC, which a time of day has not.
        return {"type": "string", "pattern": r"^([01]\d|2[0-3]):[0-5]\d(:[0-5]\d(\.\d{1,6})?)?(Z|[+-]\d\d:\d\d)?$"}


def file_of(command: str) -> str:
    """Where the schema of a command's messages is kept: such as `interview.send_request.json`."""
    return f"{command}.json"


def told(command: type[Command]) -> tuple[str, str]:
    """A command in a sentence, and what else there is to say of it: also when it is taken, and where it leads."""
    summary, _, rest = cleandoc(command.__doc__ or "").partition("\n\n")
    return summary.replace("\n", " "), "\n\n".join(filter(None, (rest.replace("\n", " "), taken(command))))


def command_schema(command: type[Command]) -> Json:
    """The document for a command. Raises `LookupError` when it has a field that no example is known for."""
    described = message_model(command).model_json_schema(schema_generator=AsAccepted)
    described.pop("description", None)
    schema = {
        "$schema": DIALECT,
        "$id": f"urn:kithlog:command:{command.type}",
        "title": command.type,
        "description": "\n\n".join(told(command)),
        **{key: described[key] for key in ("type", "properties", "required", "additionalProperties", "$defs")},
    }
    return {**schema, "examples": [example_of(schema)]}
