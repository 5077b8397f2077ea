"""The command service as a process of its own, killed while it writes."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from asyncio.subprocess import DEVNULL, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import UUID

import asyncpg
import httpx
import pytest

from deploy.launcher.ports import pick
from tests.command.client import REGISTER, Client, ndjson
from tests.command.test_bulk import register

COMMANDS = 400


@asynccontextmanager
async def process(database_url: str, port: int) -> AsyncIterator[Process]:
    """A service of its own that is ready, ended if it was not before."""
    environment = {
        **os.environ,
        "KITHLOG_DATABASE_URL": database_url,
        "KITHLOG_RELAY": "false",
        "KITHLOG_INTAKE": "false",
    }
    command = ["-m", "uvicorn", "--factory", "services.command.app:create_app", "--port", str(port)]
    started = await asyncio.create_subprocess_exec(
        sys.executable, *command, "--log-level", "error", env=environment, stdout=DEVNULL
    )
    try:
        while not (await ask(port, "GET", "/readyz")).startswith(b"HTTP/1.1 200"):
            assert started.returncode is None, "the service ended by itself"
            await asyncio.sleep(0.05)
        yield started
    finally:
        if started.returncode is None:
            started.terminate()
        await started.wait()


async def ask(port: int, method: str, path: str, body: bytes = b"", **headers: str) -> bytes:
    """One request on a connection of its own: all that came back, which is nothing when nobody answers."""
    lines = [f"{method} {path} HTTP/1.1", "Host: command", "Connection: close", f"Content-Length: {len(body)}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
    except ConnectionError:
        return b""
    try:
        writer.write("\r\n".join([*lines, "", ""]).encode() + body)
        return await reader.read()
    except ConnectionError:
        return b""
    finally:
        writer.close()


class Callers:
    """Many at once, each with a command of its own, remembering what they were answered."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._places = asyncio.Semaphore(50)
        self.positions: dict[int, int] = {}
        self.enough = asyncio.Event()

    async def call(self) -> None:
        await asyncio.gather(*(self._register(number) for number in range(1, COMMANDS + 1)))

    async def _register(self, number: int) -> None:
        id = str(UUID(int=number))
        async with self._places:
            answer = await ask(
                self._port,
                "POST",
                f"/v1/tenants/acme/seekers/{id}/register",
                json.dumps(REGISTER).encode(),
                Idempotency_Key=id,
            )
        head, _, body = answer.partition(b"\r\n\r\n")
        if head.startswith(b"HTTP/1.1 201"):
            self.positions[number] = json.loads(body)["position"]
            if len(self.positions) >= COMMANDS // 10:
                self.enough.set()


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
async def test_what_was_answered_is_written_once(
    database_url: str, database: asyncpg.Connection[asyncpg.Record], how: signal.Signals
) -> None:
    """Given many callers at once, when the service is killed, or told to stop, while it writes, then every command
    that was answered is in the log, and repeating all of them gives those their first answers and executes the rest;
    everything is there once."""
    port = pick()
    callers = Callers(port)
    async with process(database_url, port) as started:
        calling = asyncio.create_task(callers.call())
        await callers.enough.wait()
        started.send_signal(how)
        await calling
        await started.wait()
    first = dict(callers.positions)
    assert len(first) >= COMMANDS // 10
    assert len(first) < COMMANDS or how == signal.SIGTERM, "it was killed too late to show anything"
    written = {row["command_id"]: row["position"] for row in await database.fetch("SELECT * FROM log.event")}
    assert all(written[UUID(int=number)] == position for number, position in first.items())

    async with process(database_url, port):
        await callers.call()
    assert len(callers.positions) == COMMANDS
    assert {number: callers.positions[number] for number in first} == first
    assert await database.fetchval("SELECT count(*) FROM log.event") == COMMANDS
    assert await database.fetchval("SELECT count(DISTINCT stream_id) FROM log.event") == COMMANDS


async def test_a_caller_that_sends_all_before_it_reads_gets_its_answer(database_url: str) -> None:
    """Given a client library that reads nothing before it has sent the whole body, when it imports more than all
    buffers on the way hold, then it gets an outcome for each line."""
    port = pick()
    async with process(database_url, port), httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=60) as http:
        outcomes = await Client(http).bulk(ndjson(*(register(number) for number in range(1, 15_001))))
    assert [outcome["status"] for outcome in outcomes] == [200] * 15_000
