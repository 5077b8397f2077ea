"""The committed documents: complete, valid by the standards, and what the code says."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]
from jsonschema.exceptions import ValidationError  # type: ignore[import-untyped]
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT202012

from deploy.contract.documents import committed, generated, write
from services.cli.replaying import message as replayed
from shared.broker import cloudevents
from shared.broker.topology import TOPOLOGY
from shared.codec import encode
from shared.command_envelope import command_messages
from shared.contract import cloudevent_schema
from shared.contract.differences import resolved
from shared.contract.examples import recorded_example
from shared.contract.json import Json, render
from shared.domain.catalogue import COMMANDS, EVENTS
from shared.domain.kernel import Event
from shared.domain.personal import personal_fields
from tests.domain.strategies import models

RELEASED = committed()
events_and_commands = sorted(path for path in RELEASED if "/" in path)


Documents = dict[str, Json]


@pytest.fixture(scope="session")
def made() -> Documents:
    """What the code says; made once, since that takes seconds."""
    return generated(RELEASED)


@cache
def validator(path: str) -> Any:
    return Draft202012Validator(RELEASED[path], format_checker=Draft202012Validator.FORMAT_CHECKER)


def schema_of(event: type[Event]) -> str:
    return f"events/{event.type}.v{event.schema_version}.json"


def test_the_documents_are_up_to_date(made: Documents) -> None:
    """Given the code, then the committed documents are what it says; else `make schemas` writes them."""
    differing = sorted(path for path in RELEASED.keys() | made.keys() if RELEASED.get(path) != made.get(path))

    assert not differing, "run `make schemas`"


def test_making_them_again_gives_the_same_text(made: Documents, tmp_path: Any) -> None:
    """Given documents that were written, when they are written again, then no file changes."""
    assert len(write(made, tmp_path)) == len(made)
    assert write(made, tmp_path) == []
    assert {path: render(document) for path, document in committed(tmp_path).items()} == {
        path: render(document) for path, document in made.items()
    }


@pytest.fixture
def registered_backwards() -> Iterator[None]:
    """The registries as if the modules had been imported in the opposite order."""
    registries: list[dict[str, Any]] = [EVENTS, COMMANDS]
    before = [dict(registry) for registry in registries]
    for registry, entries in zip(registries, before, strict=True):
        registry.clear()
        registry.update(reversed(entries.items()))
    yield
    for registry, entries in zip(registries, before, strict=True):
        registry.clear()
        registry.update(entries)


@pytest.mark.usefixtures("registered_backwards")
def test_the_order_of_imports_does_not_show(made: Documents) -> None:
    """Given another program, which imports in another order, then the documents are the same text."""

    for path, document in generated(RELEASED).items():
        assert render(document) == render(made[path]), path


def test_every_event_and_command_has_its_document() -> None:
    """Given the registries, then each of their entries has a schema."""
    assert {schema_of(event) for event in EVENTS.values()} <= RELEASED.keys()
    assert {f"commands/{name}.json" for name in COMMANDS} == {path for path in RELEASED if path.startswith("commands/")}


@pytest.mark.parametrize("path", [*events_and_commands, cloudevent_schema.FILE])
def test_every_schema_is_valid_and_its_examples_are(path: str) -> None:
    """Given a schema, then it keeps to JSON Schema 2020-12, explains itself, and takes its own examples."""
    schema = RELEASED[path]
    Draft202012Validator.check_schema(schema)

    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert schema["title"]
    assert schema["description"]
    for example in schema.get("examples", ()):
        validator(path).validate(example)


@pytest.mark.parametrize("event", list(EVENTS.values()), ids=lambda event: event.type)
def test_the_examples_of_an_event_are_such_events(event: type[Event]) -> None:
    """Given an example, when it is read, then it is an event; the first shows every field that there is."""
    complete, *others = RELEASED[schema_of(event)]["examples"]

    for example in (complete, *others):
        event.model_validate_json(json.dumps(example))
    assert complete.keys() == event.model_fields.keys()


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_the_example_of_a_command_is_such_a_command(name: str) -> None:
    """Given an example, when it is sent, then it is understood."""
    [example] = RELEASED[f"commands/{name}.json"]["examples"]

    assert isinstance(command_messages().validate_json(json.dumps(example)).data, COMMANDS[name])


@settings(max_examples=15)
@pytest.mark.parametrize("event", list(EVENTS.values()), ids=lambda event: event.type)
@given(data=st.data())
def test_whatever_is_stored_keeps_to_its_schema(event: type[Event], data: st.DataObject) -> None:
    """Given any event, when it is stored, then its bytes keep to the committed schema, and no field is null."""
    payload = json.loads(encode(data.draw(models(event))))

    validator(schema_of(event)).validate(payload)


@pytest.mark.parametrize("event", list(EVENTS.values()), ids=lambda event: event.type)
def test_personal_fields_are_marked(event: type[Event]) -> None:
    """Given what is personal, then the schema says so, and whom it is about."""
    properties = RELEASED[schema_of(event)]["properties"]

    marked = {name: schema["x-personal"] for name, schema in properties.items() if "x-personal" in schema}
    assert marked == personal_fields(event)


def test_a_field_that_is_added_later_does_not_disturb_readers() -> None:
    """Given a reader with today's schema, when a later release sends a further field, then it is valid all the same."""
    path = "events/interview.times_offered.v1.json"
    payload = json.loads(json.dumps(RELEASED[path]["examples"][0]))
    payload["of_a_later_release"] = payload["times"][0]["of_a_later_release"] = True

    validator(path).validate(payload)


@pytest.mark.parametrize(
    ("field", "value"),
    [("minutes", "30"), ("format", "telepathy"), ("contact_ids", None), ("place", None)],
)
def test_a_schema_refuses_what_is_never_sent(field: str, value: object) -> None:
    """Given a payload with a wrong or null field, then the schema refuses it: it does say something."""
    path = "events/interview.scheduled.v1.json"
    payload = {**RELEASED[path]["examples"][0], field: value}

    with pytest.raises(ValidationError):
        validator(path).validate(payload)


def envelopes() -> Iterator[Json]:
    """CloudEvents as the relay sends them."""
    for event in EVENTS.values():
        [payload, *_] = RELEASED[schema_of(event)]["examples"]
        recorded = recorded_example(event.type, event.schema_version, payload)
        yield json.loads(cloudevents.encode(recorded)[0])


def test_every_message_keeps_to_the_envelopes_schema() -> None:
    """Given an event of each type, when it is sent, then it keeps to the schema, which describes every attribute."""
    for envelope in envelopes():
        validator(cloudevent_schema.FILE).validate(envelope)
        assert envelope.keys() == RELEASED[cloudevent_schema.FILE]["properties"].keys()
        data_schema = next(each for each in RELEASED.values() if each.get("$id") == envelope["dataschema"])
        Draft202012Validator(data_schema).validate(envelope["data"])


def test_a_category_of_a_later_release_does_not_disturb_readers() -> None:
    """Given a reader with today's schema, when a later release has a category more, then its events are valid."""
    envelope = next(envelopes())
    later = {**envelope, "category": "mentoring", "source": "/kithlog/demo/mentoring"}

    validator(cloudevent_schema.FILE).validate(later)


def parts(schema: Any) -> Iterator[Json]:
    """A schema and all schemas in it."""
    if isinstance(schema, dict):
        yield schema
    for each in schema.values() if isinstance(schema, dict) else schema if isinstance(schema, list) else ():
        yield from parts(each)


def test_instants_and_days_have_bounds() -> None:
    """Given an instant or a day, then its schema says from when to when: nothing beyond can be sent, or read."""
    bounds: dict[tuple[str, str], list[str]] = {}
    for path in events_and_commands:
        described = {key: value for key, value in RELEASED[path].items() if key != "examples"}
        for each in parts(described):
            if each.get("format") in ("date", "date-time"):
                between = each.get("x-minimum", "")[:10], each.get("x-maximum", "")[:10]
                bounds.setdefault(between, []).append(path)

    assert list(bounds) == [("1900-01-01", "2200-01-01")], bounds


def test_extreme_values_keep_to_the_envelopes_schema() -> None:
    """Given the largest position and other corners, then the message keeps to the schema, and orders as text do."""
    event = recorded_example("interview.held", 1, {})
    largest = event.holding(b"{}")
    corner = {
        "position": 2**63 - 1,
        "epoch": 2**31 - 1,
        "version": 2**31 - 1,
        "actor": 'seeker:"\\\u2028',
        "occurred_at": datetime(1900, 1, 1, tzinfo=UTC) + timedelta(microseconds=1),
        "stream_id": UUID(int=0),
    }
    for name, value in corner.items():
        object.__setattr__(largest, name, value)
    first, last = (json.loads(cloudevents.encode(each)[0]) for each in (event, largest))

    validator(cloudevent_schema.FILE).validate(last)
    assert first["sequence"] < last["sequence"]


def test_the_headers_are_those_that_are_sent() -> None:
    """Given a message, then its headers keep to the AsyncAPI document, which describes each of them."""
    described = RELEASED["asyncapi.json"]["components"]["schemas"]["EventHeaders"]
    sent = cloudevents.headers(recorded_example("interview.held", 1, {}))

    Draft202012Validator(described).validate(sent)
    assert set(described["required"]) == sent.keys()


def test_the_headers_of_a_replay_are_described_too() -> None:
    """Given a message that an operator sends once more, then each of its headers is in the document."""
    described = RELEASED["asyncapi.json"]["components"]["schemas"]["EventHeaders"]
    again = replayed(recorded_example("interview.held", 1, {}), "their.queue", UUID(int=1)).headers

    Draft202012Validator(described).validate(again)
    assert again.keys() == described["properties"].keys()


@cache
def everywhere() -> Any:
    """All documents, so that one can refer to another as they do: by its path."""
    return Registry().with_resources(
        (f"http://contract/{path}", Resource.from_contents(document, default_specification=DRAFT202012))
        for path, document in RELEASED.items()
    )


@pytest.mark.parametrize("name", sorted(RELEASED["asyncapi.json"]["components"]["messages"]))
def test_every_example_of_a_message_keeps_to_its_schemas(name: str) -> None:
    """Given a message of the AsyncAPI document, then its example's payload and headers keep to what they refer to, in
    whichever document; and an event without its payload does not.
    """
    for example in RELEASED["asyncapi.json"]["components"]["messages"][name]["examples"]:
        for part in example.keys() & {"payload", "headers"}:
            place = f"http://contract/asyncapi.json#/components/messages/{name}/{part}"
            keeps = Draft202012Validator(
                {"$ref": place}, registry=everywhere(), format_checker=Draft202012Validator.FORMAT_CHECKER
            )
            keeps.validate(example[part])
            assert not keeps.is_valid({})


def test_asyncapi_shows_the_queues_as_they_are_declared() -> None:
    """Given the topology, then the document names the exchange and the public queues with their arguments."""
    channels = RELEASED["asyncapi.json"]["channels"]

    assert channels["events"]["bindings"]["amqp"]["exchange"]["name"] == TOPOLOGY.exchanges[0].name
    for name in ("history", "commands"):
        queue = TOPOLOGY.queue(channels[name]["address"])
        assert channels[name]["x-arguments"] == dict(queue.arguments)


def test_asyncapi_says_no_more_of_a_message_than_is_set() -> None:
    """Given a message as it is sent, then its bindings name its type, and no content encoding, which nobody sets."""
    sent = replayed(recorded_example("interview.held", 1, {}), "their.queue", UUID(int=1))
    messages = RELEASED["asyncapi.json"]["components"]["messages"]

    assert messages["interview.held.v1"]["bindings"]["amqp"]["messageType"] == sent.type
    assert not any("contentEncoding" in each.get("bindings", {}).get("amqp", {}) for each in messages.values())


def test_asyncapi_has_a_message_for_every_event_and_command() -> None:
    """Given the registries, then each entry is a message, on the channel on which it goes."""
    channels = RELEASED["asyncapi.json"]["channels"]
    events = {f"{event.type}.v{event.schema_version}" for event in EVENTS.values()}

    assert events <= channels["events"]["messages"].keys()
    assert channels["history"]["messages"] == channels["events"]["messages"]
    assert channels["commands"]["messages"].keys() == COMMANDS.keys()


def answers(document: Json) -> Iterator[Json]:
    """The schemas of all answers in an OpenAPI document, with all that they refer to."""
    ahead = [operation["responses"] for item in document["paths"].values() for operation in item.values()]
    seen: set[str] = set()
    while ahead:
        for each in parts(ahead.pop()):
            yield each
            reference = each.get("$ref")
            if isinstance(reference, str) and reference not in seen:
                seen.add(reference)
                ahead.append(resolved(each, document))


@pytest.mark.parametrize("service", ["command", "projector"])
def test_answers_may_get_further_fields(service: str) -> None:
    """Given an answer, then no part of it says that there are no fields but those described."""
    found = list(answers(RELEASED[f"openapi.{service}.json"]))

    assert len(found) > 100
    assert not any(each.get("additionalProperties") is False for each in found)


SELF_EVIDENT = {"seeker_id", "contact_id", "coach_id", "name", "title", "email", "phone"}


def test_openapi_tells_what_every_command_and_field_means() -> None:
    """Given the command service's document, then each operation has a sentence and a description of its own, and each
    field, but for a few, what it stands for."""
    document = RELEASED["openapi.command.json"]
    operations = [operation for item in document["paths"].values() for operation in item.values()]

    assert len(operations) > len(COMMANDS)
    for operation in operations:
        assert operation["description"], operation["operationId"]
        assert operation["summary"] not in ("", operation["operationId"])
        assert "\n" not in operation["summary"]
        assert len(operation["summary"]) <= 120
    untold = [
        f"{schema}.{name}"
        for schema, described in document["components"]["schemas"].items()
        for name, field in described.get("properties", {}).items()
        if name not in SELF_EVIDENT and "description" not in field
    ]
    assert untold == []


def test_a_command_tells_when_it_is_taken_and_where_it_leads() -> None:
    """Given commands of one machine, of two, and one that may come first only by itself, then what is told of them
    follows from the machines."""
    told = {name: schema["description"] for name, schema in RELEASED.items() if name.startswith("commands/")}

    assert told["commands/contact.forget.json"].endswith(
        "Recorded as `contact.forgotten`. Taken while the contact is `do_not_contact` or `reachable`; "
        "it is `forgotten` then and for good."
    )
    assert told["commands/relationship.request_introduction.json"].endswith(
        "Taken while the relationship is not there yet, `ended`, `open` or `paused`; it stays so, a new one is `open`. "
        "Taken while the introduction is not there yet, `declined` or `lapsed`; it is `requested` then."
    )
    assert "not there yet" not in told["commands/notification.withdraw.json"]
    assert "for good, unless `how` is `seen`" in told["commands/notification.acknowledge.json"]


@pytest.mark.parametrize("service", ["command", "projector"])
def test_openapi_is_3_1_and_says_that_errors_are_problem_documents(service: str) -> None:
    """Given an operation that may refuse, then its refusals are problem documents."""
    document = RELEASED[f"openapi.{service}.json"]

    assert document["openapi"].startswith("3.1.")
    for path, item in document["paths"].items():
        for operation in item.values():
            refusals = {status: each for status, each in operation["responses"].items() if status >= "400"}
            assert refusals or not path.startswith("/v1/")
            for refusal in refusals.values():
                if "$ref" in refusal:
                    refusal = document["components"]["responses"][refusal["$ref"].rpartition("/")[2]]
                assert refusal["content"].keys() == {"application/problem+json"}, path
