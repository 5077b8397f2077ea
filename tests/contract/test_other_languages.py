"""The contract as programs in other languages see it: a consumer in Node.js, and the standards' own validators."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import subprocess
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest.mock import patch

import asyncpg
import pytest

from deploy.contract.documents import FOLDER
from deploy.launcher.folders import cache_folder
from services.cli import replaying
from services.command.app import create_app
from shared.broker import topology
from shared.broker.connection import connect
from shared.broker.publisher import open_publisher
from shared.database.pool import open_pool
from shared.envelope import Recorded
from shared.log import Append, Log
from tests.command.client import INTERVIEW, PLAN, REQUEST, Client
from tests.command.conftest import serving, settings
from tests.command.test_restored import restore
from tests.contract.conftest import PATIENCE, an_append
from tests.contract.golden import golden
from tests.contract.nodejs import PROGRAMS, find_node, packages

REDOCLY = ("node_modules/@redocly/cli/bin/cli.js", "lint", "--format=json")
QUIET = {"NO_COLOR": "1", "REDOCLY_TELEMETRY": "off", "REDOCLY_SUPPRESS_UPDATE_NOTICE": "true"}


@dataclass(frozen=True, slots=True)
class Programs:
    """The folder with the programs in Node.js, and all that they import; `node` runs them."""

    folder: Path
    node: str


@pytest.fixture(scope="session")
def node(tmp_path_factory: pytest.TempPathFactory, machine: Mapping[str, str]) -> Programs:
    cache = cache_folder(os.environ)
    with patch.dict(os.environ, machine):
        found = find_node(cache)
        modules = packages(found, cache)
    folder = tmp_path_factory.mktemp("node")
    for file in PROGRAMS.iterdir():
        shutil.copy(file, folder)
    (folder / "node_modules").symlink_to(modules)
    return Programs(folder, found.node)


def run(programs: Programs, *command: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        (programs.node, *command),
        cwd=programs.folder,
        env=os.environ | QUIET,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def parsed_asyncapi(node: Programs, document: Path) -> dict[str, Any]:
    done = run(node, "asyncapi.mjs", document)
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


def test_asyncapis_own_parser_takes_the_document(node: Programs) -> None:
    """Given the committed document, then AsyncAPI's parser resolves and accepts all of it."""
    found = parsed_asyncapi(node, FOLDER / "asyncapi.json")

    assert found["faults"] == []
    assert found["messages"] >= len(list(FOLDER.glob("events/*.json"))) + len(list(FOLDER.glob("commands/*.json")))
    assert found["operations"] == 3


def test_asyncapis_own_parser_would_complain(node: Programs, tmp_path: Path) -> None:
    """Given a document with faults, then the parser finds each: its silence about ours says something."""

    def spoil(document: Any) -> None:
        document["operations"]["publishEvents"]["channel"]["$ref"] = "#/channels/nowhere"
        del document["info"]["title"]

    faults = parsed_asyncapi(node, spoiled(tmp_path, "asyncapi.json", spoil))["faults"]

    assert any("operations/publishEvents/channel" in fault for fault in faults), faults
    assert any("info" in fault for fault in faults), faults


def test_redocly_takes_the_openapi_documents(node: Programs) -> None:
    """Given the committed documents, then Redocly's linter finds neither errors nor warnings in any."""
    documents = sorted(FOLDER.glob("openapi.*.json"))

    done = run(node, *REDOCLY, *documents)

    assert len(documents) == 2
    assert done.returncode == 0, done.stdout
    assert done.stdout.count('"problems": []') == 2, done.stdout


def test_redocly_would_complain(node: Programs, tmp_path: Path) -> None:
    """Given a path whose parameter is not declared, then the linter finds it."""

    def spoil(document: Any) -> None:
        document["paths"]["/v1/{more}"] = document["paths"]["/v1/events"]

    done = run(node, *REDOCLY, spoiled(tmp_path, "openapi.projector.json", spoil))

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

    async def reached(self) -> list[dict[str, Any]]:
        """What it has said until it was there."""
        lines = []
        while (line := await self.line()) is not None and "reached" not in line:
            lines.append(line)
        if line is None:
            assert self._process.stderr is not None
            raise AssertionError((await self._process.stderr.read()).decode())
        return lines

    async def ended(self) -> None:
        """Let it end, which it must do well."""
        assert self._process.stdin is not None
        assert self._process.stderr is not None
        self._process.stdin.close()
        complaint = (await self._process.stderr.read()).decode()
        assert await self._process.wait() == 0, complaint


@asynccontextmanager
async def consuming(node: Programs, amqp_url: str, feed_url: str, *category: str) -> AsyncIterator[Consumer]:
    process = await asyncio.create_subprocess_exec(
        *(node.node, "consumer.mjs", amqp_url, feed_url, str(FOLDER), *category),
        cwd=node.folder,
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


async def declare(amqp_url: str) -> None:
    async with await connect(amqp_url, "test") as connection, connection.channel() as channel:
        await topology.declare(channel)


@asynccontextmanager
async def publishing(database_url: str, amqp_url: str) -> AsyncIterator[Client]:
    """A command service with its relay, and a broker on which all is declared."""
    await declare(amqp_url)
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
    node: Programs, database_url: str, amqp_url: str, feed_url: str, log: Log, append: Callable[[Sequence[Append]], Any]
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
        lines = await consumer.reached()
        await consumer.ended()

    stored = await log.read(0, 1000)
    seen = [line for line in lines if "position" in line]
    assert [(line["position"], line["id"]) for line in seen] == [(each.position, str(each.event_id)) for each in stored]
    faulty = {line["position"]: line["faults"] for line in seen if line["faults"]}
    assert all(position > before for position in faulty), faulty
    assert len(faulty) == 5, "the last five hold no payload, and are found out"
    by_feed = sum(line["via"] == "feed" for line in seen)
    assert 0 < by_feed < len(seen)


async def test_a_consumer_of_a_part_loses_none_of_it(
    node: Programs, database_url: str, amqp_url: str, feed_url: str, log: Log, append: Callable[[Sequence[Append]], Any]
) -> None:
    """Given a consumer in Node.js of interviews alone, when its short queue drops most of them and brings those that
    came last, then what was dropped is no duplicate because something after it was handled: in the end it has each
    interview event once.
    """
    types = ("interview.held", "lead.recorded")
    async with publishing(database_url, amqp_url), consuming(node, amqp_url, feed_url, "interview") as consumer:
        assert await consumer.line() == {"ready": True}
        for some in (range(100), range(100, 110)):
            await append([an_append(number, types[number % 2]) for number in some])
            await published(database_url)
            await consumer.go((await log.head()).position - 1)
            lines = await consumer.reached()
            wanted = [event.position for event in await log.read(some.start, 100) if event.category == "interview"]
            seen = [line["position"] for line in lines if "position" in line]
            assert sorted(seen) == wanted
            if not some.start:
                assert seen.index(wanted[-1]) < seen.index(wanted[0]), "the last of them came first"
                assert 0 < sum(line.get("via") == "broker" for line in lines) <= 20 < len(wanted)
        await consumer.ended()


async def replay(events: Sequence[Recorded[bytes]], amqp_url: str, *category: str) -> None:
    """To the consumer's queue, and confirmed."""
    async with await connect(amqp_url, "test") as connection:
        publisher = await open_publisher(connection, "")
        queue = f"platform.{''.join(category) or 'events'}"
        await publisher.publish([replaying.message(each, queue, each.event_id) for each in events])


@pytest.mark.parametrize("category", [(), ("interview",)], ids=["all", "a part"])
async def test_a_consumer_in_another_language_takes_what_is_replayed_to_it(
    node: Programs, database_url: str, amqp_url: str, feed_url: str, log: Log, category: Sequence[str]
) -> None:
    """Given a consumer in Node.js that has come to the log's end, when all of it is sent once more to its queue, then
    it handles what it is bound to again, and goes on where it was."""
    async with publishing(database_url, amqp_url), consuming(node, amqp_url, feed_url, *category) as consumer:
        assert await consumer.line() == {"ready": True}
        await log.append_all(
            [an_append(number, each) for number, each in enumerate(("lead.recorded", "interview.held"))]
        )
        await consumer.go(2)
        await consumer.reached()
        await replay(await log.read(0, 10), amqp_url, *category)
        await log.append_all([an_append(2)])
        await consumer.go(3)
        lines = news(await consumer.reached())
        await consumer.ended()

    expected = [{"replayed": 2}, {"position": 3}]
    if not category:
        expected.insert(0, {"replayed": 1})
    assert [{name: line[name] for name in ("replayed", "position") if name in line} for line in lines] == expected


def news(lines: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Without what was found in the history, and had been handled."""
    return [line for line in lines if not ("duplicate" in line and line["via"] == "feed")]


async def append(database_url: str, numbers: range) -> dict[int, str]:
    """The id of each event in the log then, by its position."""
    pool = await open_pool(database_url)
    async with Log.open(pool, database_url) as log:
        for outcome in await log.append_all([an_append(number) for number in numbers]):
            assert not isinstance(outcome, Exception), outcome
        ids = {event.position: str(event.event_id) for event in await log.read(0, 100)}
    await pool.close()
    return ids


@pytest.mark.parametrize("category", [(), ("interview",)], ids=["all", "a part"])
async def test_a_consumer_in_another_language_survives_a_restore(
    node: Programs, database_url: str, amqp_url: str, feed_url: str, log: Log, category: Sequence[str]
) -> None:
    """Given a consumer in Node.js that has come to position 10, when the log is restored to 6 and goes on in a later
    epoch, then it goes back to 6, and takes what has a position now that it has seen before for no duplicate. Of what
    was replayed before the restore it handles what the log still has.
    """

    await declare(amqp_url)
    async with consuming(node, amqp_url, feed_url, *category) as consumer:
        assert await consumer.line() == {"ready": True}
        async with publishing(database_url, amqp_url):
            before = await append(database_url, range(10))
            await consumer.go(10)
            first = news(await consumer.reached())
        lost = await log.read(0, 10)
        await restore(database_url, position=6, fork=True)
        owner = await asyncpg.connect(database_url)
        await owner.execute("UPDATE log.relay_cursor SET position = 6")
        await owner.close()
        async with publishing(database_url, amqp_url):
            after = await append(database_url, range(100, 103))
            await consumer.go(9)
            second = news(await consumer.reached())
            await replay([lost[5], lost[7]], amqp_url, *category)
            await append(database_url, range(103, 104))
            await consumer.go(10)
            third = news(await consumer.reached())
        await consumer.ended()

    assert [(line["position"], line["id"]) for line in first] == list(before.items())
    assert second[0] == {"restored": 6, "epoch": 2}
    assert [(line["position"], line["id"]) for line in second[1:]] == list(after.items())[6:]
    assert [after[position] == before[position] for position in range(1, 10)] == [True] * 6 + [False] * 3
    assert [line.get("replayed") or line.get("abandoned") for line in third] == [6, 8, None]
    assert ["abandoned" in line for line in third] == [False, True, False]


async def test_what_came_before_a_restore_is_not_handled_again_by_a_consumer_of_a_part(
    node: Programs, database_url: str, amqp_url: str, feed_url: str
) -> None:
    """Given a consumer in Node.js that has handled positions which it has not read the history up to, when that is what
    tells it of a restore to the first of them, then it goes back no further."""
    await declare(amqp_url)
    async with consuming(node, amqp_url, feed_url, "interview") as consumer:
        assert await consumer.line() == {"ready": True}
        async with publishing(database_url, amqp_url):
            await append(database_url, range(10))
            await consumer.go(10)
            await consumer.reached()
            await append(database_url, range(10, 12))
            await published(database_url)
        await restore(database_url, position=11, fork=True)
        await consumer.go(12)
        lines = await consumer.reached()
        await consumer.ended()

    assert [line["position"] for line in lines if "position" in line] == [11, 12]
    assert news(lines)[2:] == [{"restored": 11, "epoch": 2}]
