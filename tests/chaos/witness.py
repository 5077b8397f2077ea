"""``python -m tests.chaos.witness``: another service that wants every event, as a process of its own.

It does what the contract asks of consumers: its own quorum queue, bound to everything; events that it has seen are
passed over; whenever it has been away it catches up from the history feed. It writes a line for all that reached it,
and acknowledges what is written.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import signal
from contextlib import suppress
from dataclasses import dataclass
from hashlib import blake2b
from os import SEEK_END
from pathlib import Path
from typing import Any, Literal, TextIO
from uuid import UUID

import aio_pika
import httpx
import uvloop
from aio_pika.exceptions import ChannelNotFoundEntity
from pamqp.common import FieldTable

from shared.broker.connection import UNREACHABLE, connect, lost, told_as_lost
from shared.broker.topology import EVENTS

QUEUE = "chaos.witness"
PAUSE = 0.3
"""Seconds between attempts to reach what is away."""
ARGUMENTS: FieldTable = {
    "x-queue-type": "quorum",
    # Else a broker that has not noticed yet that a connection is gone hands every other message to nobody, and brings
    # them after those that follow: seen when a node of three was frozen and the next one killed.
    "x-single-active-consumer": True,
    "x-delivery-limit": 1_000_000,
}

_TAIL = 64 * 1024
"""Bytes: more than what a broker may bring again."""
_FIELDS = 5
"""Of a line that tells of an event."""
Source = Literal["broker", "feed"]


@dataclass(frozen=True, slots=True)
class Delivery:
    """One event as it reached the consumer."""

    source: Source
    queue: int
    """Which queue it came from, or would have: 1, 2, 3 …, one more each time the queue was gone and made anew."""
    position: int
    event_id: UUID
    digest: str
    """Of what it says; see `digest_of`."""


def digest_of(type: str, tenant: str, stream_id: str, version: int, time: str, data: Any) -> str:
    """Of an event as consumers see it, whoever tells of it."""
    said = json.dumps([type, tenant, stream_id, version, time, data], sort_keys=True)
    return blake2b(said.encode(), digest_size=8).hexdigest()


def read(record: Path) -> list[Delivery]:
    """All that stands in a record; a last line that is not whole was not acknowledged either."""
    if not record.exists():
        return []
    deliveries = []
    for line in record.read_text().splitlines(keepends=True):
        what, number, *event = line.split() if line.endswith("\n") else ("", "")
        if event:
            position, event_id, digest = event
            source: Source = "broker" if what == "broker" else "feed"
            deliveries.append(Delivery(source, int(number), int(position), UUID(event_id), digest))
    return deliveries


def latest(record: Path) -> int:
    """The furthest position among the last that stand in a record; 0 where there is none."""
    if not record.exists():
        return 0
    with record.open("rb") as file:
        file.seek(max(0, file.seek(0, SEEK_END) - _TAIL))
        _, *whole = [line.split() for line in file.read().splitlines(keepends=True) if line.endswith(b"\n")] or [[]]
    return max((int(line[2]) for line in whole if len(line) == _FIELDS), default=0)


class Witness:
    def __init__(self, amqp_url: str, feeds: list[str], record: Path, file: TextIO) -> None:
        """`feeds`: services that have the history feed; `record`: what was written to `file` before."""
        self._amqp_url, self._file = amqp_url, file
        self._feeds = [httpx.AsyncClient(base_url=url, timeout=5, trust_env=False) for url in feeds]
        self._last = max((each.position for each in read(record)), default=0)
        begun = [line.split() for line in record.read_text().splitlines()]
        self._queue = max((int(number) for _, number, *_ in begun), default=0)
        self._bound = ["bound", str(self._queue)] in begun
        """Whether the queue is known to have been bound for as long as it is there."""

    async def run(self) -> None:
        while True:
            with suppress(*UNREACHABLE, httpx.TransportError, TimeoutError), told_as_lost():
                await self._consume()
            await asyncio.sleep(PAUSE)

    async def _consume(self) -> None:
        """Until the connection is lost."""
        connection = await connect(self._amqp_url, "witness")
        gone = lost(connection)
        try:
            await self._declare(connection)
            # Bound before the feed is read: what the feed does not have yet will be in the queue.
            await self._catch_up()
            channel = await connection.channel()
            await channel.set_qos(prefetch_count=500)
            queue = await channel.get_queue(QUEUE, ensure=False)
            await queue.consume(self._take)
            await gone.wait()
        finally:
            with suppress(*UNREACHABLE):
                await asyncio.wait_for(connection.close(), 2)

    async def _declare(self, connection: aio_pika.abc.AbstractConnection) -> None:
        """A queue that is there may not be bound: whoever made it may have been cut off. It counts as another then."""
        with suppress(ChannelNotFoundEntity):
            async with connection.channel() as channel:
                await channel.declare_queue(QUEUE, passive=True)
            if self._bound:
                return
        self._queue, self._bound = self._queue + 1, False
        self._write("made", self._queue)
        async with connection.channel() as channel:
            await channel.declare_exchange(EVENTS, "topic", durable=True)
            queue = await channel.declare_queue(QUEUE, durable=True, arguments=ARGUMENTS)
            await queue.bind(EVENTS, "#")
        self._bound = True
        self._write("bound", self._queue)

    async def _catch_up(self) -> None:
        """Read the feed from the last event that was seen to its end."""
        while True:
            for feed in self._feeds:
                with suppress(httpx.TransportError):
                    page = await feed.get("/v1/events", params={"after": self._last, "limit": 1000})
                    if page.status_code == 200:
                        break
            else:
                await asyncio.sleep(PAUSE)
                continue
            for line in page.text.splitlines():
                self._see("feed", json.loads(line))
            self._last = max(self._last, int(page.headers["Kithlog-Position"]))
            if page.headers["Kithlog-Position"] == page.headers["Kithlog-Head"]:
                return

    async def _take(self, message: aio_pika.abc.AbstractIncomingMessage) -> None:
        self._see("broker", json.loads(message.body))
        with suppress(*UNREACHABLE):
            await message.ack()

    def _see(self, source: Source, event: dict[str, Any]) -> None:
        position = int(event["position"])
        digest = digest_of(
            event["type"], event["tenant"], event["subject"], event["streamversion"], event["time"], event["data"]
        )
        self._write(source, self._queue, position, event["id"], digest)
        self._last = max(self._last, position)

    def _write(self, *line: object) -> None:
        print(*line, file=self._file, flush=True)


async def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos.witness", description=__doc__)
    parser.add_argument("amqp_url")
    parser.add_argument("feeds", nargs="+")
    parser.add_argument("--record", type=Path, required=True)
    chosen = parser.parse_args()
    whole = "".join(line for line in _lines(chosen.record) if line.endswith("\n"))
    chosen.record.write_text(whole)
    with chosen.record.open("a") as file:
        running = asyncio.create_task(Witness(chosen.amqp_url, chosen.feeds, chosen.record, file).run())
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, running.cancel)
        with suppress(asyncio.CancelledError):
            await running


def _lines(record: Path) -> list[str]:
    return record.read_text().splitlines(keepends=True) if record.exists() else []


if __name__ == "__main__":
    uvloop.run(main())
