"""The JSON Schema of each event's payload, as it is on the wire: one document per type and schema version.

What a reader may rely on: a field that is not `required` may be absent, none is ever null, and fields that are not
described may come with any release: ignore them. `default` tells what the absence of a field stands for. Fields
marked `x-personal` say something about a person: the seeker, the contact or the coach of the event. No instant or day
is before `x-minimum` or after `x-maximum`.
"""

from __future__ import annotations

import json
from typing import Any

from pydantic.json_schema import GenerateJsonSchema
from pydantic_core import core_schema

from shared.broker.cloudevents import schema_id
from shared.contract.examples import example_of
from shared.contract.json import Json
from shared.domain.kernel import Event

DIALECT = "https://json-schema.org/draft/2020-12/schema"
_TIME = r"([01]\d|2[0-3]):[0-5]\d(:[0-5]\d(\.\d{1,6})?)?"
_OFFSET = r"(Z|[+-]\d\d:\d\d)"


class AsSaid(GenerateJsonSchema):
    """Schemas without words that say nothing, and with the bounds of instants and days, for which JSON Schema has no
    keyword: a value beyond them can be neither sent nor read.
    """

    def field_title_should_be_set(self, schema: Any) -> bool:
        return False

    def default_schema(self, schema: core_schema.WithDefaultSchema) -> Json:
        described = super().default_schema(schema)
        return {key: value for key, value in described.items() if key != "default" or value is not None}

    def datetime_schema(self, schema: core_schema.DatetimeSchema) -> Json:
        return {**super().datetime_schema(schema), **_bounds(schema)}

    def date_schema(self, schema: core_schema.DateSchema) -> Json:
        return {**super().date_schema(schema), **_bounds(schema)}


class AsWritten(AsSaid):
    """Schemas of models as the codec writes them: without null, and open to what later releases add."""

    def nullable_schema(self, schema: core_schema.NullableSchema) -> Json:
        return self.generate_inner(schema["schema"])

    def model_schema(self, schema: core_schema.ModelSchema) -> Json:
        described = super().model_schema(schema)
        described.pop("additionalProperties", None)
        return described

    def datetime_schema(self, schema: core_schema.DatetimeSchema) -> Json:
        if schema.get("tz_constraint") == "aware":
            return super().datetime_schema(schema)
        # RFC 3339, and with it `date-time`, has no time without an offset.
        return {"type": "string", "pattern": rf"^\d{{4}}-\d\d-\d\dT{_TIME}$"}

    def time_schema(self, schema: core_schema.TimeSchema) -> Json:
        return {"type": "string", "pattern": f"^{_TIME}{_OFFSET}?$"}


def _bounds(schema: core_schema.DatetimeSchema | core_schema.DateSchema) -> Json:
    keywords = {"x-minimum": schema.get("ge"), "x-maximum": schema.get("le")}
    return {
        keyword: bound.isoformat().replace("+00:00", "Z") for keyword, bound in keywords.items() if bound is not None
    }


def file_of(type: str, schema_version: int) -> str:
    """Where the schema of a payload is kept: such as `interview.held.v1.json`."""
    return f"{type}.v{schema_version}.json"


def event_schema(event: type[Event]) -> Json:
    """The document for an event. Raises `LookupError` when it has no docstring, or a field without example."""
    described = event.model_json_schema(schema_generator=AsWritten)
    del described["title"]
    if "description" not in described:
        raise LookupError(f"{event.__name__} has no docstring to tell readers what {event.type} means")
    schema = {
        "$schema": DIALECT,
        "$id": schema_id(event.type, event.schema_version),
        "title": f"{event.type}, version {event.schema_version}",
        "description": described.pop("description"),
        **{key: described[key] for key in sorted(described, key=_place)},
    }
    return {**schema, "examples": _examples(schema)}


def _examples(schema: Json) -> list[Json]:
    """With all fields, and with none that may be absent, where that is another."""
    complete, bare = example_of(schema), example_of(schema, complete=False)
    return [json.loads(each) for each in dict.fromkeys((json.dumps(complete), json.dumps(bare)))]


def _place(key: str) -> int:
    order = ("type", "properties", "required", "$defs")
    return order.index(key) if key in order else len(order)
