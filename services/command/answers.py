"""The answer to an accepted command: the same over HTTP, over AMQP and as a line of an import."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from pydantic import BaseModel, Field
from pydantic_core import to_json

from shared.command_envelope import CommandEnvelope
from shared.domain.advice import advise
from shared.domain.occurrence import occurrence
from shared.log import Appended


class WrittenEvent(BaseModel):
    """Where one event was written."""

    position: int = Field(description="Place in the whole log.")
    type: str = Field(description="What happened.", examples=["interview.request_sent"])
    stream: str = Field(description="`<category>/<id>`.")
    version: int = Field(description="Place in its stream; the stream's version since.")
    event_id: UUID = Field(description="Its id wherever it is told: over AMQP, in the feed.")


class AdviceGiven(BaseModel):
    """What is allowed and yet better done otherwise."""

    code: str = Field(description="Stable.", examples=["longer_than_usual"])
    detail: str = Field(description="What would be better.")
    field: str = Field(description="JSON pointer into the command's fields; empty: all of them.")


class Answer(BaseModel):
    """An accepted command. What it wrote is durable."""

    command_id: UUID = Field(description="The Idempotency-Key to repeat it with.")
    position: int = Field(description="Of its last event: name it as `min_position` to read your own writes.")
    events: list[WrittenEvent] = Field(description="What it wrote, in order, also to other streams than its own.")
    recorded_at: datetime = Field(description="When it was written down.")
    repeated: bool = Field(description="True when this is the first answer to the same command, given again.")
    advice: list[AdviceGiven] = Field(default=[], description="What to do better next time; no reason to refuse.")


def answer(appended: Appended, envelope: CommandEnvelope) -> dict[str, Any]:
    """The members of `Answer`, for `to_json`. Advice follows from the command and when it was: it is repeated."""
    advice = advise(envelope.data, occurrence(envelope.occurred_at, appended.recorded_at))
    return {
        "command_id": appended.command_id,
        "position": appended.position,
        "events": [
            {
                "position": event.position,
                "type": event.type,
                "stream": str(event.stream),
                "version": event.version,
                "event_id": event.event_id,
            }
            for event in appended.events
        ],
        "recorded_at": appended.recorded_at.isoformat(),
        "repeated": appended.repeated,
        "advice": [{"code": each.code, "detail": each.detail, "field": each.field} for each in advice],
    }


def answer_of(appended: Appended, envelope: CommandEnvelope) -> bytes:
    """The JSON document."""
    return to_json(answer(appended, envelope))
