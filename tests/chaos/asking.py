"""Just enough of HTTP/1.1 to ask hundreds of times a second without taking the processor from those who answer."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit


@dataclass(frozen=True, slots=True)
class Response:
    status: int
    document: dict[str, Any]
    via: str = ""
    """The way that brought it."""

    @property
    def accepted(self) -> bool:
        return self.status in (200, 201)


class NotSent(Exception):
    """Nobody can have received it."""


class LeftOpen(Exception):
    """It may have been received; what became of it is not known."""


class Service:
    """One server; its connections are kept and used again."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        assert parts.hostname is not None
        assert parts.port is not None
        self._host, self._port = parts.hostname, parts.port
        self._idle: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []

    async def get(self, path: str, patience: float) -> Response:
        """As `post` does."""
        return await self._ask(f"GET {path}", {}, b"", patience)

    async def post(self, path: str, document: dict[str, Any], headers: dict[str, str], patience: float) -> Response:
        """Waits `patience` seconds for an answer. Raises `NotSent` and `LeftOpen`."""
        body = json.dumps(document).encode()
        headers = {"Content-Type": "application/json", "Content-Length": str(len(body)), **headers}
        return await self._ask(f"POST {path}", headers, body, patience)

    async def _ask(self, what: str, headers: dict[str, str], body: bytes, patience: float) -> Response:
        if self._idle:
            reader, writer = self._idle.pop()
        else:
            try:
                reader, writer = await asyncio.wait_for(asyncio.open_connection(self._host, self._port), patience)
            except (OSError, TimeoutError) as error:
                raise NotSent from error
        try:
            writer.write(_request(what, {"Host": f"{self._host}:{self._port}", **headers}) + body)
            response, goes_on = await asyncio.wait_for(_answer(reader), patience)
        except (OSError, TimeoutError, EOFError, ValueError) as error:
            writer.transport.abort()
            raise LeftOpen from error
        if goes_on:
            self._idle.append((reader, writer))
        else:
            writer.close()
        return response

    def close(self) -> None:
        for _, writer in self._idle:
            writer.close()
        self._idle.clear()


def _request(what: str, headers: dict[str, str]) -> bytes:
    lines = [f"{what} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items())]
    return "\r\n".join([*lines, "", ""]).encode()


async def _answer(reader: asyncio.StreamReader) -> tuple[Response, bool]:
    """The answer, and whether the connection may be used again. Raises for one that breaks off."""
    first, *lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    body = await reader.readexactly(int(headers["content-length"]))
    status = int(first.split()[1])
    is_json = "json" in headers.get("content-type", "")
    return Response(status, json.loads(body) if is_json else {}), headers.get("connection") != "close"
