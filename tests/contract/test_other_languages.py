"""The contract as programs in other languages see it: a consumer in Node.js, and the standards' own validators."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import re
import shutil
import subprocess
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from deploy.contract.documents import FOLDER
from deploy.launcher.folders import arriving, cache_folder, locked
from services.command.app import create_app
from shared.broker import topology
from shared.broker.connection import connect
from shared.log import Append, Log
from tests.command.client import INTERVIEW, PLAN, REQUEST, Client
from tests.command.conftest import serving, settings
from tests.contract.conftest import PATIENCE, an_append
from tests.contract.golden import golden

HERE = Path(__file__).parent / "node"
OLDEST = 20
AWAY = re.compile("ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ECONNRESET|ETIMEDOUT|ENETUNREACH|EIDLETIMEOUT")
"""What npm says when no registry can be reached."""
ENVIRONMENT = {**os.environ, "NO_COLOR": "1", "REDOCLY_TELEMETRY": "off", "REDOCLY_SUPPRESS_UPDATE_NOTICE": "true"}


def install(target: Path) -> None:
    """Install what the lock names. Skips where no registry can be reached."""
    with arriving(target) as folder:
        for name in ("package.json", "package-lock.json", ".npmrc"):
            shutil.copy(HERE / name, folder)
        done = subprocess.run(["npm", "ci"], cwd=folder, capture_output=True, text=True, check=False, timeout=300)
        if done.returncode and AWAY.search(done.stderr):
            pytest.skip(f"npm can't reach its registry: {AWAY.findall(done.stderr)[0]}")
        assert done.returncode == 0, done.stderr


@pytest.fixture(scope="session")
def node(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder to run the programs in, with all that they import."""
    if shutil.which("node") is None or shutil.which("npm") is None:
        pytest.skip("Node.js is not installed")
    version = subprocess.run(["node", "--version"], capture_output=True, text=True, check=True).stdout
    if int(version.strip("v\n").partition(".")[0]) < OLDEST:
        pytest.skip(f"Node.js {OLDEST} or later is needed, this is {version.strip()}")
    cache = cache_folder(os.environ)
    digest = hashlib.sha256((HERE / "package-lock.json").read_bytes()).hexdigest()[:16]
    installed = cache / f"contract-node-{digest}"
    with locked(cache, "contract-node"):
        if not installed.exists():
            install(installed)
    folder = tmp_path_factory.mktemp("node")
    for file in HERE.iterdir():
        shutil.copy(file, folder)
    (folder / "node_modules").symlink_to(installed / "node_modules")
    return folder


def run(folder: Path, *command: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command, cwd=folder, env=ENVIRONMENT, capture_output=True, text=True, check=False, timeout=120
    )


def parsed_asyncapi(node: Path, document: Path) -> dict[str, Any]:
    done = run(node, "node", "asyncapi.mjs", document)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def spoiled(folder: Path, file: str, spoil: Callable[[Any], object]) -> Path:
    """A copy of the contract with something wrong in one document."""
    copy = folder / "contract"
    shutil.copytree(FOLDER, copy, ignore=shutil.ignore_patterns("*.py", "__pycache__"))
    document = json.loads((copy / file).read_text())
    spoil(document)
    (copy / file).write_text(json.dumps(document))
    return copy / file


def test_asyncapis_own_parser_takes_the_document(node: Path) -> None:
    """Given the committed document, then AsyncAPI's parser resolves and accepts all of it."""
    found = parsed_asyncapi(node, FOLDER / "asyncapi.json")

    assert found["faults"] == []
    assert found["messages"] >= len(list(FOLDER.glob("events/*.json"))) + len(list(FOLDER.glob("commands/*.json")))
    assert found["operations"] == 3


def test_asyncapis_own_parser_would_complain(node: Path, tmp_path: Path) -> None:
    """Given a document with faults, then the parser finds each: its silence about ours says something."""

    def spoil(document: Any) -> None:
        document["operations"]["publishEvents"]["channel"]["$ref"] = "#/channels/nowhere"
        del document["info"]["title"]

    faults = parsed_asyncapi(node, spoiled(tmp_path, "asyncapi.json", spoil))["faults"]

    assert any("operations/publishEvents/channel" in fault for fault in faults), faults
    assert any("info" in fault for fault in faults), faults


def test_redocly_takes_the_openapi_documents(node: Path) -> None:
    """Given the committed documents, then Redocly's linter finds neither errors nor warnings in any."""
    documents = sorted(FOLDER.glob("openapi.*.json"))

    done = run(node, "npx", "--no-install", "redocly", "lint", "--format=json", *documents)

    assert len(documents) == 2
    assert done.returncode == 0, done.stdout
    assert done.stdout.count('"problems": []') == 2, done.stdout


def test_redocly_would_complain(node: Path, tmp_path: Path) -> None:
    """Given a path whose parameter is not declared, then the linter finds it."""

    def spoil(document: Any) -> None:
        document["paths"]["/v1/{more}"] = document["paths"]["/v1/events"]

    done = run(
        *(node, "npx", "--no-install", "redocly", "lint", "--format=json"),
        spoiled(tmp_path, "openapi.projector.json", spoil),
    )

    assert done.returncode == 1
    assert "path-parameters-defined" in done.stdout


class Consumer:
    """A running consumer.mjs."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def line(self) -> dict[str, Any] | None:
        assert self._process.stdout is not None
        text = await self._process.stdout.readline()
        said: dict[str, Any] | None = json.loads(text) if text else None
        return said

    async def go(self, until: int) -> None:
        """Let it consume up to a position."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{until}\n".encode())
        await self._process.stdin.drain()

    async def rest(self) -> list[dict[str, Any]]:
        """What it has said when it has ended well."""
        lines = []
        while (line := await self.line()) is not None:
            lines.append(line)
        assert self._process.stderr is not None
        complaint = (await self._process.stderr.read()).decode()
        assert await self._process.wait() == 0, complaint
        return lines


@asynccontextmanager
async def consuming(node: Path, amqp_url: str, feed_url: str) -> AsyncIterator[Consumer]:
    process = await asyncio.create_subprocess_exec(
        *("node", "consumer.mjs", amqp_url, feed_url, str(FOLDER)),
        cwd=node,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(PATIENCE):
            yield Consumer(process)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


@asynccontextmanager
async def publishing(database_url: str, amqp_url: str) -> AsyncIterator[Client]:
    """A command service with its relay, and a broker on which all is declared."""
    async with await connect(amqp_url, "test") as connection, connection.channel() as channel:
        await topology.declare(channel)
    app = create_app(settings(database_url, amqp_url=amqp_url, relay=True))
    async with serving(app) as client:
        await app.state.gate.opened()
        yield client


async def published(database_url: str) -> None:
    """Wait until the relay has nothing left to publish."""
    connection = await asyncpg.connect(database_url)
    behind = "SELECT count(*) FROM log.head h LEFT JOIN log.relay_cursor c USING (position) WHERE c.name IS NULL"
    async with asyncio.timeout(PATIENCE):
        while await connection.fetchval(behind):  # noqa: ASYNC110 - the relay gives no signal
            await asyncio.sleep(0.02)
    await connection.close()


async def conversation(client: Client) -> None:
    """What a seeker does, by commands."""
    await client.given_people()
    for what, body in (
        ("plan", PLAN),
        ("send-request", REQUEST),
        ("accept", {}),
        ("schedule", {"starts_at": "2026-12-01T10:00:00Z", "time_zone": "Europe/Lisbon", "format": "video"}),
    ):
        response = await client.send(f"interviews/{what}", INTERVIEW, body)
        assert response.is_success, response.text


async def test_a_consumer_in_another_language_reads_a_live_run(
    node: Path, database_url: str, amqp_url: str, feed_url: str, log: Log, append: Callable[[Sequence[Append]], Any]
) -> None:
    """Given a consumer in Node.js, which knows nothing but the committed documents, when its short queue drops most
    of a live run with an event of every type, then it notices, asks the feed for what it has missed, and in the end
    has every event once, each of them valid.
    """
    async with publishing(database_url, amqp_url) as client, consuming(node, amqp_url, feed_url) as consumer:
        assert await consumer.line() == {"ready": True}
        await conversation(client)
        await append([an_append(number, each.type, data=each.data) for number, each in enumerate(golden())])
        await published(database_url)
        before = (await log.head()).position
        await consumer.go(before + 5)
        await append([an_append(number) for number in range(1000, 1005)])
        lines = await consumer.rest()

    stored = await log.read(0, 1000)
    seen = [line for line in lines if "position" in line]
    assert [(line["position"], line["id"]) for line in seen] == [(each.position, str(each.event_id)) for each in stored]
    faulty = {line["position"]: line["faults"] for line in seen if line["faults"]}
    assert all(position > before for position in faulty), faulty
    assert len(faulty) == 5, "the last five hold no payload, and are found out"
    by_feed = sum(line["via"] == "feed" for line in seen)
    assert 0 < by_feed < len(seen)
