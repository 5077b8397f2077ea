"""A part of the log, published once more: to one queue, through the default exchange, so that no other gets any of it.

What was confirmed is written down page by page. After a crash it goes on there: at most the page that was on its way
is sent a second time, with the same ids and positions, which consumers know them by.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from typing import Any
from uuid import UUID

from aio_pika.abc import AbstractConnection
from aio_pika.exceptions import ChannelNotFoundEntity

from services.cli.broker import broker
from services.cli.settings import OperatorSettings
from services.cli.terminal import UNAVAILABLE_CODE, Ended, misunderstood, wrong
from services.cli.wanted import Wanted
from shared.broker import cloudevents, topology
from shared.broker.connection import UNREACHABLE, truly_cancelled
from shared.broker.outgoing import Outgoing, PublishFailed
from shared.broker.publisher import open_publisher
from shared.database.queries import load_queries
from shared.domain.catalogue import EVENTS
from shared.envelope import Recorded

QUERIES = load_queries("services.cli", "replay.sql")
PAGE = 500
"""Most messages between two confirms that are written down."""
BEATS = 10
"""Pages a second when a rate is given, so that it is kept evenly."""
_WINDOW = 20_000
_NOT_CONSUMERS = {topology.PROJECTOR, topology.COMMANDS, topology.DEAD_COMMANDS, topology.HISTORY}


@dataclass(frozen=True, slots=True)
class Span:
    """Which events: of positions after `after` up to `upto`, recorded from `since` on and before `until`."""

    wanted: Wanted
    after: int
    upto: int
    since: datetime | None = None
    until: datetime | None = None

    def arguments(self) -> tuple[Any, ...]:
        return (*self.wanted.arguments(), self.after, self.upto, self.since, self.until)

    def to_json(self) -> str:
        return json.dumps(asdict(self), default=str)

    @classmethod
    def from_json(cls, text: str, after: int, upto: int) -> Span:
        """As it was written down, with the bounds that are left."""
        fields = json.loads(text)
        chosen = fields["wanted"]
        stream = chosen["stream_id"] and UUID(chosen["stream_id"])
        return cls(
            Wanted(chosen["tenant"], stream, tuple(chosen["types"]), tuple(chosen["categories"])),
            after,
            upto,
            fields["since"] and datetime.fromisoformat(fields["since"]),
            fields["until"] and datetime.fromisoformat(fields["until"]),
        )


@dataclass(frozen=True, slots=True)
class Plan:
    """What a replay will send, and what it leaves out."""

    span: Span
    by_type: dict[str, int]
    suppressed: dict[str, int]
    """Notification events: they tell people something, so they are sent only when they are asked for by name."""
    bytes: int

    @property
    def total(self) -> int:
        return sum(self.by_type.values())

    def to_dict(self, rate: int | None) -> dict[str, Any]:
        return {
            "events": self.total,
            "bytes": self.bytes,
            "after": self.span.after,
            "upto": self.span.upto,
            "rate": rate,
            "seconds": None if rate is None else round(self.total / rate, 1),
            "types": self.by_type,
            "suppressed": self.suppressed,
        }


async def plan(connection: Any, span: Span) -> Plan:
    """Count what a span holds; the plan's own span is cut to what is there. Raises `Ended` for an empty one."""
    head = await connection.fetchval(QUERIES["head"])
    if span.after >= min(span.upto, head):
        end = "on" if span.upto > head else f"to {span.upto}"
        raise misunderstood(f"the range is empty: from position {span.after + 1} {end}, the log ends at {head}")
    asked_for = set(span.wanted.types) | {
        type for type in EVENTS if EVENTS[type].type.partition(".")[0] in span.wanted.categories
    }
    rows = await connection.fetch(QUERIES["count"], *span.arguments()[:5], min(span.upto, head), *span.arguments()[6:])
    kept = [row for row in rows if not _is_notification(row["type"]) or row["type"] in asked_for]
    suppressed = {row["type"]: row["events"] for row in rows if row not in kept}
    if not kept:
        left_out = f" ({sum(suppressed.values())} notification events are left out)" if suppressed else ""
        raise misunderstood(f"the range is empty: nothing in it matches{left_out}")
    bounds = replace(span, after=min(row["first"] for row in kept) - 1, upto=max(row["last"] for row in kept))
    if suppressed:
        types = tuple(row["type"] for row in kept)
        bounds = replace(bounds, wanted=replace(span.wanted, types=types, categories=()))
    return Plan(bounds, {row["type"]: row["events"] for row in kept}, suppressed, sum(row["bytes"] for row in kept))


def _is_notification(type: str) -> bool:
    return type.startswith("notification.")


async def check_queue(amqp_url: str, queue: str) -> None:
    """Raises `Ended` for a queue that is not there, or is no consumer's, and for a broker that is away."""
    if queue in _NOT_CONSUMERS:
        raise misunderstood(f"{queue} is Kithlog's own queue: a replay is for a consumer's")
    async with broker(amqp_url, "replay") as connection:
        try:
            async with connection.channel() as channel:
                await channel.declare_queue(queue, passive=True)
        except ChannelNotFoundEntity:
            raise misunderstood(f"there is no queue {queue!r}: its consumer has to declare it first") from None


async def send(connection: Any, settings: OperatorSettings, id: UUID, advance: Callable[[int], None]) -> str:
    """Send what is left of a replay; answers its status when this ended: done, paused or cancelled.

    Raises `Ended` when somebody else is at it, or when the broker went away, with how to go on.
    """
    if not await connection.fetchval(QUERIES["take"], str(id)):
        raise wrong(f"replay {id} is being sent by another process")
    row = await connection.fetchrow(QUERIES["one"], id)
    advance(row["sent"])
    try:
        with truly_cancelled():
            async with broker(settings.amqp_url, "replay") as opened:
                return await _pump(connection, opened, row, advance)
    except UNREACHABLE as error:
        if isinstance(error, OSError | PublishFailed) or type(error).__module__.startswith("aio"):
            raise Ended(
                UNAVAILABLE_CODE, f"RabbitMQ went away ({error}): go on with `kithlog replay resume {id}`"
            ) from None
        raise


async def _pump(connection: Any, opened: AbstractConnection, row: Any, advance: Callable[[int], None]) -> str:
    publisher = await open_publisher(opened, "")
    id, position, rate = row["id"], row["position"], row["rate"]
    size = PAGE if rate is None else max(1, min(PAGE, rate // BEATS))
    clock = asyncio.get_running_loop().time
    due = clock()
    page, looked = await _read(connection, row, position, size)
    while True:
        sending = asyncio.create_task(
            publisher.publish([message(event, row["queue"], id) for event in page]) if page else asyncio.sleep(0)
        )
        try:
            ahead = await _read(connection, row, looked, size) if looked < row["upto"] else None
        finally:
            await sending
        status: str | None = await connection.fetchval(QUERIES["move"], id, position, looked, len(page))
        if status is None:
            raise wrong(f"replay {id} was moved by another process")
        advance(len(page))
        if status != "running":
            return status
        if ahead is None:
            return str(await connection.fetchval(QUERIES["conclude"], id))
        position, (page, looked) = looked, ahead
        if rate is not None:
            due = max(due + size / rate, clock() - 1.0)  # a broker that held us up is not flooded afterwards
            await asyncio.sleep(due - clock())


async def _read(connection: Any, row: Any, after: int, limit: int) -> tuple[list[Recorded[bytes]], int]:
    """The next events that match, and how far was looked."""
    upto = min(row["upto"], after + _WINDOW)
    span = Span.from_json(row["wanted"], after, upto)
    events = [Recorded(*each) for each in await connection.fetch(QUERIES["page"], *span.arguments(), limit)]
    return events, events[-1].position if len(events) == limit else upto


def message(event: Recorded[bytes], queue: str, id: UUID) -> Outgoing:
    """The event as the relay sends it, with the headers `replay` (true), `replay-id`, and its own `routing-key`."""
    body, headers = cloudevents.encode(event)
    return Outgoing(
        routing_key=queue,
        body=body,
        message_id=str(event.event_id),
        content_type=cloudevents.CONTENT_TYPE,
        headers={**headers, "replay": True, "replay-id": str(id), "routing-key": cloudevents.routing_key(event)},
        type=cloudevents.message_type(event),
        correlation_id=str(event.correlation_id),
        timestamp=event.recorded_at,
    )
