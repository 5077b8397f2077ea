"""Imports: NDJSON in, NDJSON of outcomes out."""

from __future__ import annotations

import asyncio
import codecs
import json
from collections.abc import AsyncIterator, MutableMapping, Sequence
from typing import Any
from uuid import UUID

import asyncpg
import pytest
from starlette.requests import ClientDisconnect

from services.command.app import create_app
from services.command.bulk import BulkEndpoint, lines
from services.command.executor import Executor
from services.command.metrics import CommandMetrics
from services.command.spool import IN_MEMORY, Spool
from shared.command_envelope import CommandEnvelope
from shared.log import Appended, LogUnavailable
from shared.operations import turns
from shared.operations.gate import Gate
from tests.broker.events import PATIENCE
from tests.command.client import ADD, ANA, INTERVIEW, PLAN, REGISTER, SEEKER, Client, message, ndjson, problem
from tests.command.conftest import NOW, FixedClock, serving, settings
from tests.contract.conftest import served
from tests.turns import with_turns

SCOPE: dict[str, Any] = {"type": "http", "headers": [], "query_string": b"", "correlation_id": UUID(int=1)}
VERDICT = {"field": "Geology", "verdict": "pursue"}


def register(number: int) -> dict[str, Any]:
    return message("seeker.register", UUID(int=number), REGISTER, number=number)


async def test_lines_are_executed_in_order_and_reported_by_number(client: Client) -> None:
    """Given lines that build on one another, one unreadable, one refused and some blank, then each that holds
    something is reported in order, and those after a bad one are executed."""
    verdict = message("seeker.record_verdict", UUID(int=1), VERDICT, number=3)
    too_early = message("seeker.record_verdict", UUID(int=2), VERDICT, number=4)
    content = ndjson(register(1)) + b"\n" + b"{oops\r\n" + ndjson(too_early, verdict) + b"  \n" + ndjson(register(1))
    outcomes = await client.bulk(content.rstrip(b"\n"))
    told = [(each["line"], each["status"], each.get("problem", {}).get("code")) for each in outcomes]
    assert told == [
        (1, 200, None), (3, 400, "malformed_json"), (4, 404, "unknown_seeker"), (5, 200, None), (7, 200, None),
    ]  # fmt: skip
    assert [each["answer"]["repeated"] for each in outcomes if "answer" in each] == [False, False, True]
    assert outcomes[2]["problem"]["command_id"] == str(UUID(int=4))


async def test_an_unreadable_line_is_told_by_its_id(client: Client) -> None:
    """Given lines at fault whose command and id can be read, then outcomes name the id, and metrics count the command;
    of what there is no command, or that is no JSON, only as much as there is. A message alone is told so, too."""
    wrong = [
        message("contact.add", UUID(int=1), {"name": 1}, number=1),
        message("contact.greet", UUID(int=1), {}, number=2),
        {**message("contact.add", UUID(int=1), {}, number=3), "command_id": "three"},
    ]
    outcomes = await client.bulk(ndjson(*wrong) + b"{")
    assert [each["status"] for each in outcomes] == [422, 422, 422, 400]
    ids = [each["problem"].get("command_id") for each in outcomes]
    assert ids == [str(UUID(int=1)), str(UUID(int=2)), None, None]
    response = await client.http.post("/v1/commands", json=wrong[0])
    assert problem(response, 422, "invalid_input")["command_id"] == str(UUID(int=1))
    page = (await client.http.get("/metrics")).text
    for channel, command, outcome, count in (
        ("bulk", "contact.add", "invalid_input", 2),
        ("bulk", "unknown", "unknown_command", 1),
        ("bulk", "unknown", "malformed_json", 1),
        ("http", "contact.add", "invalid_input", 1),
    ):
        line = f'kithlog_commands_total{{channel="{channel}",command="{command}",outcome="{outcome}"}} {count}.0'
        assert line in page, page


async def test_an_import_may_be_sent_again(client: Client, database: asyncpg.Connection[asyncpg.Record]) -> None:
    """Given an import of several chunks, when it is sent twice, then the answers are the same and all is there once."""
    content = ndjson(*(register(number) for number in range(1, 1201)))
    first, again = await client.bulk(content), await client.bulk(content)
    assert {each["status"] for each in first} == {200}
    assert [each["answer"]["events"] for each in again] == [each["answer"]["events"] for each in first]
    assert [each["answer"]["position"] for each in first] == list(range(1, 1201))
    assert await database.fetchval("SELECT count(*) FROM log.event") == 1200


async def test_a_correlation_id_is_the_imports_unless_a_line_has_one(
    client: Client, database: asyncpg.Connection[asyncpg.Record]
) -> None:
    content = ndjson(register(1), {**register(2), "correlation_id": str(UUID(int=9))})
    await client.http.post("/v1/commands/bulk", content=content, headers={"X-Correlation-Id": str(UUID(int=8))})
    rows = await database.fetch("SELECT correlation_id FROM log.event ORDER BY position")
    assert [row[0] for row in rows] == [UUID(int=8), UUID(int=9)]


async def test_nothing_comes_of_nothing(client: Client) -> None:
    assert await client.bulk(b"") == await client.bulk(b"\n\n") == []


class FailingLog:
    """Executes some chunks, then loses the log."""

    def __init__(self, chunks: int) -> None:
        self.left, self.calls = chunks, 0

    async def execute_all(self, envelopes: Sequence[CommandEnvelope]) -> list[Appended | Exception]:
        self.calls += 1
        if not self.left:
            raise LogUnavailable("gone")
        self.left -= 1
        return [Appended(each.command_id, 1, (), NOW) for each in envelopes]


async def test_when_the_log_is_lost_the_rest_is_reported(database_url: str) -> None:
    """Given a log that goes away in the second chunk, then the first is reported as written, all after it as 503 with
    their command ids, and the log is not asked again."""
    app = create_app(settings(database_url, bulk_chunk=10), clock=FixedClock())
    log = FailingLog(chunks=1)
    async with serving(app) as client:
        await app.state.gate.opened()
        app.state.gate.open(log)
        outcomes = await client.bulk(ndjson(*(register(number) for number in range(1, 36))))
    assert [each["status"] for each in outcomes] == [200] * 10 + [503] * 25
    assert {each["problem"]["code"] for each in outcomes[10:]} == {"log_unavailable"}
    assert [each["problem"]["command_id"] for each in outcomes[10:]] == [str(UUID(int=n)) for n in range(11, 36)]
    assert log.calls == 2


class Bug:
    """Breaks on one command; alone, that one meets with `alone`."""

    def __init__(self, alone: Exception) -> None:
        self._alone = alone

    async def execute_all(self, envelopes: Sequence[CommandEnvelope]) -> list[Appended | Exception]:
        if any(each.command_id == UUID(int=3) for each in envelopes):
            raise self._alone if len(envelopes) == 1 else ZeroDivisionError
        return [Appended(each.command_id, 1, (), NOW) for each in envelopes]


@pytest.mark.parametrize(
    ("alone", "statuses"),
    [(ZeroDivisionError(), [200, 200, 500, 200, 200]), (LogUnavailable("gone"), [200, 200, 503, 503, 503])],
    ids=["a bug", "and an outage"],
)
async def test_what_nobody_foresaw_strikes_one_line(database_url: str, alone: Exception, statuses: list[int]) -> None:
    """Given one command that brings an error to light, then its line is a 500 that tells nothing of the inside; and
    where the log goes away while lines are executed one by one for that, those before are told as they are."""
    app = create_app(settings(database_url), clock=FixedClock())
    async with serving(app) as client:
        await app.state.gate.opened()
        app.state.gate.open(Bug(alone))
        outcomes = await client.bulk(ndjson(*(register(number) for number in range(1, 6))))
    assert [each["status"] for each in outcomes] == statuses
    assert "ZeroDivision" not in json.dumps(outcomes)


async def test_before_the_log_is_there_an_import_is_not_begun(database_url: str) -> None:
    app = create_app(settings(database_url), clock=FixedClock())
    async with serving(app) as client:
        await app.state.gate.opened()
        app.state.gate.close()
        problem(await client.http.post("/v1/commands/bulk", content=ndjson(register(1))), 503, "starting")


async def test_the_answer_never_waits_for_its_reader(database_url: str) -> None:
    """Given a caller that reads nothing before it has sent everything, when the outcomes are more than any buffer
    holds, then it can send everything all the same, and gets every outcome."""
    gate, count = Gate[Executor](), 20_000
    endpoint = BulkEndpoint(gate, CommandMetrics(), settings(database_url))
    gate.open(FailingLog(chunks=count))  # type: ignore[arg-type]  # accepts all of them
    sent_all = asyncio.Event()
    parts = [ndjson(*(register(number) for number in range(first, first + 500))) for first in range(1, count, 500)]
    received: list[bytes] = []

    async def receive() -> MutableMapping[str, Any]:
        await asyncio.sleep(0)
        body = parts.pop(0) if parts else b""
        if not parts:
            sent_all.set()
        return {"type": "http.request", "body": body, "more_body": bool(parts)}

    async def send(sent: MutableMapping[str, Any]) -> None:
        if sent["type"] == "http.response.body":
            await sent_all.wait()
            received.append(sent["body"])

    await endpoint(SCOPE, receive, send)
    outcomes = b"".join(received).splitlines()
    assert len(b"".join(received)) > IN_MEMORY
    assert [json.loads(outcome)["line"] for outcome in outcomes] == list(range(1, count + 1))


async def test_a_report_of_many_lines_leaves_others_their_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    """Given a chunk of many lines, then other tasks have their turns while what came of each is written down."""
    monkeypatch.setattr(turns, "AT_ONCE", 1)
    gate, reported = Gate[Executor](), list[bytes]()
    endpoint = BulkEndpoint(gate, CommandMetrics(), settings("postgresql://nobody@127.0.0.1:1/none", bulk_chunk=100))
    gate.open(FailingLog(chunks=1))  # type: ignore[arg-type]

    async def receive() -> MutableMapping[str, Any]:
        return {"type": "http.request", "body": ndjson(*(register(number) for number in range(1, 101)))}

    async def send(sent: MutableMapping[str, Any]) -> None:
        reported.append(sent.get("body", b""))

    _, had = await with_turns(endpoint(SCOPE, receive, send))
    assert len(b"".join(reported).splitlines()) == 100
    assert had >= 100


class SlowLog(FailingLog):
    """Takes its time for each chunk: until it is `let_go`."""

    def __init__(self, chunks: int) -> None:
        super().__init__(chunks)
        self.begun, self.let_go = asyncio.Semaphore(0), asyncio.Semaphore(0)
        self.at_once = self.most_at_once = 0

    async def execute_all(self, envelopes: Sequence[CommandEnvelope]) -> list[Appended | Exception]:
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        self.begun.release()
        await self.let_go.acquire()
        self.at_once -= 1
        return await super().execute_all(envelopes)


async def test_the_next_chunk_is_read_while_one_is_executed(database_url: str) -> None:
    """Given a chunk that is being executed, then the next one's lines are taken meanwhile, and no more than these; but
    they are executed one after the other, and each is reported once it is, whatever is still to come."""
    gate, log = Gate[Executor](), SlowLog(chunks=9)
    endpoint = BulkEndpoint(gate, CommandMetrics(), settings(database_url, bulk_chunk=10))
    gate.open(log)  # type: ignore[arg-type]
    parts = [ndjson(*(register(number) for number in range(first, first + 10))) for first in (1, 11, 21)]
    taken, end = asyncio.Semaphore(0), asyncio.Event()
    reported: asyncio.Queue[bytes] = asyncio.Queue()

    async def receive() -> MutableMapping[str, Any]:
        taken.release()
        if not parts:
            await end.wait()
            return {"type": "http.request"}
        return {"type": "http.request", "body": parts.pop(0), "more_body": True}

    async def send(sent: MutableMapping[str, Any]) -> None:
        if sent.get("body"):
            reported.put_nowait(sent["body"])

    answering = asyncio.create_task(endpoint(SCOPE, receive, send))
    await log.begun.acquire()
    for _ in range(2):
        await taken.acquire()
    assert len(parts) == 1
    for chunk in range(2):
        log.let_go.release()
        outcomes = (await reported.get()).splitlines()
        assert [json.loads(outcome)["line"] for outcome in outcomes] == list(range(1 + chunk * 10, 11 + chunk * 10))
        await log.begun.acquire()
    log.let_go.release()
    end.set()
    await answering
    assert (log.calls, log.most_at_once) == (3, 1)


async def test_a_caller_that_goes_away_keeps_what_was_written(database_url: str) -> None:
    """Given a caller that breaks off within the third chunk, then two chunks were executed and the answer is not
    ended as if it were complete."""
    gate, log = Gate[Executor](), FailingLog(chunks=9)
    endpoint = BulkEndpoint(gate, CommandMetrics(), settings(database_url, bulk_chunk=10))
    gate.open(log)  # type: ignore[arg-type]
    messages: list[MutableMapping[str, Any]] = [
        {"type": "http.request", "body": ndjson(*(register(n) for n in range(1, 26))), "more_body": True},
        {"type": "http.disconnect"},
    ]
    ends: list[bool] = []

    async def receive() -> MutableMapping[str, Any]:
        return messages.pop(0)

    async def send(sent: MutableMapping[str, Any]) -> None:
        ends.append(sent["type"] == "http.response.body" and not sent["more_body"])

    with pytest.raises(ClientDisconnect):
        await endpoint(SCOPE, receive, send)
    assert log.calls == 2
    assert not any(ends)


@pytest.mark.parametrize("size", [1, 2, 3, 7, 1000])
async def test_lines_do_not_depend_on_how_they_come(size: int) -> None:
    """Given a body in parts of any size, then its lines are the same; one that is too long costs no memory and
    leaves its number."""
    body = b"one\ntwo\n\n" + b"x" * 50 + b"\nfive\n" + b"y" * 11 + b"\nseven"

    def parts() -> Sequence[MutableMapping[str, Any]]:
        cut = [body[at : at + size] for at in range(0, len(body), size)]
        return [
            {"type": "http.request", "body": part, "more_body": number < len(cut)}
            for number, part in enumerate(cut, start=1)
        ]

    waiting = list(parts())

    async def receive() -> MutableMapping[str, Any]:
        return waiting.pop(0)

    assert [line async for line in lines(receive, longest=10)] == [
        b"one", b"two", b"", None, b"five", None, b"seven",
    ]  # fmt: skip


async def test_a_spool_gives_back_what_it_was_given() -> None:
    """Given a reader that comes late and one that keeps up, then both get all of it in order."""
    written = [bytes([number % 256]) * 3000 for number in range(1000)]

    async def collect(parts: AsyncIterator[bytes]) -> bytes:
        return b"".join([part async for part in parts])

    with Spool() as spool:
        reading = asyncio.create_task(collect(spool.read()))
        for number, part in enumerate(written):
            spool.write(part)
            if number % 400 == 0:
                await asyncio.sleep(0)
        spool.finish()
        assert await reading == b"".join(written)


IMPORT = b"POST /v1/commands/bulk HTTP/1.1\r\nHost: command\r\nConnection: close\r\nContent-Length: %d\r\n%s\r\n"


@pytest.mark.parametrize(
    ("asks", "hears"),
    [(b"Expect: 100-continue\r\n", b"HTTP/1.1 100 Continue"), (b"", b"HTTP/1.1 200 OK")],
    ids=["asks whether to send", "waits for an answer"],
)
async def test_a_caller_that_sends_when_it_has_heard_something_hears_it(
    database_url: str, asks: bytes, hears: bytes
) -> None:
    """Given a caller that sends the lines only when it was told to go on, or when the answer has begun, then it is, and
    gets the outcomes."""
    app = create_app(settings(database_url), clock=FixedClock())
    async with served(app) as url, asyncio.timeout(PATIENCE):
        await app.state.gate.opened()
        reader, writer = await asyncio.open_connection("127.0.0.1", int(url.rpartition(":")[2]))
        content = ndjson(register(1), register(2))
        writer.write(IMPORT % (len(content), asks))
        assert await reader.readuntil(b"\r\n") == hears + b"\r\n"
        writer.write(content)
        answer = await reader.read()
        writer.close()
    assert answer.count(b'"status":200') == 2
    assert (b"HTTP/1.1 200 OK" in answer) == bool(asks)


async def test_a_byte_order_mark_is_passed_over(client: Client) -> None:
    mark = codecs.BOM_UTF8
    response = await client.send("seekers/register", SEEKER, content=mark + json.dumps(REGISTER).encode())
    assert response.status_code == 201
    added = message("contact.add", ANA, ADD, number=2)
    response = await client.http.post("/v1/commands", content=mark + json.dumps(added).encode())
    assert response.status_code == 201
    [planned] = await client.bulk(mark + ndjson(message("interview.plan", INTERVIEW, PLAN, number=3)))
    assert planned["status"] == 200
