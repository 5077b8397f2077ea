"""Callers over HTTP: one keep-alive connection each, as little of their own as can be."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from time import perf_counter
from typing import cast
from urllib.parse import urlsplit


class Caller(asyncio.Protocol):
    """One request at a time on one connection."""

    def __init__(self) -> None:
        self._kept = b""
        self._answer: asyncio.Future[tuple[int, bytes]] | None = None
        self._transport: asyncio.Transport | None = None

    @classmethod
    async def connect(cls, url: str) -> Caller:
        place = urlsplit(url)
        assert place.hostname is not None
        assert place.port is not None
        _, caller = await asyncio.get_running_loop().create_connection(cls, place.hostname, place.port)
        return caller

    async def send(self, request: bytes) -> tuple[int, bytes]:
        """Status and body of the answer. Raises `ConnectionError` when the server hangs up."""
        assert self._transport is not None
        self._answer = asyncio.get_running_loop().create_future()
        self._transport.write(request)
        return await self._answer

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is no subclass of it

    def data_received(self, data: bytes) -> None:
        self._kept += data
        head, end, body = self._kept.partition(b"\r\n\r\n")
        length = head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0]
        if end and len(body) >= int(length) and self._answer is not None:
            self._kept = b""
            self._answer.set_result((int(head[9:12]), body))

    def connection_lost(self, error: Exception | None) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(ConnectionError("the server has hung up"))


def post(path: str, body: bytes, **headers: str) -> bytes:
    """The bytes of a request. `Idempotency_Key="…"` becomes a header."""
    lines = [f"POST {path} HTTP/1.1", "Host: bench", "Content-Type: application/json", f"Content-Length: {len(body)}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


async def rate(url: str, scripts: Sequence[Sequence[bytes]]) -> float:
    """Requests a second, with one caller for each script, who sends its requests in their order."""
    callers = await asyncio.gather(*(Caller.connect(url) for _ in scripts))

    async def play(caller: Caller, script: Sequence[bytes]) -> None:
        for request in script:
            status, body = await caller.send(request)
            if status >= 400:
                raise RuntimeError(f"answered {status}: {body.decode()}")

    began = perf_counter()
    await asyncio.gather(*(play(*each) for each in zip(callers, scripts, strict=True)))
    seconds = perf_counter() - began
    for caller in callers:
        caller.close()
    return sum(map(len, scripts)) / seconds
