"""The one way between an event and its stored bytes."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from pydantic import ValidationError

from shared.domain.catalogue import EVENTS
from shared.domain.kernel import Event
from shared.envelope import Recorded

Upcaster = Callable[[dict[str, Any]], dict[str, Any]]


def _as_it_was_meant(payload: dict[str, Any]) -> dict[str, Any]:
    """What was not said was so many days, and is as the policy has it now."""
    return {"cadence_days": 90, "first_after_days": 30, **payload}


UPCASTERS: Mapping[tuple[str, int], Upcaster] = {("relationship.keep_in_touch_started", 1): _as_it_was_meant}
"""(type, schema version) → how its payload becomes one of the next version."""


class UnknownEventType(Exception):
    """The log holds an event that this release can't read: an unknown type, a newer schema version, or a field that
    a newer release has added.

    A reader stops here, loudly; skipping it would be losing it.
    """

    def __init__(self, type: str, schema_version: int, position: int, *, fields: tuple[str, ...] = ()) -> None:
        what = f"with fields that are not known here: {', '.join(fields)}" if fields else "which is not known here"
        super().__init__(f"position {position} holds {type} of schema version {schema_version}, {what}")
        self.type, self.schema_version, self.position, self.fields = type, schema_version, position, fields


def encode(event: Event) -> bytes:
    """UTF-8 JSON without the fields that are None."""
    return event.__pydantic_serializer__.to_json(event, exclude_none=True)


def kind_of(recorded: Recorded[Any]) -> type[Event]:
    """The class of an event, from its envelope alone. Raises `UnknownEventType`."""
    declared = EVENTS.get(recorded.type)
    if declared is None or recorded.schema_version > declared.schema_version:
        raise UnknownEventType(recorded.type, recorded.schema_version, recorded.position)
    return declared


def decode(recorded: Recorded[bytes]) -> Recorded[Event]:
    """The event in its present shape, older schema versions brought up step by step.

    Raises `UnknownEventType`, and pydantic's `ValidationError` when the stored bytes are not what the type says.
    """
    declared = kind_of(recorded)
    if recorded.schema_version == declared.schema_version:
        try:
            return recorded.holding(declared.model_validate_json(recorded.data))
        except ValidationError as error:
            fields = tuple(str(each["loc"][-1]) for each in error.errors() if each["type"] == "extra_forbidden")
            if fields and len(fields) == error.error_count():
                raise UnknownEventType(
                    recorded.type, recorded.schema_version, recorded.position, fields=fields
                ) from error
            raise
    payload = json.loads(recorded.data)
    for version in range(recorded.schema_version, declared.schema_version):
        payload = UPCASTERS[recorded.type, version](payload)
    return recorded.holding(declared.model_validate(payload))
