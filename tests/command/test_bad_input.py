"""Whatever is sent: a 4xx problem document that names the field, never a 500, and nothing is written."""

from __future__ import annotations

import gzip
import json
import re
import tracemalloc
from collections.abc import AsyncIterator, Iterator
from typing import Any
from uuid import UUID

import asyncpg
import httpx
import pytest
import pytest_asyncio

from services.command.app import create_app
from services.command.http import BY_PATH
from shared.domain.catalogue import CATEGORIES
from shared.domain.kernel import Command
from tests.command.client import REGISTER, SEEKER, Client, message, problem
from tests.command.conftest import FixedClock, serving, settings

ID = UUID(int=0xBAD)
LIMIT = 256 * 1024

BODIES: dict[str, tuple[bytes, int, str, str | None]] = {
    "not JSON": (b"{", 400, "malformed_json", None),
    "cut off": (b'{"name": "An', 400, "malformed_json", None),
    "trailing comma": (b'{"name": "Ana",}', 400, "malformed_json", None),
    "two values": (b"{} {}", 400, "malformed_json", None),
    "not UTF-8": (b'{"name": "\xff\xfe"}', 400, "malformed_json", None),
    "half a surrogate pair": (b'{"name": "\\ud800"}', 400, "malformed_json", "/name"),
    "half a pair within": (b'{"a": [{"b": "x\\udc00y"}]}', 400, "malformed_json", "/a/0/b"),
    "half a pair as key": (b'{"\\ud800": 1}', 400, "malformed_json", "/?"),
    "NUL": (b'{"name": "a\\u0000b"}', 400, "malformed_json", "/name"),
    "raw NUL": (b'{"name": "a\x00b"}', 400, "malformed_json", None),
    "NUL as key": (b'{"\\u0000": 1}', 400, "malformed_json", "/\0"),
    "NaN": (b'{"name": NaN}', 400, "malformed_json", None),
    "Infinity": (b'{"name": -Infinity}', 400, "malformed_json", None),
    "a key twice": (b'{"name": "Ana", "name": "Ben"}', 400, "malformed_json", "/name"),
    "a key twice within": (b'{"a": {"b": 1, "b": 1}}', 400, "malformed_json", "/a/b"),
    "a key twice, then no JSON": (b'{"name": "Ana", "name": "Ben"} x', 400, "malformed_json", None),
    "a key twice, then nested": (b'[{"name": "Ana", "name": "Ben"}, ' + b"[" * 5_000, 400, "malformed_json", None),
    "deep lists": (b"[" * 100_000, 400, "malformed_json", None),
    "deep objects": (b'{"a":' * 50_000 + b"1" + b"}" * 50_000, 413, "body_too_large", None),
    "nested too deeply": (b'{"a":' * 5_000 + b"1" + b"}" * 5_000, 400, "malformed_json", None),
    "a number of 5000 digits": (b'{"name": ' + b"9" * 5_000 + b"}", 400, "malformed_json", None),
    "a megabyte": (b'{"name": "' + b"x" * 1_000_000 + b'"}', 413, "body_too_large", None),
    "a list": (b"[]", 422, "invalid_input", ""),
    "a string": (b'"x"', 422, "invalid_input", ""),
    "null": (b"null", 422, "invalid_input", ""),
    "a number": (b"1e999", 422, "invalid_input", ""),
    "an unknown field": (b'{"no_such_field": 1}', 422, "invalid_input", "/no_such_field"),
    "a key too long": (b'{"' + b"x" * 200_000 + b'": 1}', 400, "malformed_json", "/" + "x" * 198 + "…"),
    "a long unknown field": (b'{"' + b"x" * 1_000 + b'": 1}', 422, "invalid_input", "/" + "x" * 198 + "…"),
}

WRONG: list[Any] = [
    {"a": 1}, [["a"]], "", " ", "x" * 100_000, 10**400, -1, 1.5, True, None, "2026-01-01T10:00:00",
    "9999-12-31T23:59:59Z", "9999-12-31T23:59:59-23:59", "0001-01-01T00:00:00+23:59", "2026-01-01T10:00:00+99:00",
    "not-a-uuid", "../../etc/passwd", "Europe/Nowhere", "\u202e", "\U0001f600", [None], [[]], [{}], {"": {}},
]  # fmt: skip

PYTHONIC = re.compile(r"Input should|String should|Tuple|Datetime|timezone info|Extra inputs|Value error|\bpattern\b")
"""Words that tell of what Python would have, not of what would be right."""

NEVER = {"If-Match": "7"}
"""No stream of these tests has that version: a value that happens to be right is refused, too."""


pytestmark = pytest.mark.asyncio(loop_scope="module")
"""One service for all: as nothing is ever written, no test can know what another sent."""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def client(module_database_url: str) -> AsyncIterator[Client]:
    app = create_app(settings(module_database_url), clock=FixedClock())
    async with serving(app) as client:
        await app.state.gate.opened()
        yield client


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def database(module_database_url: str) -> AsyncIterator[asyncpg.Connection[asyncpg.Record]]:
    connection = await asyncpg.connect(module_database_url)
    yield connection
    await connection.close()


@pytest_asyncio.fixture(autouse=True, loop_scope="module")
async def nothing_written(database: asyncpg.Connection[asyncpg.Record]) -> AsyncIterator[None]:
    yield
    assert await database.fetchval("SELECT count(*) FROM log.event") == 0
    assert await database.fetchval("SELECT count(*) FROM log.receipt") == 0


def commands_of(category: str) -> Iterator[tuple[str, type[Command]]]:
    for (plural, verb), command in BY_PATH.items():
        if command.category == category:
            yield f"{plural}/{verb}", command


@pytest.mark.parametrize("category", CATEGORIES)
async def test_every_path_refuses_what_no_command_takes(client: Client, category: str) -> None:
    """Given each body that is wrong for any command, then each path says what is wrong, and where."""
    for path, _ in commands_of(category):
        for what, (content, status, code, field) in BODIES.items():
            response = await client.send(path, ID, content=content)
            document = problem(response, status, code)
            if field is not None:
                named = [document.get("field"), *(fault["field"] for fault in document.get("errors", ()))]
                assert field in named, f"{path}: {what}: {document}"
            assert len(response.content) < 20_000


@pytest.mark.parametrize(
    ("length", "status", "code", "said"),
    [
        (1_000, 422, "invalid_input", "it must be at most 64 small letters"),
        (100_000, 400, "malformed_json", "this key has 100,000 characters, of at most 1,000"),
    ],
)
async def test_many_faults_below_a_long_key_are_told_within_bounds(
    client: Client, length: int, status: int, code: str, said: str
) -> None:
    """Given a thousand faults below a key, however long, then what is wrong is told behind its place, and a place that
    long is not written down for each of them."""
    settings = {"X" * length: {str(number): 0 for number in range(1_000)}}
    tracemalloc.start()
    response = await client.send("seekers/change-preferences", SEEKER, {"overrides": settings})
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    document = problem(response, status, code)
    assert document["field"].startswith("/overrides/XXX")
    assert document["detail"].startswith("/overrides/XXX")
    assert said in document["detail"]
    assert most < 20_000_000


@pytest.mark.parametrize("category", CATEGORIES)
async def test_every_field_refuses_what_it_is_not(client: Client, category: str) -> None:
    """Given each field of each command with values of any kind, and no such stream, then never more than a 4xx; where
    the value is at fault, the field is named."""
    for path, command in commands_of(category):
        for field in command.model_fields:
            for value in WRONG:
                response = await client.send(path, ID, {field: value}, headers=NEVER)
                assert 400 <= response.status_code < 500, f"{path} {field}={value!r:.80}: {response.text}"
                assert response.json()["remedy"]
                assert not PYTHONIC.search(response.text), response.text
            response = await client.send(path, ID, {field: {"no": [{"such": "value"}]}})
            document = problem(response, 422, "invalid_input")
            assert any(fault["field"].startswith(f"/{field}") for fault in document["errors"]), document


@pytest.mark.parametrize("tenant", ["UPPER", "a_b", "-a", "a" * 64, "%00", "%ff", "a%20b", "ä"])
async def test_a_tenant_is_a_name(client: Client, tenant: str) -> None:
    response = await client.send("seekers/register", SEEKER, REGISTER, tenant=tenant)
    assert problem(response, 422, "invalid_input")["field"] == "path.tenant"


@pytest.mark.parametrize("tenant", ["", "..", "a%2Fb"])
async def test_what_is_no_part_of_a_path_is_no_tenant(client: Client, tenant: str) -> None:
    """Given a tenant with which the path is another, of more parts or fewer, then nothing is there."""
    problem(await client.send("seekers/register", SEEKER, REGISTER, tenant=tenant), 404, "unknown_path")


@pytest.mark.parametrize("id", ["1", "me", "%00", f"{SEEKER}x", f"{SEEKER}:", f":{SEEKER}", "a:b", "%ff"])
async def test_an_id_is_a_uuid(client: Client, id: str) -> None:
    assert problem(await client.send("seekers/register", id, REGISTER), 422, "invalid_input")["field"] == "path.id"


@pytest.mark.parametrize("actor", ["", "a b", "x" * 121, "<script>", "a\tb"])
async def test_an_actor_is_a_name(client: Client, actor: str) -> None:
    response = await client.send("seekers/register", SEEKER, REGISTER, headers={"X-Actor": actor})
    assert problem(response, 422, "invalid_input")["field"] == "header.X-Actor"


async def test_all_faults_are_named_at_once(client: Client) -> None:
    """Given faults in path, query and body, then one answer names them all."""
    response = await client.send("seekers/register", "me", {"name": 7}, tenant="A", query="?occurred_at=now")
    named = {fault["field"] for fault in problem(response, 422, "invalid_input")["errors"]}
    assert named == {"path.tenant", "path.id", "query.occurred_at", "/name", "/time_zone"}


async def test_the_fields_that_there_are_are_named_for_one_that_there_is_not(client: Client) -> None:
    """Given a field that is not known, of a command or of a part of it, sent by path, as a message or as a line, then
    the known ones are named, what is most like it first."""
    sent = {"days": 30, "seeker_id": str(SEEKER), "contact_id": str(ID)}
    told = "there is no such field; there are cadence_days, first_after_days, seeker_id, contact_id"
    document = problem(await client.send("relationships/start-keeping-in-touch", ID, sent), 422, "invalid_input")
    assert document["detail"] == f"/days: {told}"

    as_message = message("relationship.start_keeping_in_touch", ID, sent, number=1)
    response = await client.http.post("/v1/commands", json=as_message)
    assert problem(response, 422, "invalid_input")["detail"] == f"/data/days: {told}"
    [outcome] = await client.bulk(json.dumps(as_message).encode())
    assert outcome["problem"]["detail"] == f"/data/days: {told}"

    quiet = {"quiet_hours": {"start": "21:00", "end": "08:00", "form": "21:00"}}
    document = problem(await client.send("seekers/change-preferences", SEEKER, quiet), 422, "invalid_input")
    assert document["detail"] == "/quiet_hours/form: there is no such field; there are start, end"


async def test_a_body_of_another_kind_is_refused(client: Client) -> None:
    response = await client.send("seekers/register", SEEKER, REGISTER, headers={"Content-Type": "text/xml"})
    assert problem(response, 415, "not_json")["field"] == "header.Content-Type"


async def test_a_body_in_a_content_coding_is_refused(client: Client) -> None:
    """Given a compressed body, of a command or an import, then it is refused before anything of it is read."""
    compressed = gzip.compress(json.dumps(MESSAGE).encode())
    for path in (f"/v1/tenants/acme/seekers/{SEEKER}/register", "/v1/commands", "/v1/commands/bulk"):
        response = await client.http.post(path, content=compressed, headers={"Content-Encoding": "gzip"})
        assert problem(response, 415, "encoded_body")["field"] == "header.Content-Encoding"


@pytest.mark.parametrize("path", ["/v1/commands", "/v1/commands/bulk"])
async def test_what_a_message_says_itself_is_not_taken_from_elsewhere(client: Client, path: str) -> None:
    """Given a header or a parameter that a command in a path has, then it is not passed over in silence."""
    for name, value, member in (
        ("If-Match", '"3"', "expected_version"),
        ("X-Actor", "coach:7", "actor"),
        ("Idempotency-Key", "abc", "command_id"),
    ):
        response = await client.http.post(path, json=MESSAGE, headers={name: value})
        document = problem(response, 400, "malformed_header")
        assert (document["field"], member in document["remedy"]) == (f"header.{name}", True)
    response = await client.http.post(f"{path}?occurred_at=2026-03-01T10:00:00Z", json=MESSAGE)
    assert problem(response, 422, "unknown_parameter")["field"] == "query.occurred_at"


async def test_a_chunked_body_is_not_read_beyond_the_limit(client: Client) -> None:
    """Given a body that never ends and tells no length, then it is refused once it is over the limit."""
    taken = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal taken
        while taken < 64 * LIMIT:  # an end, so that a service without a limit fails here instead of hanging
            taken += 64 * 1024
            yield b" " * 64 * 1024

    response = await client.http.post(f"/v1/tenants/acme/seekers/{SEEKER}/register", content=endless())
    problem(response, 413, "body_too_large")
    assert taken <= LIMIT + 128 * 1024


async def test_the_domains_refusals_write_nothing(client: Client) -> None:
    """Given commands for ids that are not there, then 404 or 409, each with what would be right."""
    response = await client.send("seekers/leave", SEEKER, {})
    problem(response, 404, "unknown_seeker")
    response = await client.send("interviews/thank", ID, {"how": "email"})
    problem(response, 404, "unknown_interview")


MESSAGE = message("seeker.register", SEEKER, REGISTER, number=1)


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"tenant": "A"}, "/tenant"), ({"id": "1"}, "/id"), ({"command_id": 7}, "/command_id"),
        ({"occurred_at": "2026-01-01T00:00:00"}, "/occurred_at"), ({"occurred_at": 1}, "/occurred_at"),
        ({"occurred_at": "9999-12-31T23:59:59-12:00"}, "/occurred_at"), ({"actor": "a b"}, "/actor"),
        ({"expected_version": -1}, "/expected_version"), ({"expected_version": 2**31}, "/expected_version"),
        ({"correlation_id": "x"}, "/correlation_id"), ({"extra": 1}, "/extra"), ({"data": None}, "/data"),
        ({"data": {**REGISTER, "name": ""}}, "/data/name"), ({"command": None}, "/command"),
    ],
)  # fmt: skip
async def test_a_messages_fields_are_checked(client: Client, change: dict[str, Any], field: str) -> None:
    """Given a message with one field at fault, then the answer names it."""
    response = await client.http.post("/v1/commands", json={**MESSAGE, **change})
    assert problem(response, 422, "invalid_input")["field"] == field


@pytest.mark.parametrize("missing", ["command", "tenant", "id", "command_id", "data"])
async def test_a_message_needs_its_fields(client: Client, missing: str) -> None:
    sent = {name: value for name, value in MESSAGE.items() if name != missing}
    document = problem(await client.http.post("/v1/commands", json=sent), 422, "invalid_input")
    assert document["field"] == f"/{missing}"


@pytest.mark.parametrize("what", BODIES)
async def test_a_message_is_parsed_as_strictly(client: Client, what: str) -> None:
    content, status, code, _ = BODIES[what]
    problem(await send_raw(client.http, content), status, code)


async def send_raw(http: httpx.AsyncClient, content: bytes) -> httpx.Response:
    return await http.post("/v1/commands", content=content)


async def test_the_same_faults_in_an_import_are_outcomes_of_their_lines(client: Client) -> None:
    """Given each bad body as a line, then each is reported with its number, and none stops those after it."""
    contents = [content for content, *_ in BODIES.values()]
    outcomes = await client.bulk(b"\n".join(contents))
    assert [outcome["line"] for outcome in outcomes] == list(range(1, len(contents) + 1))
    for outcome, (_, status, code, _) in zip(outcomes, BODIES.values(), strict=True):
        code = "line_too_long" if code == "body_too_large" else code
        assert (outcome["status"], outcome["problem"]["code"]) == (status, code), json.dumps(outcome)[:500]
