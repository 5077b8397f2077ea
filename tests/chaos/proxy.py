"""A way to a server that can be made bad: refuse, cut, cut after some bytes, delay, or go silent (half-open)."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Self
from urllib.parse import urlsplit, urlunsplit


class Proxy:
    """Forwards TCP connections to the server of a URL; use `url` in its place."""

    def __init__(self, server_url: str) -> None:
        self._target = urlsplit(server_url)
        self._server: asyncio.Server | None = None
        self._port = 0
        self._tasks: set[asyncio.Task[None]] = set()
        self._writers: set[asyncio.StreamWriter] = set()
        self._loud = asyncio.Event()
        self._loud.set()
        self.delay = 0.0
        """Seconds by which every piece is held back."""
        self.allowance: int | None = None
        """Bytes that each new connection may carry, one way, before it is cut in the middle."""

    @property
    def url(self) -> str:
        user = self._target.netloc.rpartition("@")[0]
        return urlunsplit(self._target._replace(netloc=f"{user}@127.0.0.1:{self._port}"))

    @property
    def carries(self) -> bool:
        """Whether anybody is connected by it."""
        return bool(self._writers)

    @property
    def server_port(self) -> int | None:
        """Of the server that it leads to."""
        return self._target.port

    async def __aenter__(self) -> Self:
        await self.accept()
        return self

    async def __aexit__(self, *_: object) -> None:
        self.refuse()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def accept(self) -> None:
        """Let connections in; on the same port each time."""
        if self._server is None:
            self._server = await asyncio.start_server(self._connect, "127.0.0.1", self._port)
            self._port = self._server.sockets[0].getsockname()[1]

    def refuse(self) -> None:
        """Cut all connections and let no more in."""
        if self._server is not None:
            self._server.close()
            self._server = None
        self.cut()

    def cut(self) -> None:
        """Reset all connections there are."""
        for writer in self._writers:
            writer.transport.abort()
        self._writers.clear()

    def turn_to(self, server_url: str) -> None:
        """Lead to another server from now on, as a virtual address does that moves with a role."""
        self._target = urlsplit(server_url)
        self.cut()

    def silence(self) -> None:
        """Carry nothing any more, either way, on connections old and new; they stay open."""
        self._loud.clear()

    def heal(self) -> None:
        """Carry everything again."""
        self._loud.set()
        self.delay, self.allowance = 0.0, None

    def _connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(self._forward(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        back: asyncio.StreamWriter | None = None
        try:
            there, back = await asyncio.open_connection(self._target.hostname, self._target.port)
            self._writers.add(back)
            await asyncio.gather(self._onward(reader, back), self._pump(there, writer, self.allowance))
        except OSError:
            pass
        finally:
            for each in (writer, back):
                if each is not None:
                    each.transport.abort()
                    self._writers.discard(each)

    async def _onward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """What the client says to the server."""
        await self._pump(reader, writer, self.allowance)

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, left: int | None) -> None:
        """`left`: bytes after which it is cut."""
        while data := await reader.read(64 * 1024):
            await self._loud.wait()
            if self.delay:
                await asyncio.sleep(self.delay)
            if left is not None:
                data, left = data[:left], left - len(data)
            with suppress(RuntimeError):  # closed by the other direction meanwhile
                writer.write(data)
                await writer.drain()
            if left is not None and left <= 0:
                raise ConnectionResetError
        # One side has ended: so has the connection, for none of the protocols here goes on half closed.
        raise ConnectionResetError
