"""A part of the log, published once more: to one queue, through the default exchange, so that no other gets any of it.

What was confirmed is written down as the confirms come. After a crash it goes on there: what was confirmed since, and
never more than is on its way at once, is sent a second time, with the same ids and positions, which consumers know
them by.
"""

from __future__ import annotations

import asyncio
import json
from collections import Counter, deque
from collections.abc import Callable, Coroutine, Iterable
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from itertools import takewhile
from typing import Any
from uuid import UUID

from aio_pika.abc import AbstractConnection
from aio_pika.exceptions import ChannelNotFoundEntity
from pamqp.common import FieldValue

from services.cli.broker import broker
from services.cli.replaying_room import Room
from services.cli.settings import OperatorSettings
from services.cli.terminal import UNAVAILABLE_CODE, Ended, misunderstood, wrong
from services.cli.wanted import Wanted
from shared.broker import topology
from shared.broker.connection import UNREACHABLE
from shared.broker.outgoing import Outgoing, PublishFailed, Refused, Returned
from shared.broker.publisher import open_publisher
from shared.database.queries import load_queries
from shared.domain.catalogue import EVENTS
from shared.envelope import Recorded

QUERIES = load_queries("services.cli", "replay.sql")
PAGE = 500
"""Most events read at once."""
BATCH = 50
"""Messages whose confirms are written down together."""
ON_THE_WAY = 10
"""Batches that are sent before the first of them is written down."""
BEATS = 10
"""Batches a second when a rate is given, so that it is kept evenly: then they are of up to a page, and each is written
down before the next."""
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
    tenants: int
    """Whose events they are: a consumer may be bound to fewer, and whoever names none gets all."""
    suppressed: dict[str, int]
    """Notification events: they tell people something, so they are sent only when they are asked for by name."""
    bytes: int

    @property
    def total(self) -> int:
        return sum(self.by_type.values())

    def to_dict(self, rate: int | None) -> dict[str, Any]:
        return {
            "events": self.total,
            "tenants": self.tenants,
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
    left_out = {row["type"] for row in rows if _is_notification(row["type"])} - asked_for
    kept = [row for row in rows if row["type"] not in left_out]
    suppressed = _by_type(row for row in rows if row["type"] in left_out)
    if not kept:
        but = f" ({sum(suppressed.values())} notification events are left out)" if suppressed else ""
        raise misunderstood(f"the range is empty: nothing in it matches{but}")
    bounds = replace(span, after=min(row["first"] for row in kept) - 1, upto=max(row["last"] for row in kept))
    if suppressed:
        types = tuple(_by_type(kept))
        bounds = replace(bounds, wanted=replace(span.wanted, types=types, categories=()))
    tenants = len({row["tenant"] for row in kept})
    return Plan(bounds, _by_type(kept), tenants, suppressed, sum(row["bytes"] for row in kept))


def _by_type(rows: Iterable[Any]) -> dict[str, int]:
    counts: Counter[str] = Counter()
    for row in rows:
        counts[row["type"]] += row["events"]
    return dict(counts)


def _is_notification(type: str) -> bool:
    return type.startswith("notification.")


async def check_queue(amqp_url: str, queue: str) -> None:
    """Raises `Ended` for a queue that is not there, or is no consumer's, and for a broker that is away."""
    if queue in _NOT_CONSUMERS:
        raise misunderstood(f"{queue} is Kithlog's own queue: a replay is for a consumer's")
    if not await _exists(amqp_url, queue):
        raise misunderstood(f"there is no queue {queue!r}: its consumer has to declare it first")


async def _exists(amqp_url: str, queue: str) -> bool:
    """Raises `Ended` for a broker that is away."""
    async with broker(amqp_url, "replay") as connection:
        try:
            async with connection.channel() as channel:
                await channel.declare_queue(queue, passive=True)
        except ChannelNotFoundEntity:
            return False
    return True


async def send(connection: Any, settings: OperatorSettings, id: UUID, advance: Callable[[int], None]) -> str:
    """Send what is left of a replay; answers its status when this ended: done, paused or cancelled.

    Raises `Ended` when somebody else is at it, or when the broker went away, with how to go on.
    """
    if not await connection.fetchval(QUERIES["take"], str(id)):
        raise wrong(f"replay {id} is being sent by another process")
    row = await connection.fetchrow(QUERIES["one"], id)
    gone = wrong(f"queue {row['queue']} is gone: once its consumer has declared it, `kithlog replay resume {id}`")
    advance(row["sent"])
    try:
        async with broker(settings.amqp_url, "replay") as opened:
            return await _pump(connection, opened, row, advance)
    except Returned:
        raise gone from None
    except Refused as error:
        raise wrong(f"{error}: make room, then `kithlog replay resume {id}`") from None
    except UNREACHABLE as error:
        if isinstance(error, OSError | PublishFailed) or type(error).__module__.startswith("aio"):
            there = True
            with suppress(Ended, *UNREACHABLE):
                # RabbitMQ 3.10 may end the connection of who publishes to a quorum queue while that is deleted.
                there = await _exists(settings.amqp_url, row["queue"])
            if not there:
                raise gone from None
            raise Ended(
                UNAVAILABLE_CODE, f"RabbitMQ went away ({error}): go on with `kithlog replay resume {id}`"
            ) from None
        raise


async def _pump(connection: Any, opened: AbstractConnection, row: Any, advance: Callable[[int], None]) -> str:
    publisher = await open_publisher(opened, "")
    id, queue, rate = row["id"], row["queue"], row["rate"]
    size, ahead = (BATCH, ON_THE_WAY - 1) if rate is None else (max(1, min(PAGE, rate // BEATS)), 0)
    size = min(size, max(1, row["room"] // 2))  # or the queue would have to be empty each time
    room = Room(await opened.channel(), queue, row["room"], f"kithlog replay resume {id}")
    clock = asyncio.get_running_loop().time
    due = clock()
    async with _Progress(connection, row, advance) as progress:
        looked = row["position"]
        while looked < row["upto"]:
            page, looked = await _read(connection, row, looked, PAGE)
            for first in range(0, max(1, len(page)), size):
                batch = page[first : first + size]
                status = await room.take(len(batch), progress.on_the_way, progress.landed)
                if status != "running":
                    return status
                publishing = publisher.publish([message(event, queue, id) for event in batch])
                end = looked if first + size >= len(page) else batch[-1].position
                status = await progress.depart(publishing, end, len(batch), ahead)
                if status != "running":
                    return status
                if rate is not None:
                    due = max(due + len(batch) / rate, clock() - 1.0)  # a broker that held us up is not flooded after
                    await asyncio.sleep(due - clock())
        status = await progress.land(0)
    return str(await connection.fetchval(QUERIES["conclude"], id)) if status == "running" else status


@dataclass(frozen=True, slots=True)
class _Flight:
    """A batch on its way."""

    confirmed: asyncio.Task[None]
    upto: int
    messages: int


class _Progress:
    """Batches on their way, in order; what is confirmed of them is written down."""

    def __init__(self, connection: Any, row: Any, advance: Callable[[int], None]) -> None:
        self._connection, self._advance = connection, advance
        self._id, self._position = row["id"], row["position"]
        self._flights: deque[_Flight] = deque()

    async def __aenter__(self) -> _Progress:
        return self

    async def __aexit__(self, *_: object) -> None:
        """Whatever ended it: what is confirmed by now is written down, if PostgreSQL lets it be."""
        if self._flights and _is_confirmed(self._flights[0]):
            with suppress(Exception):  # what ended it is what is to be told
                await self._write_down()
        for flight in self._flights:
            flight.confirmed.cancel()
        await asyncio.gather(*(flight.confirmed for flight in self._flights), return_exceptions=True)

    def on_the_way(self) -> int:
        """Messages that were sent, and are not confirmed."""
        return sum(flight.messages for flight in self._flights if not flight.confirmed.done())

    async def landed(self) -> str:
        """Write down all that is on its way, once it is confirmed. Answers the replay's status. Raises as `land`."""
        if self._flights:
            return await self.land(0)
        return str((await self._connection.fetchrow(QUERIES["one"], self._id))["status"])

    async def depart(self, publishing: Coroutine[Any, Any, None], upto: int, messages: int, room: int) -> str:
        """Send one more, and see that no more than `room` are left unwritten. Answers the replay's status."""
        self._flights.append(_Flight(asyncio.create_task(publishing), upto, messages))
        status = await self.land(room)
        if status != "running":
            await self.land(0)
        return status

    async def land(self, room: int) -> str:
        """Write down what is confirmed, until no more than `room` batches are left. Answers the replay's status.

        Raises `PublishFailed`, and `Ended` when somebody else moved the replay.
        """
        status = "running"
        while len(self._flights) > room:
            await self._flights[0].confirmed
            status = await self._write_down()
        return status

    async def _write_down(self) -> str:
        """The first batch on its way, which is confirmed, and those behind it that are, too."""
        landed = list(takewhile(_is_confirmed, self._flights))
        messages, upto = sum(flight.messages for flight in landed), landed[-1].upto
        status = await self._connection.fetchval(QUERIES["move"], self._id, self._position, upto, messages)
        if status is None:
            raise wrong(f"replay {self._id} was moved by another process")
        self._position = upto
        for _ in landed:
            self._flights.popleft()
        self._advance(messages)
        return str(status)


def _is_confirmed(flight: _Flight) -> bool:
    return flight.confirmed.done() and not flight.confirmed.cancelled() and flight.confirmed.exception() is None


async def _read(connection: Any, row: Any, after: int, limit: int) -> tuple[list[Recorded[bytes]], int]:
    """The next events that match, and how far was looked."""
    upto = min(row["upto"], after + _WINDOW)
    span = Span.from_json(row["wanted"], after, upto)
    events = [Recorded(*each) for each in await connection.fetch(QUERIES["page"], *span.arguments(), limit)]
    return events, events[-1].position if len(events) == limit else upto


def message(event: Recorded[bytes], queue: str, id: UUID) -> Outgoing:
    """The event as the relay sends it, with the headers `replay` (true), `replay-id`, and its own `routing-key`."""
    sent = Outgoing.of(event)
    ours: dict[str, FieldValue] = {"replay": True, "replay-id": str(id), "routing-key": sent.routing_key}
    return replace(sent, routing_key=queue, headers={**sent.headers, **ours})
