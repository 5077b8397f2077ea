"""Any request that the OpenAPI document allows, and many that it does not: never a fault of the service's."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from typing import Any, cast
from uuid import UUID

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from services.command.app import create_app
from shared.domain.identity import relationship_id
from tests.command import conftest
from tests.command.client import ANA, INTERVIEW, PLAN, REQUEST, SEEKER, Client

LEAD, PROGRAMME = UUID(int=0x1EAD), UUID(int=0xBB)
KNOWN = {
    "seekers": SEEKER,
    "contacts": ANA,
    "interviews": INTERVIEW,
    "relationships": relationship_id(SEEKER, ANA),
    "leads": LEAD,
    "programmes": PROGRAMME,
    "notifications": UUID(int=0),
}
"""Streams that are there, so that commands do not all end with what is not."""
WHOSE = {"seeker_id": str(SEEKER), "contact_id": str(ANA), "contact_ids": [str(ANA)], "interview_id": str(INTERVIEW)}
SCHEMA = schemathesis.openapi.from_dict(
    create_app(conftest.settings("postgresql://nobody@127.0.0.1:1/nothing")).openapi()
)
OPERATIONS = {
    operation.path: operation
    for operation in (cast(Any, result).ok() for result in SCHEMA.get_all_operations())
    if operation.path.startswith("/v1/")
}
CHECKS = [status_code_conformance, content_type_conformance, response_schema_conformance]


@schemathesis.serializer("application/x-ndjson")
def as_lines(context: Any, value: Any) -> bytes:
    """A body of lines is whatever it is."""
    return value if isinstance(value, bytes) else str(value).encode("utf-8", "surrogatepass")


class Desk:
    """A service that plain functions can ask."""

    def __init__(self, runner: asyncio.Runner, client: Client) -> None:
        self._runner, self._client = runner, client

    def ask(self, case: schemathesis.Case[Any]) -> httpx.Response:
        asked = case.as_transport_kwargs()
        request: dict[str, Any] = {
            name: asked[name] for name in ("method", "url", "params", "headers", "json") if name in asked
        }
        if isinstance(asked.get("data"), bytes):
            request["content"] = asked["data"]
        return self._runner.run(self._client.http.request(**request))

    def tell(self, what: str, id: UUID, body: dict[str, Any]) -> None:
        answer = self._runner.run(self._client.send(what, id, body, tenant="tenant"))
        assert answer.is_success, answer.text


@pytest.fixture(scope="module")
def desk(infra: Any, migrated_template: str) -> Iterator[Desk]:
    url = infra.postgres.create_database("any_command", template=migrated_template)
    with asyncio.Runner() as runner:
        app = create_app(conftest.settings(url), clock=conftest.FixedClock())
        serving = conftest.serving(app)
        client = runner.run(serving.__aenter__())
        try:
            runner.run(app.state.gate.opened())
            desk = Desk(runner, client)
            begin(desk)
            yield desk
        finally:
            runner.run(serving.__aexit__(None, None, None))
    infra.postgres.drop_database("any_command")


def begin(desk: Desk) -> None:
    """A seeker who has asked a contact, and a programme with nobody in it."""
    desk.tell("seekers/register", SEEKER, {"name": "Mona Quist", "time_zone": "Europe/Lisbon"})
    desk.tell("contacts/add", ANA, {"name": "Ana Reis", "source": "alumni_network"})
    desk.tell("interviews/plan", INTERVIEW, PLAN)
    desk.tell("interviews/send-request", INTERVIEW, REQUEST)
    pair = {"seeker_id": str(SEEKER), "contact_id": str(ANA)}
    desk.tell("leads/record", LEAD, {**pair, "kind": "advice", "what": "Read more"})
    desk.tell("programmes/create", PROGRAMME, {"title": "Odyssey"})


def among_the_known(case: Any) -> None:
    """Send it to a stream that is there, about people who are, with nothing else that could be wrong."""
    case.headers, case.query = {}, {}
    category = case.path.split("/")[4] if case.path_parameters else ""
    if category in KNOWN:
        case.path_parameters = {**(case.path_parameters or {}), "tenant": "tenant", "id": str(KNOWN[category])}
    if isinstance(case.body, dict):
        case.body = {name: WHOSE.get(name, value) for name, value in case.body.items()}


@pytest.mark.parametrize("path", sorted(OPERATIONS))
def test_every_answer_is_as_documented(desk: Desk, path: str) -> None:
    """Given a request of any content, then its answer has a documented status, type and form, and never blames us."""
    operation = OPERATIONS[path]
    sound = operation.as_strategy()
    unsound = operation.as_strategy(generation_mode=schemathesis.GenerationMode.NEGATIVE)

    @settings(max_examples=6, phases=[Phase.generate], suppress_health_check=list(HealthCheck))
    @given(st.one_of(sound, sound, unsound), st.booleans())
    def law(case: schemathesis.Case[Any], known: bool) -> None:
        if known:
            among_the_known(case)
        response = desk.ask(case)
        assert response.status_code < 500, f"{json.dumps(case.as_curl_command())}: {response.text}"
        case.validate_response(response, checks=CHECKS)

    law()
