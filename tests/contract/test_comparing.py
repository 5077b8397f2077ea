"""Changes of the contract, planted: each is caught, or passes, and is told in words."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from deploy.contract import __main__ as command
from deploy.contract.documents import committed, generated, write
from shared.codec import UPCASTERS
from shared.contract.comparing import Change, compare
from shared.contract.differences import differences
from shared.contract.json import Json
from shared.contract.reading import unreadable
from shared.domain.catalogue import EVENTS
from shared.domain.interview.events import Scheduled

EVENT = "events/interview.scheduled.v1.json"
COMMAND = "commands/interview.schedule.json"
ENVELOPE = "cloudevent.json"
BODY = ("$defs", "Schedule")
QUERIES = "openapi.projector.json"
PIPELINE = ("paths", "/v1/tenants/{tenant}/seekers/{seeker_id}/pipeline", "get")


@cache
def released() -> dict[str, Json]:
    return committed()


def changed(document: str, *place: str | int, **fields: Any) -> dict[str, Json]:
    """The released documents, with keys at a place of one of them set anew, or removed where they are set to None."""
    documents = {**released(), document: copy.deepcopy(released()[document])}
    there: Any = documents[document]
    for part in place:
        there = there[part]
    for name, value in fields.items():
        if value is None:
            del there[name]
        else:
            there[name] = value
    return documents


def without(document: str) -> dict[str, Json]:
    return {path: each for path, each in released().items() if path != document}


def properties(document: str) -> Json:
    found: Json = released()[document]["properties"]
    return found


def told(made: dict[str, Json]) -> list[Change]:
    return compare(released(), made)


TEXT: Json = {"type": "string"}
REQUIRED = ["starts_at", "time_zone", "format", "seeker_id", "contact_ids"]
FORMATS = ["in_person", "coffee", "phone", "video"]

ASYNC = "asyncapi.json"
MESSAGES = (ASYNC, "components", "messages")

BREAKING: dict[str, tuple[Callable[[], dict[str, Json]], str]] = {
    "an event's field removed": (lambda: changed(EVENT, "properties", place=None), "/place was removed"),
    "an event's field retyped": (
        lambda: changed(EVENT, "properties", minutes=TEXT),
        "/minutes was integer, is string",
    ),
    "an event's field that may be absent now": (
        lambda: changed(EVENT, required=REQUIRED[1:]),
        "/starts_at may be absent now",
    ),
    "an event's field that older events lack": (
        lambda: changed(EVENT, required=[*REQUIRED, "place"]),
        "/place must be there now",
    ),
    "a new field that older events lack": (
        lambda: changed(EVENT, required=[*REQUIRED, "room"], properties={**properties(EVENT), "room": TEXT}),
        "/room is new and must be there",
    ),
    "an event's value that readers don't know": (
        lambda: changed(EVENT, "properties", "format", enum=[*FORMATS, "hologram"]),
        "/format the value 'hologram' is new",
    ),
    "an event's value that older events have": (
        lambda: changed(EVENT, "properties", "format", enum=FORMATS[1:]),
        "/format the value 'in_person' was removed",
    ),
    "an event's longer text": (
        lambda: changed(EVENT, "properties", "place", maxLength=9_000),
        "/place maxLength was 2000, is 9000",
    ),
    "an event's form of text": (
        lambda: changed(EVENT, "properties", "starts_at", format="date"),
        "/starts_at format was 'date-time', is 'date'",
    ),
    "an earlier last day for an event": (
        lambda: changed("events/lead.recorded.v1.json", "properties", "until", **{"x-maximum": "2100-01-01"}),
        "/until x-maximum was 2200-01-01, is 2100-01-01",
    ),
    "a later first instant for a command": (
        lambda: changed(COMMAND, *BODY, "properties", "starts_at", **{"x-minimum": "2000-01-01T00:00:00Z"}),
        "/data/starts_at x-minimum was 1900-01-01T00:00:00Z, is 2000-01-01T00:00:00Z",
    ),
    "an event renamed": (
        lambda: {**without(EVENT), "events/interview.arranged.v1.json": released()[EVENT]},
        "it was removed",
    ),
    "an attribute of the envelope removed": (
        lambda: changed(ENVELOPE, "properties", actor=None),
        "/actor was removed",
    ),
    "an attribute that may be absent now": (
        lambda: changed(ENVELOPE, required=["id"]),
        "/specversion may be absent now",
    ),
    "a position that is a number": (
        lambda: changed(ENVELOPE, "properties", position={"type": "integer"}),
        "/position was string, is integer",
    ),
    "a command removed": (lambda: without(COMMAND), "it was removed"),
    "a command's new field that must be given": (
        lambda: changed(COMMAND, *BODY, required=["starts_at", "time_zone", "format", "place"]),
        "/data/place must be there now",
    ),
    "a command's field removed": (
        lambda: changed(COMMAND, *BODY, "properties", place=None),
        "/data/place was removed",
    ),
    "a command's value that is not taken any more": (
        lambda: changed(COMMAND, *BODY, "properties", "format", enum=FORMATS[:2]),
        "/data/format the value 'phone' was removed",
    ),
    "a command's tighter bound": (
        lambda: changed(COMMAND, *BODY, "properties", "minutes", maximum=60),
        "/data/minutes maximum was 240, is 60",
    ),
    "a queue's arguments": (
        lambda: changed("asyncapi.json", "channels", "commands", "x-arguments", **{"x-max-length": 5}),
        "channels/commands: x-arguments was",
    ),
    "an address": (
        lambda: changed("asyncapi.json", "channels", "events", address="{category}.{event}"),
        "channels/events: address was '{tenant}.{category}.{event}'",
    ),
    "a channel removed": (
        lambda: changed("asyncapi.json", "channels", history=None),
        "channels/history was removed",
    ),
    "a message that does not come any more": (
        lambda: changed("asyncapi.json", "channels", "events", "messages", **{"interview.held.v1": None}),
        "channels/events/messages/interview.held.v1 was removed",
    ),
    "a header removed": (
        lambda: changed("asyncapi.json", "components", "schemas", "EventHeaders", "properties", previous=None),
        "schema EventHeaders: /previous was removed",
    ),
    "a field of a reply removed": (
        lambda: changed(ASYNC, "components", "schemas", "Answer", "properties", position=None),
        "message accepted: /position was removed",
    ),
    "another reply": (
        lambda: changed(*MESSAGES, "accepted", payload={"$ref": "#/components/schemas/FaultDocument"}),
        "message accepted: /command_id was removed",
    ),
    "a message of another document": (
        lambda: changed(*MESSAGES, "interview.plan", payload={"$ref": "./commands/interview.thank.json"}),
        "message interview.plan: / was ./commands/interview.plan.json, is ./commands/interview.thank.json",
    ),
    "other headers of a message": (
        lambda: changed(*MESSAGES, "interview.held.v1", headers={"$ref": "#/components/schemas/CommandProperties"}),
        "message interview.held.v1: headers was",
    ),
    "another protocol": (
        lambda: changed(ASYNC, "servers", "broker", protocol="amqps"),
        "servers: broker was",
    ),
    "another form where a message names none": (
        lambda: changed(ASYNC, defaultContentType="text/plain"),
        "defaultContentType was 'application/json', is 'text/plain'",
    ),
    "a broker that asks who one is": (
        lambda: changed(ASYNC, "servers", "broker", security=[{"type": "userPassword"}]),
        "servers: broker was",
    ),
    "a service that asks who one is": (
        lambda: changed(QUERIES, security=[{"key": []}]),
        "GET /v1/events: security was [{}], is [{'key': []}]",
    ),
    "an operation that asks who one is": (
        lambda: changed(QUERIES, "paths", "/v1/events", "get", security=[{"key": []}]),
        "GET /v1/events: security was [{}], is [{'key': []}]",
    ),
    "a service elsewhere": (
        lambda: changed(QUERIES, servers=[{"url": "/kithlog"}]),
        "servers: / was",
    ),
    "a path removed": (
        lambda: changed(QUERIES, "paths", **{"/v1/events": None}),
        "GET /v1/events was removed",
    ),
    "a parameter removed": (
        lambda: changed(QUERIES, "paths", "/v1/events", "get", parameters=[]),
        "GET /v1/events: query parameter after was removed",
    ),
    "a parameter that must be given": (
        lambda: changed(QUERIES, "paths", "/v1/events", "get", "parameters", 0, required=True),
        "GET /v1/events: query parameter after must be given now",
    ),
    "a tighter parameter": (
        lambda: changed(QUERIES, "paths", "/v1/events", "get", "parameters", 0, "schema", minimum=1),
        "query parameter after / minimum was 0, is 1",
    ),
    "an answer's header of another form": (
        lambda: changed(
            QUERIES, "paths", "/v1/events", "get", "responses", "200", "headers", "Kithlog-Position", schema=TEXT
        ),
        "header Kithlog-Position",
    ),
    "an answer's header removed": (
        lambda: changed(QUERIES, "paths", "/v1/events", "get", "responses", "200", headers={}),
        "answer 200: header Kithlog-Position was removed",
    ),
    "an answer's form removed": (
        lambda: changed(
            QUERIES, "paths", "/v1/events", "get", "responses", "200", "content", **{"text/event-stream": None}
        ),
        "answer 200 as text/event-stream was removed",
    ),
    "a field of an answer removed": (
        lambda: changed(QUERIES, "components", "schemas", "PipelineItem", "properties", status=None),
        "/items/*/status was removed",
    ),
    "another status of success": (
        lambda: changed(QUERIES, *PIPELINE, "responses", **{"200": None, "206": {"description": ""}}),
        "answer 200 was removed",
    ),
}

HARMLESS: dict[str, Callable[[], dict[str, Json]]] = {
    "an event's further field": lambda: changed(EVENT, "properties", room=TEXT),
    "a description": lambda: changed(EVENT, description="Said better."),
    "whom a field is about": lambda: changed(EVENT, "properties", "place", **{"x-personal": "seeker"}),
    "a new event": lambda: {**released(), "events/interview.praised.v1.json": released()[EVENT]},
    "a new version of an event": lambda: {**released(), "events/interview.scheduled.v2.json": {"type": "object"}},
    "a further attribute of the envelope": lambda: changed(ENVELOPE, "properties", mood=TEXT),
    "a new command": lambda: {**released(), "commands/interview.praise.json": released()[COMMAND]},
    "a command's further field": lambda: changed(COMMAND, *BODY, "properties", room=TEXT),
    "a command's field that need not be given any more": lambda: changed(COMMAND, *BODY, required=["starts_at"]),
    "a command's new value": lambda: changed(COMMAND, *BODY, "properties", "format", enum=[*FORMATS, "hologram"]),
    "a command's wider bound": lambda: changed(COMMAND, *BODY, "properties", "minutes", maximum=600),
    "a command's later last instant": lambda: changed(
        COMMAND, *BODY, "properties", "starts_at", **{"x-maximum": "2300-01-01T00:00:00Z"}
    ),
    "a command's field that may be null, too, and be absent": lambda: changed(
        COMMAND,
        *BODY,
        required=["starts_at", "format"],
        properties={**body(), "time_zone": {"anyOf": [body()["time_zone"], {"type": "null"}]}},
    ),
    "a command's field that stands for something when it is absent now": lambda: changed(
        COMMAND,
        *BODY,
        required=["starts_at", "time_zone"],
        properties={**body(), "format": {**body()["format"], "default": "video"}},
    ),
    "a field of an answer that is never null any more": lambda: changed(
        QUERIES, "components", "schemas", "PipelineItem", "properties", next_move_says=TEXT
    ),
    "a broker that is described better": lambda: changed(ASYNC, "servers", "broker", description="Said better."),
    "a further broker": lambda: changed(ASYNC, "servers", more={"host": "more", "protocol": "amqp"}),
    "a further place of a service": lambda: changed(QUERIES, servers=[{"url": "/kithlog"}, {"url": "/"}]),
    "one may say who one is": lambda: changed(QUERIES, security=[{"key": []}, {}]),
    "a new channel": lambda: changed("asyncapi.json", "channels", more={"address": "more"}),
    "a new path": lambda: changed(QUERIES, "paths", **{"/v1/more": {"get": {"responses": {}}}}),
    "a further parameter": lambda: changed(
        QUERIES, *PIPELINE, parameters=[*parameters(), {"in": "query", "name": "more", "schema": TEXT}]
    ),
    "a further field of an answer": lambda: changed(
        QUERIES, "components", "schemas", "PipelineItem", "properties", more=TEXT
    ),
    "a refusal that comes no more": lambda: changed(QUERIES, *PIPELINE, "responses", **{"422": None}),
}


def body() -> Json:
    found: Json = released()[COMMAND]["$defs"]["Schedule"]["properties"]
    return found


def parameters() -> list[Any]:
    there: Any = released()[QUERIES]
    for part in PIPELINE:
        there = there[part]
    found: list[Any] = there["parameters"]
    return found


@pytest.mark.parametrize(("plant", "text"), BREAKING.values(), ids=BREAKING)
def test_what_breaks_somebody_is_told(plant: Callable[[], dict[str, Json]], text: str) -> None:
    """Given a change that somebody would stumble over, then it is among the breaking ones, in words, with a way out."""
    broken = [change for change in told(plant()) if change.breaking]

    assert any(text in change.text for change in broken), broken
    assert all(change.remedy for change in broken)


@pytest.mark.parametrize("plant", HARMLESS.values(), ids=HARMLESS)
def test_what_breaks_nobody_passes(plant: Callable[[], dict[str, Json]]) -> None:
    """Given a change that nobody has to notice, then none of its consequences is breaking."""
    made = plant()

    assert made != released()
    assert [change for change in told(made) if change.breaking] == []


KEY: Json = {"securitySchemes": {"key": {"type": "apiKey", "in": "header", "name": "Key"}}}
TOKEN: Json = {"securitySchemes": {"key": {"type": "http", "scheme": "bearer"}}}


@pytest.mark.parametrize(
    ("old", "new", "breaking"),
    [
        ({"security": [{"key": []}]}, {"security": []}, False),
        ({"security": [{"key": []}]}, {"security": [{"key": []}, {"token": []}]}, False),
        ({"security": [{"key": []}, {"token": []}]}, {"security": [{"key": []}]}, True),
        ({"components": KEY}, {"components": TOKEN}, True),
        ({}, {"components": KEY}, False),
    ],
)
def test_whoever_could_ask_still_can(old: Json, new: Json, breaking: bool) -> None:
    """Given other ways of proving who asks, then it breaks somebody when theirs is gone."""
    paths: Json = {"paths": {"/v1/it": {"get": {"responses": {}}}}}

    changes = compare({QUERIES: {**paths, **old}}, {QUERIES: {**paths, **new}})

    assert any(change.breaking for change in changes) is breaking


def test_a_parameter_may_come_to_stand_for_something_when_it_is_absent() -> None:
    """Given a parameter that had to be given, then it may get a default; given one that had not, then it may not."""

    def asking(**parameter: Any) -> dict[str, Json]:
        described = {"in": "query", "name": "limit", **parameter}
        return {QUERIES: {"paths": {"/v1/it": {"get": {"parameters": [described], "responses": {}}}}}}

    with_default = asking(schema={"type": "integer", "default": 30})

    needed, optional = asking(required=True, schema={"type": "integer"}), asking(schema={"type": "integer"})
    assert [change for change in compare(needed, with_default) if change.breaking] == []
    [change] = compare(optional, with_default)
    assert change.breaking
    assert "default was None, is 30" in change.text


def test_nothing_changed_is_nothing_told() -> None:
    assert told(released()) == []


NULLABLE: Json = {"anyOf": [TEXT, {"type": "null"}]}
PART: Json = {"$defs": {"Part": {"type": "object", "properties": {"text": TEXT}}}}
MINUTES: Json = {"properties": {"minutes": {"type": "integer"}}}
HALF_AN_HOUR: Json = {"properties": {"minutes": {"type": "integer", "default": 30}}}

SCHEMAS: list[tuple[str, Json, Json, bool, bool]] = [
    ("another name of a part", {"$defs": {"A": TEXT}, "$ref": "#/$defs/A"}, TEXT, False, False),
    ("one more alternative", {"anyOf": [TEXT]}, {"anyOf": [TEXT, {"type": "null"}]}, False, True),
    ("one alternative less", {"anyOf": [TEXT, {"type": "null"}]}, {"anyOf": [TEXT]}, True, False),
    (
        "alternatives in another order",
        {"anyOf": [TEXT, {"type": "null"}]},
        {"anyOf": [{"type": "null"}, TEXT]},
        False,
        False,
    ),
    ("one more demand", {"allOf": [TEXT]}, {"allOf": [TEXT, {"type": "object"}]}, True, False),
    ("a constant where any was taken", TEXT, {"type": "string", "const": "x"}, True, False),
    ("any where a constant was", {"type": "string", "const": "x"}, TEXT, False, True),
    ("a constant that became a choice", {"const": "x"}, {"enum": ["x", "y"]}, False, True),
    ("another default", {"default": 30}, {"default": 45}, True, True),
    ("a text that may be null", TEXT, NULLABLE, False, True),
    ("a text that may not be null any more", NULLABLE, TEXT, True, False),
    ("a longer text that may be null", {**TEXT, "maxLength": 5}, NULLABLE, False, True),
    ("a shorter text that may be null", TEXT, {"anyOf": [{**TEXT, "maxLength": 5}, {"type": "null"}]}, True, True),
    ("a text that is a number or null", TEXT, {"anyOf": [{"type": "integer"}, {"type": "null"}]}, True, True),
    (
        "a part that may be null",
        {**PART, "$ref": "#/$defs/Part"},
        {**PART, "anyOf": [{"$ref": "#/$defs/Part"}, {"type": "null"}]},
        False,
        True,
    ),
    ("a default for what had to be there", {**MINUTES, "required": ["minutes"]}, HALF_AN_HOUR, False, True),
    ("no default for what has to be there", HALF_AN_HOUR, {**MINUTES, "required": ["minutes"]}, True, False),
    ("a default for what could be absent", MINUTES, HALF_AN_HOUR, True, True),
    ("a further field", {"type": "object"}, {"type": "object", **MINUTES}, False, False),
    (
        "a further field where there were no others",
        {"additionalProperties": False},
        {"additionalProperties": False, **MINUTES},
        False,
        True,
    ),
    ("a later last day", {"x-maximum": "2200-01-01"}, {"x-maximum": "2300-01-01"}, False, True),
    ("a last day where none was", {}, {"x-maximum": "2200-01-01"}, True, False),
    ("a schema of another document", {"$ref": "./a.json"}, {"$ref": "./b.json"}, True, True),
    ("further fields of one kind only", {}, {"additionalProperties": TEXT}, True, False),
    ("further fields of any kind", {"additionalProperties": TEXT}, {}, False, True),
    ("items of another kind", {"items": TEXT}, {"items": {"type": "integer"}}, True, True),
    ("a bound where none was", TEXT, {"type": "string", "maxLength": 5}, True, False),
    ("a higher least", {"minimum": 1}, {"minimum": 2}, True, False),
    ("a lower least", {"minimum": 2}, {"minimum": 1}, False, True),
    ("closed to further fields", {}, {"additionalProperties": False}, True, False),
    ("open to further fields", {"additionalProperties": False}, {}, False, True),
    ("other values of a map", {"additionalProperties": TEXT}, {"additionalProperties": {"type": "null"}}, True, True),
    ("other keys of a map", {"patternProperties": {"^a": TEXT}}, {"patternProperties": {"^b": TEXT}}, True, True),
    ("several kinds in another order", {"type": ["string", "null"]}, {"type": ["null", "string"]}, False, False),
    ("a keyword that is not known here", {"multipleOf": 2}, {"multipleOf": 3}, True, True),
]


@pytest.mark.parametrize(
    ("old", "new", "narrower", "wider"), [each[1:] for each in SCHEMAS], ids=[each[0] for each in SCHEMAS]
)
def test_schemas_are_compared_from_both_sides(old: Json, new: Json, narrower: bool, wider: bool) -> None:
    """Given two schemas, then it is told whether the second takes less, or more, than the first."""
    found = differences(old, new)

    assert any(each.narrower for each in found) is narrower
    assert any(each.wider for each in found) is wider


def test_a_schema_that_contains_itself_is_compared() -> None:
    """Given a tree, when its leaves change, then that is found, and the search ends."""

    def tree(leaf: Json) -> Json:
        return {
            "$ref": "#/$defs/Tree",
            "$defs": {
                "Tree": {"type": "object", "properties": {"leaf": leaf, "below": {"items": {"$ref": "#/$defs/Tree"}}}}
            },
        }

    assert differences(tree(TEXT), tree(TEXT)) == []
    assert [each.place for each in differences(tree(TEXT), tree({"type": "integer"}))] == ["/leaf"]


def test_what_was_compared_in_part_is_compared_again_elsewhere() -> None:
    """Given a part that is an alternative at one place, where one difference is enough, then all are told elsewhere."""

    def using(name: str, kind: str) -> Json:
        part = {"$ref": f"#/$defs/{name}"}
        return {"properties": {"a": {"anyOf": [part]}, "b": part}, "$defs": {name: {"type": kind}}}

    found = differences(using("Text", "string"), using("Number", "integer"))

    assert "/b was string, is integer" in [f"{each.place} {each.text}" for each in found]


class ScheduledAnew(Scheduled):
    """A second version, in which the place must be named."""

    place: str


ScheduledAnew.type, ScheduledAnew.schema_version = "interview.scheduled", 2


def test_a_new_version_needs_an_upcaster(monkeypatch: pytest.MonkeyPatch) -> None:
    """Given a second version of an event without a way from the first, then recorded events can't be read: that is
    told. With an upcaster it passes, and the schema of the first version stays.
    """
    monkeypatch.setitem(EVENTS, "interview.scheduled", ScheduledAnew)

    [change] = unreadable(released())
    assert change.breaking
    assert change.document == EVENT
    assert "UPCASTERS" in change.remedy

    upcasters: Any = UPCASTERS
    monkeypatch.setitem(upcasters, ("interview.scheduled", 1), lambda old: {"place": "?", **old})
    made = generated(released())
    assert unreadable(released()) == []
    assert [change for change in told(made) if change.breaking] == []
    assert made[EVENT] == released()[EVENT]
    assert "events/interview.scheduled.v2.json" in made
    assert {"interview.scheduled.v1", "interview.scheduled.v2"} <= made["asyncapi.json"]["channels"]["events"][
        "messages"
    ].keys()


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Released documents of one's own; the code makes what is really released."""
    made = released()
    monkeypatch.setattr(command, "generated", lambda before: made)
    write(made, tmp_path)
    return tmp_path


def edit(file: Path, change: Callable[[Any], None]) -> None:
    document = json.loads(file.read_text())
    change(document)
    file.write_text(json.dumps(document))


def test_the_check_passes_when_nothing_changed(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main(["check"], folder) == 0
    assert "the contract holds" in capsys.readouterr().out


def test_the_check_passes_what_breaks_nobody_and_says_to_write_it_down(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Given a release without a field that the code has, then the check passes and names `make schemas`."""
    edit(folder / EVENT, lambda document: document["properties"].pop("place"))

    assert command.main(["check"], folder) == 0
    assert "make schemas" in capsys.readouterr().out


def test_the_check_fails_on_what_breaks_somebody(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Given a release with a field that the code has no more, then the check fails, says which, and what to do."""
    edit(folder / EVENT, lambda document: document["properties"].update(room=TEXT))

    assert command.main(["check"], folder) == 1
    said = capsys.readouterr().err
    assert f"{EVENT}: /room was removed" in said
    assert "UPCASTERS" in said


def test_what_breaks_somebody_is_not_written_by_the_way(folder: Path) -> None:
    """Given a breaking change, when the documents are to be written, then they stay as released, unless told so."""
    edit(folder / EVENT, lambda document: document["properties"].update(room=TEXT))
    before = (folder / EVENT).read_text()

    assert command.main(["write"], folder) == 1
    assert (folder / EVENT).read_text() == before
    assert command.main(["write", "--break"], folder) == 0
    assert committed(folder) == released()


@pytest.mark.parametrize("arguments", [[], ["chekc"], ["check", "--break"], ["write", "--force"]], ids=str)
def test_what_is_not_understood_is_refused(
    folder: Path, arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert command.main(arguments, folder) == 2
    assert "python -m deploy.contract check" in capsys.readouterr().err
