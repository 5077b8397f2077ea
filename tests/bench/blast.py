"""What the broker can take: frames encoded beforehand, written to one socket as fast as it takes them, confirmed
many at a time."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from time import perf_counter
from typing import TypeVar
from urllib.parse import unquote, urlsplit

from pamqp import commands, frame
from pamqp.body import ContentBody
from pamqp.header import ContentHeader, ProtocolHeader

from shared.broker.outgoing import Outgoing

_CHUNK = 250
Method = TypeVar("Method")


def frames(messages: Sequence[Outgoing], exchange: str) -> list[bytes]:
    """The frames of the messages, joined by 250 messages."""
    encoded = [_frames(message, exchange) for message in messages]
    return [b"".join(encoded[first : first + _CHUNK]) for first in range(0, len(encoded), _CHUNK)]


def _frames(message: Outgoing, exchange: str) -> bytes:
    publish = commands.Basic.Publish(exchange=exchange, routing_key=message.routing_key, mandatory=True)
    return (
        frame.marshal(publish, 1)
        + frame.marshal(ContentHeader(0, len(message.body), message.properties()), 1)
        + frame.marshal(ContentBody(message.body), 1)
    )


async def blast(amqp_url: str, chunks: Sequence[bytes], messages: int) -> float:
    """Messages a second, from the first byte to the last confirm."""
    place = urlsplit(amqp_url)
    reader, writer = await asyncio.open_connection(place.hostname, place.port)
    wire = _Wire(reader)
    login = f"\0{unquote(place.username or '')}\0{unquote(place.password or '')}"
    writer.write(ProtocolHeader().marshal())
    await wire.expect(commands.Connection.Start)
    writer.write(frame.marshal(commands.Connection.StartOk({}, "PLAIN", login, "en_US"), 0))
    tune = await wire.expect(commands.Connection.Tune)
    writer.write(frame.marshal(commands.Connection.TuneOk(tune.channel_max, tune.frame_max, 0), 0))
    writer.write(frame.marshal(commands.Connection.Open(unquote(place.path[1:]) or "/"), 0))
    await wire.expect(commands.Connection.OpenOk)
    writer.write(frame.marshal(commands.Channel.Open(), 1))
    await wire.expect(commands.Channel.OpenOk)
    writer.write(frame.marshal(commands.Confirm.Select(), 1))
    await wire.expect(commands.Confirm.SelectOk)
    confirms = asyncio.create_task(wire.confirmed(messages))
    began = perf_counter()
    for chunk in chunks:
        writer.write(chunk)
        await writer.drain()
    await confirms
    seconds = perf_counter() - began
    writer.close()
    return messages / seconds


class _Wire:
    """Frames as they come."""

    def __init__(self, reader: asyncio.StreamReader) -> None:
        self._reader = reader

    async def expect(self, kind: type[Method]) -> Method:
        """The next frame, which must be of that kind."""
        start = await self._reader.readexactly(7)
        rest = await self._reader.readexactly(int.from_bytes(start[3:7], "big") + 1)
        _, _, got = frame.unmarshal(start + rest)
        if not isinstance(got, kind):
            raise RuntimeError(f"RabbitMQ answered {got!r} instead of {kind.__name__}")
        return got

    async def confirmed(self, messages: int) -> None:
        """Returns when so many messages are confirmed, one by one or many at once, in whatever order."""
        upto = 0
        single: set[int] = set()
        while upto + len(single) < messages:
            ack = await self.expect(commands.Basic.Ack)
            if ack.multiple:
                upto = max(upto, ack.delivery_tag)
                single = {tag for tag in single if tag > upto}
            elif ack.delivery_tag > upto:
                single.add(ack.delivery_tag)
