"""Examples made from schemas: a value for each field by its name, so that a new event has its example by itself.

Deterministic: the same schema gives the same example. A text of a certain form whose field is not in `TEXTS` has no
example; that is said when the documents are made.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID, uuid5

from shared.contract.json import Json
from shared.envelope import Recorded

_IDS = UUID("a6e0f0a1-5c1e-5a5f-8f3e-3f5d0a1c2b3d")

TEXTS: Mapping[str, str] = {
    "about": "Renewable energy",
    "actor": "seeker:1",
    "because": "interview.thanked",
    "cancellation_key": "thank_you:6f1c",
    "category": "interview",
    "channel": "email",
    "command": "interview.thank",
    "company": "Makes turbines; two hundred people; grew fast in 2025.",
    "connector": "Joana from the alumni group",
    "country": "PT",
    "dedupe_key": "thank_you:6f1c:due",
    "email": "ana@example.org",
    "employer": "Sol e Vento",
    "field": "Renewable energy",
    "fields": "Renewable energy",
    "goal": "Find out whether project planning is for me.",
    "group_key": "seeker:2026-03-02T10",
    "industry": "Short of planners; permits take long.",
    "intent": "I want to learn how people get into project planning.",
    "kind": "thank_you",
    "learned": "Planning is more about people than about plans.",
    "locale": "pt-PT",
    "message": "Dear Ana, might I ask you for twenty minutes about your work?",
    "month": "2026-03",
    "moved_by": "quiet_hours",
    "muted": "connect",
    "name": "Ana Reis",
    "network": "LinkedIn",
    "note": "Asked about my thesis.",
    "objectives": "Learn what a typical day looks like.",
    "person": "Studied in Porto; moved from research to planning.",
    "personalised_by": "Your talk on tidal power",
    "phone": "+351 21 000 0000",
    "place": "Café Central, Lisbon",
    "points": "Start with a permit office, not with a vendor.",
    "policy": "thank_you",
    "position": "Project planner",
    "profile_url": "https://example.org/ana",
    "secret_sha256": "0123456789abcdef" * 4,
    "source_detail": "Energy alumni evening",
    "stage": "due",
    "subject": "interview",
    "tenant": "demo",
    "text": "What do you like most about your work?",
    "time_zone": "Europe/Lisbon",
    "title": "Planning the grid",
    "topic": "thank_you",
    "type": "interview.held",
    "url": "https://example.org/grid",
    "version": "1",
    "what": "Coffee some time next week",
    "why": "Too busy before the summer.",
}
INTEGERS: Mapping[str, int] = {
    "cadence_days": 90,
    "capacity": 3,
    "clicked": 4,
    "expected_version": 2,
    "first_after_days": 30,
    "late_seconds": 2,
    "minutes": 30,
    "position": 41,
}
INSTANTS: Mapping[str, str] = {
    "due_at": "2026-03-02T13:00:00Z",
    "expires_at": "2026-03-04T10:00:00Z",
    "not_before": "2026-03-02T12:00:00Z",
    "recorded_at": "2026-03-02T10:30:01.250000Z",
}
WITHOUT_ZONE: Mapping[str, str] = {"end": "07:00:00", "local_due": "2026-03-02T13:00:00", "start": "21:00:00"}
"""Times of day, and wall clock times."""
OPEN: Mapping[str, Json] = {"overrides": {"thank_you": {"due_after": "3h"}}}
"""Objects whose keys are not fixed."""
INSTANT = "2026-03-02T10:30:00Z"
DAY = "2026-06-30"


def example_of(schema: Json, *, complete: bool = True) -> Any:
    """A value that `schema` takes: with every field that there may be, or only with those that there must be.

    Raises `LookupError` for a field that needs an entry in `TEXTS` or one of the other tables.
    """
    return _Maker(schema.get("$defs", {}), complete).make(schema, "")


def recorded_example(type: str, schema_version: int, payload: Json) -> Recorded[bytes]:
    """A payload in an envelope, as if it had been recorded."""

    def an_id(name: str) -> UUID:
        return uuid5(_IDS, f"{name} of {type}")

    return Recorded(
        position=INTEGERS["position"] + 1,
        epoch=1,
        tenant=TEXTS["tenant"],
        category=type.partition(".")[0],
        stream_id=an_id("stream"),
        version=1,
        event_id=an_id("event"),
        type=type,
        schema_version=schema_version,
        occurred_at=datetime.fromisoformat(INSTANT),
        recorded_at=datetime.fromisoformat(INSTANTS["recorded_at"]),
        actor=TEXTS["actor"],
        command_id=an_id("command"),
        correlation_id=an_id("correlation"),
        causation_id=an_id("command"),
        data=json.dumps(payload, ensure_ascii=False, separators=(",", ":")).encode(),
    )


class _Maker:
    def __init__(self, definitions: Json, complete: bool) -> None:
        self._definitions, self._complete = definitions, complete

    def make(self, schema: Json, name: str) -> Any:
        if "$ref" in schema:
            return self.make(self._definitions[schema["$ref"].rpartition("/")[2]], name)
        if "const" in schema:
            return schema["const"]
        if "enum" in schema:
            return schema["enum"][0]
        for alternatives in (schema.get("anyOf"), schema.get("oneOf")):
            if alternatives:
                return self.make(next(each for each in alternatives if each.get("type") != "null"), name)
        match schema.get("type"):
            case "object":
                return self._object(schema, name)
            case "array":
                return [self.make(schema["items"], name)] if self._complete or schema.get("minItems") else []
            case "integer":
                low, high = schema.get("minimum", 0), schema.get("maximum", 2**31 - 1)
                return min(max(INTEGERS.get(name, 1), low), high)
            case "boolean":
                return True
            case "string":
                return _text(schema, name)
        raise LookupError(f"no example for {name!r}: {schema}")

    def _object(self, schema: Json, name: str) -> Json:
        if "properties" not in schema and ("patternProperties" in schema or "additionalProperties" in schema):
            return OPEN[name]
        required = schema.get("required", ())
        return {
            key: self.make(below, key)
            for key, below in schema.get("properties", {}).items()
            if self._complete or key in required
        }


def _text(schema: Json, name: str) -> str:
    match schema.get("format"):
        case "uuid":
            return str(uuid5(_IDS, name))
        case "date-time":
            return INSTANTS.get(name, INSTANT)
        case "date":
            return DAY
    text = WITHOUT_ZONE.get(name) or TEXTS.get(name)
    if text is None or not re.search(schema.get("pattern", ""), text):
        raise LookupError(f"no example for the field {name!r}: {schema}")
    return text
