"""Single commands over HTTP."""

from __future__ import annotations

import json
from uuid import UUID

import asyncpg
import pytest
from structlog.testing import capture_logs

from services.command.answers import Answer
from services.command.http import BY_PATH, MESSAGE_PATH
from shared.domain.catalogue import COMMANDS
from shared.domain.identity import relationship_id
from shared.operations.problems import ProblemDocument
from tests.command.client import ADD, ANA, INTERVIEW, PLAN, REGISTER, REQUEST, SEEKER, Client, message, ndjson, problem

Connection = asyncpg.Connection


async def test_an_accepted_command_tells_what_it_wrote(client: Client) -> None:
    """Given nothing, when a seeker is registered, then the answer names position, events, version and key."""
    response = await client.send("seekers/register", SEEKER, REGISTER, headers={"Idempotency-Key": str(UUID(int=7))})
    assert response.status_code == 201
    answer = Answer.model_validate_json(response.content)
    assert (answer.position, answer.command_id, answer.repeated) == (1, UUID(int=7), False)
    [event] = answer.events
    assert (event.type, event.stream, event.version) == ("seeker.registered", f"seeker/{SEEKER}", 1)
    assert response.headers["etag"] == '"1"'
    assert response.headers["kithlog-position"] == "1"
    assert response.headers["idempotency-key"] == str(UUID(int=7))


async def test_the_etag_is_the_version_of_the_commands_own_stream(client: Client) -> None:
    """Given a planned interview, when its request takes one of the contact's places, then the ETag is the
    interview's version, and the answer names both streams."""
    await client.given_people()
    await client.send("interviews/plan", INTERVIEW, PLAN)
    response = await client.send("interviews/send-request", INTERVIEW, REQUEST)
    assert response.status_code == 200, response.text
    assert response.headers["etag"] == '"2"'
    assert {event["stream"] for event in response.json()["events"]} == {f"interview/{INTERVIEW}", f"contact/{ANA}"}


@pytest.mark.parametrize("key", [str(UUID(int=9)), "order-66", '"order-66"'])
async def test_a_repeated_key_gets_the_first_answer(client: Client, database: Connection, key: str) -> None:
    """Given an accepted command, when it comes again with its key, then the same answer, and nothing new is written."""
    headers = {"Idempotency-Key": key}
    first = await client.send("seekers/register", SEEKER, REGISTER, headers=headers)
    again = await client.send("seekers/register", SEEKER, REGISTER, headers=headers)
    assert again.status_code == first.status_code == 201
    assert again.json() == {**first.json(), "repeated": True}
    assert again.headers["etag"] == first.headers["etag"]
    assert await database.fetchval("SELECT count(*) FROM log.event") == 1


async def test_a_key_counts_within_its_tenant(client: Client) -> None:
    """Given a key that one tenant used, when another uses it, then it is a command, and event, of its own."""
    headers = {"Idempotency-Key": "1"}
    first = await client.send("seekers/register", SEEKER, REGISTER, headers=headers)
    other = await client.send("seekers/register", SEEKER, REGISTER, headers=headers, tenant="other")
    assert other.json()["repeated"] is False
    assert other.json()["events"][0]["event_id"] != first.json()["events"][0]["event_id"]


async def test_a_key_used_for_something_else_is_refused(client: Client) -> None:
    headers = {"Idempotency-Key": "k"}
    await client.send("seekers/register", SEEKER, REGISTER, headers=headers)
    response = await client.send("seekers/register", SEEKER, {**REGISTER, "name": "Other"}, headers=headers)
    assert problem(response, 422, "key_reused")["field"] == "header.Idempotency-Key"


async def test_if_match_is_judged_on_the_commands_stream(client: Client) -> None:
    """Given a stream at version 1, when a command expects 3, then 412 names both; when it expects 1, it is accepted."""
    await client.send("seekers/register", SEEKER, REGISTER)
    verdict = {"field": "Geology", "verdict": "pursue"}
    response = await client.send("seekers/record-verdict", SEEKER, verdict, headers={"If-Match": '"3"'})
    document = problem(response, 412, "wrong_version")
    assert (document["expected_version"], document["actual_version"]) == (3, 1)
    assert response.headers["etag"] == '"1"'
    for value in ('"1"', "2"):
        response = await client.send("seekers/record-verdict", SEEKER, verdict, headers={"If-Match": value})
        assert response.status_code == 200, response.text


@pytest.mark.parametrize("value", ["", "*", "abc", '"1', 'W/"1"', '"1", "2"', "-1", "1.0", "99999999999", "9999999999"])
async def test_an_unreadable_if_match_is_no_precondition(client: Client, database: Connection, value: str) -> None:
    response = await client.send("seekers/register", SEEKER, REGISTER, headers={"If-Match": value})
    assert problem(response, 400, "malformed_header")["field"] == "header.If-Match"
    assert await database.fetchval("SELECT count(*) FROM log.event") == 0


@pytest.mark.parametrize("value", ["", "x" * 201, "two words", "é", '""'])
async def test_an_unreadable_key_is_refused(client: Client, value: str) -> None:
    headers = [(b"Idempotency-Key", value.encode("latin-1")), (b"Content-Type", b"application/json")]
    path = f"/v1/tenants/acme/seekers/{SEEKER}/register"
    response = await client.http.post(path, content=json.dumps(REGISTER), headers=headers)
    if value == '""':
        assert response.status_code == 201  # two quotes are a key like any other
    else:
        assert problem(response, 400, "malformed_header")["field"] == "header.Idempotency-Key"


async def test_a_header_given_twice_is_refused(client: Client) -> None:
    """Given two expectations, then neither is picked."""
    headers = [(b"If-Match", b"1"), (b"If-Match", b"2"), (b"Content-Type", b"application/json")]
    response = await client.http.post(f"/v1/tenants/acme/seekers/{SEEKER}/register", content=b"{}", headers=headers)
    assert problem(response, 400, "malformed_header")["field"] == "header.If-Match"


@pytest.mark.parametrize(
    "written", ["2026-11-03T10:00:00%2B01:00", "2026-11-03T10:00:00+01:00", "2026-11-03T09:00:00Z"]
)
async def test_occurred_at_is_when_it_happened(client: Client, database: Connection, written: str) -> None:
    """Given last Tuesday's registration, when it is told today, also by a caller who forgot to encode the plus sign,
    then the log holds last Tuesday."""
    response = await client.send("seekers/register", SEEKER, REGISTER, query=f"?occurred_at={written}")
    assert response.status_code == 201, response.text
    assert (await database.fetchval("SELECT occurred_at FROM log.event")).isoformat() == "2026-11-03T09:00:00+00:00"


@pytest.mark.parametrize(
    "written",
    [
        "2026-11-03T10:00:00", "2026-11-03", "2026", "1793000000", "yesterday", "", "9999-12-31T23:59:59-12:00",
        "1500-01-01T00:00:00Z", "2026-02-30T00:00:00Z", "%00", "2026-11-03T10:00:00Z%00", "%ff",
    ],
)  # fmt: skip
async def test_a_time_that_can_not_be_is_refused(client: Client, database: Connection, written: str) -> None:
    """Given a naive, impossible or unreadable time, then 422 names the parameter, and nothing is written."""
    response = await client.send("seekers/register", SEEKER, REGISTER, query=f"?occurred_at={written}")
    assert problem(response, 422, "invalid_input")["field"] == "query.occurred_at"
    assert await database.fetchval("SELECT count(*) FROM log.event") == 0


async def test_the_future_is_refused_by_its_parameter(client: Client) -> None:
    """Given a refusal of the domain about the time, then `field` names where a request carries it."""
    response = await client.send("seekers/register", SEEKER, REGISTER, query="?occurred_at=2027-01-01T00:00:00Z")
    assert problem(response, 422, "in_the_future")["field"] == ("query.occurred_at")


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("?occured_at=2026-11-03T10:00:00Z", "unknown_parameter"),
        ("?x", "unknown_parameter"),
        ("?occurred_at=2026-11-03T10:00:00Z&occurred_at=2026-11-04T10:00:00Z", "repeated_parameter"),
    ],
)
async def test_a_mistyped_parameter_is_not_ignored(client: Client, query: str, code: str) -> None:
    """Given a typing error in a parameter, then it is refused: ignored, the wrong time would be kept for ever."""
    problem(await client.send("seekers/register", SEEKER, REGISTER, query=query), 422, code)


async def test_a_relationship_is_named_by_its_ends(client: Client) -> None:
    """Given a seeker and a contact, when a command names their relationship `<seeker>:<contact>`, then it is for it."""
    await client.given_people()
    body = {"seeker_id": str(SEEKER), "contact_id": str(ANA)}
    response = await client.send("relationships/connect", f"{SEEKER}:{ANA}", body)
    assert response.status_code == 201, response.text
    assert response.json()["events"][0]["stream"] == f"relationship/{relationship_id(SEEKER, ANA)}"


async def test_a_message_carries_all_in_its_body(client: Client, database: Connection) -> None:
    """Given a command message, when it is posted as AMQP would carry it, then it is executed with all it says."""
    sent = message(
        "seeker.register", SEEKER, REGISTER, number=5, actor="coach:7", occurred_at="2026-11-01T00:00:00Z",
        expected_version=0, correlation_id=str(UUID(int=6)), causation_id=str(UUID(int=8)),
    )  # fmt: skip
    response = await client.http.post("/v1/commands", json=sent)
    assert response.status_code == 201, response.text
    event = await database.fetchrow("SELECT * FROM log.event")
    assert event is not None
    assert (event["actor"], event["command_id"]) == ("coach:7", UUID(int=5))
    assert (event["correlation_id"], event["causation_id"]) == (UUID(int=6), UUID(int=8))


async def test_problems_of_messages_name_the_messages_fields(client: Client) -> None:
    """Given messages at fault, then `field` points into the message, not into a request."""

    async def refused(sent: object, status: int, code: str) -> str | None:
        field: str | None = problem(await client.http.post("/v1/commands", json=sent), status, code).get("field")
        return field

    await client.send("seekers/register", SEEKER, REGISTER)
    right = message("seeker.record_verdict", SEEKER, {"field": "Geology", "verdict": "pursue"}, number=1)
    assert await refused({**right, "command": "seeker.fly"}, 422, "unknown_command") == "/command"
    assert await refused({**right, "command": 7}, 422, "invalid_input") == "/command"
    assert await refused({**right, "data": {"field": 7, "verdict": "pursue"}}, 422, "invalid_input") == "/data/field"
    assert await refused({**right, "occurred_at": "2026-01-01T00:00:00"}, 422, "invalid_input") == "/occurred_at"
    assert await refused({**right, "expected_version": 9}, 412, "wrong_version") == "/expected_version"
    assert await refused([right], 422, "invalid_input") == ""
    plan = message("interview.plan", INTERVIEW, PLAN, number=2)
    assert await refused(plan, 404, "unknown_contact") == "/data/contact_ids"


async def test_the_correlation_id_goes_all_the_way(client: Client, database: Connection) -> None:
    """Given a caller's id, as a header or as the trace id of a traceparent, then it is returned, and in the event."""
    trace = "0af7651916cd43dd8448eb211c80319c"
    sent = [{"X-Correlation-Id": str(UUID(int=4))}, {"traceparent": f"00-{trace}-b7ad6b7169203331-01"}]
    for number, headers in enumerate(sent, start=1):
        response = await client.send("seekers/register", UUID(int=number), REGISTER, headers=headers)
        wanted = UUID(int=4) if number == 1 else UUID(trace)
        assert response.headers["x-correlation-id"] == str(wanted)
        query = "SELECT correlation_id FROM log.event WHERE position = $1"
        assert await database.fetchval(query, number) == wanted


async def test_an_unreadable_correlation_id_is_refused(client: Client) -> None:
    response = await client.send("seekers/register", SEEKER, REGISTER, headers={"X-Correlation-Id": "abc"})
    assert problem(response, 400, "malformed_header")["field"] == "header.X-Correlation-Id"


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/nowhere", 404, "unknown_path"),
        ("GET", f"/v1/tenants/acme/seekers/{SEEKER}/register", 405, "method_not_allowed"),
        ("POST", f"/v1/tenants/acme/seekers/{SEEKER}/fly", 404, "unknown_command"),
        ("POST", f"/v1/tenants/acme/dragons/{SEEKER}/register", 404, "unknown_command"),
        ("GET", "/v1/commands/bulk", 405, "method_not_allowed"),
        ("POST", "/healthz", 405, "method_not_allowed"),
    ],
)
async def test_wrong_paths_are_problem_documents_too(
    client: Client, method: str, path: str, status: int, code: str
) -> None:
    problem(await client.http.request(method, path), status, code)


async def test_a_problem_document_is_what_the_documentation_says(client: Client) -> None:
    response = await client.send("seekers/register", SEEKER, {"nmae": "x"})
    document = ProblemDocument.model_validate_json(response.content)
    assert document.type == "urn:kithlog:problem:invalid_input"
    assert {fault.field for fault in document.errors} == {"/name", "/nmae", "/time_zone"}


async def test_every_command_has_its_documented_path(client: Client) -> None:
    """Given the registry, then each command has one path, whose schema requires what the command requires."""
    document = (await client.http.get("/openapi.json")).json()
    assert len(BY_PATH) == len(COMMANDS)
    schemas = document["components"]["schemas"]
    for (category, verb), command in BY_PATH.items():
        operation = document["paths"][f"/v1/tenants/{{tenant}}/{category}/{{id}}/{verb}"]["post"]
        name = operation["requestBody"]["content"]["application/json"]["schema"]["$ref"].rpartition("/")[2]
        required = {name for name, info in command.model_fields.items() if info.is_required()}
        assert set(schemas[name].get("required", ())) == required
        assert schemas[name]["additionalProperties"] is False


async def test_commands_are_counted_by_how_they_ended(client: Client) -> None:
    """Given one accepted, one repeated, one refused and one unreadable command, then each is counted as that."""
    headers = {"Idempotency-Key": "k"}
    for _ in range(2):
        await client.send("contacts/add", ANA, ADD, headers=headers)
    await client.send("contacts/add", ANA, ADD)
    await client.send("contacts/add", ANA, {"name": 7})
    page = (await client.http.get("/metrics")).text
    for outcome in ("accepted", "repeated", "conflict", "invalid_input"):
        line = f'kithlog_commands_total{{channel="http",command="contact.add",outcome="{outcome}"}} 1.0'
        assert line in page
    assert "kithlog_append_seconds_count 1.0" in page


async def test_advice_comes_with_the_answer(client: Client) -> None:
    """Given a request that is longer than usual and impersonal, then it is accepted, with what would be better; given
    the same again, then the advice is repeated, too."""
    await client.given_people()
    await client.send("interviews/plan", INTERVIEW, PLAN)
    headers = {"Idempotency-Key": "long"}
    long = {**REQUEST, "minutes": 45}
    first = await client.send("interviews/send-request", INTERVIEW, long, headers=headers)
    assert first.status_code == 200, first.text
    advice = [(each["code"], each["field"]) for each in first.json()["advice"]]
    assert advice == [("longer_than_usual", "/minutes"), ("not_personalised", "/personalised_by")]
    again = await client.send("interviews/send-request", INTERVIEW, long, headers=headers)
    assert again.json() == {**first.json(), "repeated": True}
    [outcome] = await client.bulk(ndjson(message("interview.follow_up", INTERVIEW, {"channel": "email"}, number=1)))
    assert outcome["answer"]["advice"] == []


async def test_the_access_log_says_which_command_whose_and_why_not(client: Client) -> None:
    """Given commands by path and as messages, then a line names each, its tenant, and why it was refused, and tells
    nothing of what was sent."""
    with capture_logs() as lines:
        await client.send("seekers/register", SEEKER, REGISTER)
        await client.send("seekers/register", SEEKER, REGISTER)
        await client.send("seekers/register", SEEKER, {"name": "Mona Quist", "time_zone": "Mars/Olympus"})
        for number, content in enumerate((message("contact.add", ANA, ADD, number=1), {"command": "Mona Quist"})):
            await client.http.post(MESSAGE_PATH, json=content, headers={"X-Correlation-Id": str(UUID(int=number))})
    told = [(line.get("command"), line.get("tenant"), line.get("code")) for line in lines]
    assert told == [
        ("seeker.register", "acme", None),
        ("seeker.register", "acme", "already_exists"),
        ("seeker.register", "acme", "invalid_input"),
        ("contact.add", "acme", None),
        (None, None, "unknown_command"),
    ]
    assert "Mona" not in str(lines)
