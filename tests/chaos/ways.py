"""The ways on which a command may be sent: over HTTP, as a message, as a line of an import. Each answers likewise."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from itertools import count, cycle, zip_longest
from typing import Any, Protocol
from urllib.parse import urlencode

import aio_pika
import httpx
from aio_pika.abc import AbstractChannel, AbstractConnection, AbstractIncomingMessage

from shared.broker.connection import UNREACHABLE, connect, lost, told_as_lost
from shared.broker.topology import COMMANDS
from tests.chaos.asking import LeftOpen, NotSent, Response, Service
from tests.chaos.lives import Wish

GATHER = 0.5
"""Seconds for which an import waits for further lines."""


class Way(Protocol):
    async def ask(self, wish: Wish, patience: float) -> Response:
        """Waits `patience` seconds for an answer. Raises `NotSent` and `LeftOpen`."""
        ...

    async def close(self) -> None: ...


class WayUnheard(Protocol):
    async def hand_over(self, wish: Wish, patience: float) -> None:
        """Returns when it is safe that it will be executed. Raises `NotSent` and `LeftOpen`."""
        ...


class Documents(Protocol):
    async def of(self, wish: Wish, position: int, patience: float) -> Response:
        """The document of the wish's stream, as of that position or later. Raises `NotSent` and `LeftOpen`."""
        ...


class Http:
    """Each command by a request of its own, to one service."""

    def __init__(self, url: str) -> None:
        self._service = Service(url)

    async def ask(self, wish: Wish, patience: float) -> Response:
        query = "" if wish.at is None else f"?{urlencode({'occurred_at': wish.at.isoformat()})}"
        path = f"/v1/tenants/{wish.tenant}/{wish.path}{query}"
        expected = {} if wish.expected is None else {"If-Match": f'"{wish.expected}"'}
        headers = {"Idempotency-Key": str(wish.command_id), **expected}
        return await self._service.post(path, wish.body, headers, patience)

    async def close(self) -> None:
        self._service.close()


class Queue:
    """Each command as a message; answers come to a queue of this connection's own, which is gone with it."""

    def __init__(self, amqp_url: str) -> None:
        self._url = amqp_url
        self._connecting = asyncio.Lock()
        self._connection: AbstractConnection | None = None
        self._channel: AbstractChannel | None = None
        self._lost = asyncio.Event()
        self._replies = ""
        self._numbers = count()
        self._waiting: dict[str, asyncio.Future[Response]] = {}

    async def ask(self, wish: Wish, patience: float) -> Response:
        number = str(next(self._numbers))
        answer: asyncio.Future[Response] = asyncio.get_running_loop().create_future()
        self._waiting[number] = answer
        try:
            async with self._publishing(patience) as channel:
                await _publish(channel, wish, reply_to=self._replies, correlation_id=number)
                return await answer
        finally:
            del self._waiting[number]

    async def hand_over(self, wish: Wish, patience: float) -> None:
        """Without asking for an answer; returns when the broker has it safe. Raises `NotSent` and `LeftOpen`."""
        async with self._publishing(patience) as channel:
            await _publish(channel, wish)

    @asynccontextmanager
    async def _publishing(self, patience: float) -> AsyncIterator[AbstractChannel]:
        """Raises `NotSent`, and `LeftOpen` where the connection is lost inside, or patience."""
        channel = await self._open()
        try:
            async with asyncio.timeout(patience):
                yield channel
        except UNREACHABLE as error:
            raise LeftOpen from error

    async def _open(self) -> AbstractChannel:
        """Raises `NotSent`; all but one while that one tries to connect."""
        if self._connecting.locked():
            raise NotSent
        async with self._connecting:
            if self._channel is None or self._channel.is_closed or self._lost.is_set():
                try:
                    with told_as_lost():
                        await self.close()
                        self._connection = await connect(self._url, "clients")
                        self._lost = lost(self._connection)
                        channel = await self._connection.channel(on_return_raises=True)
                        replies = await channel.declare_queue(exclusive=True)
                        await replies.consume(self._hear, no_ack=True)
                        self._replies, self._channel = replies.name, channel
                except UNREACHABLE as error:
                    raise NotSent from error
            assert self._channel is not None
            return self._channel

    async def _hear(self, message: AbstractIncomingMessage) -> None:
        waiting = self._waiting.get(message.correlation_id or "")
        if waiting is None or waiting.done():
            return
        document = json.loads(message.body)
        status = document["status"] if "problem" in (message.content_type or "") else 200
        waiting.set_result(Response(status, document))

    async def close(self) -> None:
        if self._connection is not None:
            with suppress(*UNREACHABLE):
                await asyncio.wait_for(self._connection.close(), 2)
            self._connection = self._channel = None


async def _publish(
    channel: AbstractChannel, wish: Wish, *, reply_to: str | None = None, correlation_id: str | None = None
) -> None:
    command = aio_pika.Message(
        json.dumps(wish.message).encode(),
        content_type="application/json",
        delivery_mode=aio_pika.DeliveryMode.PERSISTENT,
        reply_to=reply_to,
        correlation_id=correlation_id,
    )
    with told_as_lost():
        await channel.default_exchange.publish(command, COMMANDS, mandatory=True)


class Imports:
    """What is asked within a moment becomes one file, sent to one service after the other."""

    def __init__(self, urls: list[str]) -> None:
        self._services = cycle([httpx.AsyncClient(base_url=url, timeout=30, trust_env=False) for url in urls])
        self._lines: list[tuple[Wish, asyncio.Future[Response]]] = []
        self._sending: set[asyncio.Task[None]] = set()

    async def ask(self, wish: Wish, patience: float) -> Response:
        answer: asyncio.Future[Response] = asyncio.get_running_loop().create_future()
        self._lines.append((wish, answer))
        if len(self._lines) == 1:
            sending = asyncio.create_task(self._send())
            self._sending.add(sending)
            sending.add_done_callback(self._sending.discard)
        try:
            return await asyncio.wait_for(answer, patience)
        except TimeoutError as error:
            raise LeftOpen from error

    async def _send(self) -> None:
        await asyncio.sleep(GATHER)
        lines, self._lines = self._lines, []
        file = "".join(json.dumps(wish.message) + "\n" for wish, _ in lines)
        outcomes: list[Response] = []
        with suppress(httpx.HTTPError, ValueError):  # an answer that breaks off is none
            answered = await next(self._services).post("/v1/commands/bulk", content=file)
            if answered.status_code == 200:
                outcomes = [_outcome(json.loads(line)) for line in answered.text.splitlines()]
            else:
                outcomes = [Response(answered.status_code, {})] * len(lines)
        for (_, answer), outcome in zip_longest(lines, outcomes[: len(lines)]):
            if not answer.done():
                answer.set_exception(LeftOpen()) if outcome is None else answer.set_result(outcome)

    async def close(self) -> None:
        for sending in self._sending:
            sending.cancel()
        await asyncio.gather(*self._sending, return_exceptions=True)


class Queries:
    """One projector is asked after the other."""

    def __init__(self, urls: list[str]) -> None:
        self._services = [Service(url) for url in urls]
        self._turns = cycle(self._services)

    async def of(self, wish: Wish, position: int, patience: float) -> Response:
        path = f"/v1/tenants/{wish.tenant}/{wish.category}s/{wish.stream_id}?min_position={position}"
        return await next(self._turns).get(path, patience)

    def close(self) -> None:
        for service in self._services:
            service.close()


def _outcome(line: dict[str, Any]) -> Response:
    return Response(line["status"], line["answer"] if line["status"] == 200 else line["problem"])
