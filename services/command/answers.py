"""The answer to an accepted command: the same over HTTP, over AMQP and as a line of an import."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any
from uuid import UUID

from pydantic import BaseModel, Field

from shared.log import Appended

_ENCODER = json.JSONEncoder(separators=(",", ":"))


class WrittenEvent(BaseModel):
    """Where one event was written."""

    position: int = Field(description="Place in the whole log.")
    type: str = Field(examples=["interview.request_sent"])
    stream: str = Field(description="`<category>/<id>`.")
    version: int = Field(description="Place in its stream; the stream's version since.")
    event_id: UUID


class Answer(BaseModel):
    """An accepted command. What it wrote is durable."""

    command_id: UUID = Field(description="The Idempotency-Key to repeat it with.")
    position: int = Field(description="Of its last event: name it as `min_position` to read your own writes.")
    events: list[WrittenEvent]
    recorded_at: datetime
    repeated: bool = Field(description="True when this is the first answer to the same command, given again.")


def answer(appended: Appended) -> dict[str, Any]:
    """The members of `Answer`, ready for JSON."""
    return {
        "command_id": str(appended.command_id),
        "position": appended.position,
        "events": [
            {
                "position": event.position,
                "type": event.type,
                "stream": str(event.stream),
                "version": event.version,
                "event_id": str(event.event_id),
            }
            for event in appended.events
        ],
        "recorded_at": appended.recorded_at.isoformat(),
        "repeated": appended.repeated,
    }


def answer_of(appended: Appended) -> bytes:
    """The JSON document."""
    return _ENCODER.encode(answer(appended)).encode()
