"""What is to be published, what a publisher promises, and how it fails."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from aio_pika import DeliveryMode
from aio_pika.exceptions import AMQPError, DeliveryError, PublishError
from pamqp.commands import Basic
from pamqp.common import FieldValue

from shared.broker import cloudevents
from shared.envelope import Recorded


class PublishFailed(Exception):
    """Not all of a batch was confirmed. Any part of it may have arrived; the publisher is of no further use."""


class Returned(PublishFailed):
    """No queue takes messages with this routing key."""

    def __init__(self, routing_key: str) -> None:
        super().__init__(f"no queue is bound for {routing_key}")


class Refused(PublishFailed):
    """A queue refused a message (nack), such as a full one that rejects what is published."""


class ConnectionLost(PublishFailed):
    """The channel or its connection closed before everything was confirmed."""


@dataclass(frozen=True, slots=True)
class Outgoing:
    """One message to publish. `message_id` must be its own among those on the way."""

    routing_key: str
    body: bytes
    message_id: str
    content_type: str
    headers: dict[str, FieldValue] = field(default_factory=dict)
    type: str | None = None
    correlation_id: str | None = None
    timestamp: datetime | None = None

    @classmethod
    def of(cls, event: Recorded[bytes]) -> Outgoing:
        body, headers = cloudevents.encode(event)
        return cls(
            routing_key=cloudevents.routing_key(event),
            body=body,
            message_id=str(event.event_id),
            content_type=cloudevents.CONTENT_TYPE,
            headers=dict(headers),
            type=cloudevents.message_type(event),
            correlation_id=str(event.correlation_id),
            timestamp=event.recorded_at,
        )

    def properties(self) -> Basic.Properties:
        return Basic.Properties(
            content_type=self.content_type,
            delivery_mode=DeliveryMode.PERSISTENT.value,
            headers=self.headers,
            message_id=self.message_id,
            correlation_id=self.correlation_id,
            message_type=self.type,
            timestamp=self.timestamp,
        )


class Publisher(Protocol):
    """Publishes persistent and mandatory messages to one exchange."""

    async def publish(self, batch: Sequence[Outgoing]) -> None:
        """Publish in order, and return when the broker has confirmed every message.

        Calls made before others have returned go out in the order of the calls. Waits as long as an alarm of the
        broker lasts. Raises `PublishFailed` (`Returned`, `Refused`, `ConnectionLost`).
        """
        ...


def failure(error: BaseException, routing_key: str) -> BaseException:
    """What the client library's exceptions mean; others, being nobody's expectation, are themselves."""
    match error:
        case PublishError():
            return Returned(routing_key)
        case DeliveryError():
            return Refused(f"a queue refused a message with routing key {routing_key}")
        case AMQPError() | OSError() | RuntimeError() | asyncio.CancelledError():
            return ConnectionLost(f"the connection closed before everything was confirmed: {error!r}")
        case _:
            return error
