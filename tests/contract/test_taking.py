"""What commands take is what the documents say, whichever of them one reads."""

from __future__ import annotations

import json
from typing import Any
from uuid import UUID

import httpx
import pytest
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]

from deploy.contract.documents import committed
from services.command.app import create_app
from services.command.messages import parse_message
from services.command.requests import envelope_fields
from services.command.settings import CommandSettings
from shared.codec import decode
from shared.contract.differences import differences
from shared.contract.examples import recorded_example
from shared.contract.json import Json
from shared.domain.catalogue import COMMANDS
from shared.operations.problems import ProblemError, problem_of

RELEASED = committed()
OPENAPI = RELEASED["openapi.command.json"]
UNSEEN = ["\ufeff", "\x1c", "\x1d", "\x1e", "\x1f"]
"""White space to ECMAScript or to Python, but not to pydantic."""


def message_of(command: str, **data: Any) -> Json:
    [example] = RELEASED[f"commands/{command}.json"]["examples"]
    return {**example, "data": {**example["data"], **data}}


@pytest.mark.parametrize("command", sorted(COMMANDS))
def test_both_descriptions_of_a_command_say_the_same(command: str) -> None:
    """Given a command, then its own document and OpenAPI take the same messages."""
    name = OPENAPI["paths"]["/v1/commands"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    there = {"$ref": name["discriminator"]["mapping"][command]}

    found = differences(RELEASED[f"commands/{command}.json"], there, new_root=OPENAPI)

    assert [each for each in found if each.narrower or each.wider] == []


@pytest.mark.parametrize(
    "overrides", [{"Thank You": {}}, {"thank_you": {"Due After": "3h"}}], ids=["a policy", "a setting"]
)
def test_a_key_of_another_form_is_refused_by_schema_and_service(overrides: Json) -> None:
    """Given a key that is no name, then the schema does not take it, nor does the service."""
    message = message_of("seeker.change_preferences", overrides=overrides)
    schema = Draft202012Validator(RELEASED["commands/seeker.change_preferences.json"])

    assert schema.is_valid(message_of("seeker.change_preferences"))
    assert not schema.is_valid(message)
    assert problem_of(refused(message)).status == 422


@pytest.mark.parametrize("key", ["0190a5d2-7c1e-7b3a-9f00-3f2d8c1b4a5e", "a b", "é", "", "k" * 201, "a\tb"])
def test_an_idempotency_key_is_described_as_it_is_taken(key: str) -> None:
    """Given a key, then it keeps to its schema exactly when it is taken."""
    schema = OPENAPI["components"]["parameters"]["idempotency_key"]["schema"]
    scope = {"headers": [(b"idempotency-key", key.encode())], "query_string": b"", "correlation_id": UUID(int=1)}

    try:
        envelope_fields(scope, "demo", str(UUID(int=2)))
    except ProblemError:
        taken = False
    else:
        taken = True
    assert Draft202012Validator(schema).is_valid(key) is taken


def refused(message: Json) -> Exception:
    with pytest.raises(Exception) as caught:  # noqa: PT011 - as many kinds as there are reasons
        parse_message(json.dumps(message).encode())
    return caught.value


@pytest.mark.parametrize("unseen", UNSEEN, ids=ascii)
def test_what_is_white_space_to_some_is_refused_from_all(unseen: str) -> None:
    """Given an address with a character that `\\s` means in some languages only, then a message with it is refused,
    however deep it is, and the field is named.
    """
    by_mail = message_of("seeker.register", email=f"ana@example.org{unseen}")
    resource = {"kind": "book", "title": "Grids", "url": f"https://example.org/{unseen}grid"}
    below = message_of("lead.record", resource=resource)

    assert problem_of(refused(by_mail)).field == "/data/email"
    assert problem_of(refused(below)).field == "/data/resource/url"


async def test_what_is_white_space_to_some_is_refused_over_http() -> None:
    """Given such an address in a request, then it is refused before the service has even started."""
    transport = httpx.ASGITransport(create_app(CommandSettings()), raise_app_exceptions=False)
    path = f"/v1/tenants/demo/seekers/{UUID(int=1)}/register"
    seeker = {"name": "Ana Reis", "time_zone": "Europe/Lisbon"}

    async with httpx.AsyncClient(transport=transport, base_url="http://command") as client:
        bad = await client.post(path, json={**seeker, "email": "ana@example.org\ufeff"})
        good = await client.post(path, json={**seeker, "email": "ana@example.org"})

    assert (bad.status_code, bad.json()["field"]) == (422, "/email")
    assert good.status_code == 503


def test_what_was_recorded_with_such_a_character_is_read() -> None:
    """Given an event from before, then it is read as it is."""
    data = json.dumps({"name": "Ana Reis", "email": "\ufeff@\ufeff"}).encode()

    event: Any = decode(recorded_example("seeker.details_corrected", 1, {}).holding(data)).data

    assert event.email == "\ufeff@\ufeff"
