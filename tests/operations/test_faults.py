"""What is wrong with an input is said in words that tell what would be right."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from pydantic import BaseModel, ValidationError

from deploy.contract.documents import committed
from shared.domain import contact, interview, relationship, seeker
from shared.faults import in_words
from shared.operations.problems import faults_of

INSTANT = "it must be a day and time with its offset from UTC, such as 2026-03-01T10:00:00Z"
DAY = "it must be a day, without a time, such as 2026-03-01"


@pytest.mark.parametrize(
    ("model", "field", "value", "told"),
    [
        (interview.Plan, "contact_ids", [], "it must not be empty"),
        (interview.Plan, "about", "", "it must not be empty"),
        (interview.Plan, "about", 7, "it must be a text"),
        (interview.Plan, "about", "x" * 201, "it must have no more than 200 characters"),
        (interview.Plan, "contact_ids", ["x"], "it must be a UUID, such as 0191e3c4-5d2b-7f6a-8c1d-2e3f4a5b6c7d"),
        (interview.Plan, "purpose", "fun", "it must be 'field', 'company', 'role' or 'field_of_study'"),
        (interview.SendRequest, "minutes", 90, "it must be 60 or less"),
        (interview.SendRequest, "minutes", "long", "it must be a whole number, such as 30"),
        (interview.TakeNotes, "points", "one", "it must be a list, in square brackets"),
        (interview.TakeNotes, "points", ["one"] * 101, "it must hold no more than 100"),
        (interview.Schedule, "starts_at", "2026-03-01T10:00", INSTANT),
        (interview.Schedule, "starts_at", "1800-01-01T10:00:00Z", "it must be 1900-01-01T00:00:00Z or more"),
        (relationship.Snooze, "until", "2026-03-01", INSTANT),
        (relationship.Pause, "until", "2026-03-01T10:00:00Z", DAY),
        (relationship.Pause, "until", "2026-02-30", f"{DAY}: day value is outside expected range"),
        (relationship.AskReferral, "what", "whom", "there is no such field; there are about, channel, contact_id,"),
        (seeker.ChangePreferences, "digest", "often", "it must be true or false"),
        (seeker.ChangePreferences, "quiet_hours", "21:00-08:00", "it must be an object, in braces"),
        (seeker.ChangePreferences, "muted", ["Thanks"], "it must be at most 64 small letters, digits, _ and ., a "),
        (seeker.Register, "country", "Germany", "it must be the two capital letters of a country (ISO 3166-1), such"),
        (seeker.Register, "email", "ana", "it must be an e-mail address, such as ana@example.org"),
        (seeker.Register, "locale", "pt_PT", "it must be a language tag (BCP 47), such as pt-PT"),
        (seeker.Register, "time_zone", "Lisbon", "'Lisbon' is not a time zone of the IANA database, such as Europe/"),
        (seeker.OpenCalendarFeed, "secret_sha256", "x", "it must be the SHA-256 of the secret, in 64 hexadecimal digi"),
        (contact.Add, "phone", "none", "it must be a telephone number of 3 to 40 characters, such as +351 21"),
        (contact.Add, "profile_url", "ana", "it must be an address, such as https://example.org/ana"),
        (interview.Lapse, "why", "silence", "there is no such field; there are none"),
    ],
)
def test_a_fault_tells_what_would_be_right(model: type[BaseModel], field: str, value: object, told: str) -> None:
    """Given a field that is not what it is to be, then the sentence about it tells what that is."""
    with pytest.raises(ValidationError) as wrong:
        model.model_validate_json(json.dumps({field: value}))
    [detail] = [each.detail for each in faults_of(wrong.value, model) if str(each.field).startswith(f"/{field}")]
    assert detail.startswith(told)


def test_a_list_of_items_at_fault_is_not_said_to_be_empty() -> None:
    """Given a list of one item, in which something is wrong, then that alone is told."""
    times = {"times": [{"from": "2026-03-01T10:00:00Z"}], "time_zone": "Europe/Lisbon"}
    with pytest.raises(ValidationError) as wrong:
        interview.OfferTimes.model_validate_json(json.dumps(times))
    told = {each.field: each.code for each in faults_of(wrong.value, interview.OfferTimes)}
    assert told == {"/times/0/starts_at": "missing", "/times/0/from": "extra_forbidden"}


def patterns(schema: Any) -> Iterator[str]:
    """Those in a document, but for those of times of day, of headers and of the keys of objects."""
    if isinstance(schema, dict):
        if isinstance(schema.get("pattern"), str) and schema.get("in") != "header":
            yield schema["pattern"]
        below = [value for key, value in schema.items() if schema.get("in") != "header" or key != "schema"]
    else:
        below = schema if isinstance(schema, list) else []
    for each in below:
        yield from patterns(each)


@pytest.mark.parametrize("service", ["command", "projector"])
def test_every_pattern_is_put_into_words(service: str) -> None:
    """Given the texts that a service takes, then whoever sends one of another form is told in words how it looks."""
    document = committed()[f"openapi.{service}.json"]
    silent = {
        pattern
        for pattern in patterns({key: document[key] for key in ("paths", "components")})
        if in_words({"type": "string_pattern_mismatch", "ctx": {"pattern": pattern}, "msg": ""}) == ""
    }
    assert {pattern for pattern in silent if ":[0-5]" not in pattern} == set()
