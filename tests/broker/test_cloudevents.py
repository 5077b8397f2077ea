"""Events on the wire."""

from __future__ import annotations

import json
from datetime import timedelta
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.broker import cloudevents
from shared.broker.cloudevents import NotACloudEvent
from shared.envelope import Recorded
from tests.broker.events import NOON, an_event, an_id

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda children: st.lists(children) | st.dictionaries(st.text(), children),
    max_leaves=20,
)
instants = st.timedeltas(timedelta(days=-46_000), timedelta(days=63_000)).map(
    lambda since: NOON + since
)  # 1900 to 2198
events = st.builds(
    Recorded,
    position=st.integers(1, 2**63 - 1),
    epoch=st.integers(1, 2**31 - 1),
    tenant=st.from_regex(r"[a-z0-9][a-z0-9-]{0,62}", fullmatch=True),
    category=st.just("interview"),
    stream_id=st.uuids(),
    version=st.integers(1, 2**31 - 1),
    event_id=st.uuids(),
    type=st.sampled_from(["interview.held", "interview.request_sent"]),
    schema_version=st.integers(1, 99),
    occurred_at=instants,
    recorded_at=instants,
    actor=st.text(),
    command_id=st.uuids(),
    correlation_id=st.uuids(),
    causation_id=st.uuids(),
    data=st.dictionaries(st.text(), json_values).map(lambda value: json.dumps(value, ensure_ascii=False).encode()),
)


@given(events)
def test_every_event_comes_back_as_it_was(event: Recorded[bytes]) -> None:
    """Given any event, when it is encoded and decoded, then nothing has changed, its payload not by a byte."""
    assert cloudevents.decode(*cloudevents.encode(event)) == event


def test_an_event_is_a_cloudevent_1_0() -> None:
    """Given an event, then its message has the attributes that the module documents, and no others."""
    event = an_event(position=3_000_000_000)

    body, headers = cloudevents.encode(event)

    assert json.loads(body) == {
        "specversion": "1.0",
        "id": str(event.event_id),
        "source": "/kithlog/demo/interview",
        "type": "kithlog.interview.held.v1",
        "subject": str(event.stream_id),
        "time": "2026-03-02T12:00:00+00:00",
        "datacontenttype": "application/json",
        "dataschema": "urn:kithlog:event:interview.held:v1",
        "sequence": "0000000003000000000",
        "partitionkey": "demo",
        "tenant": "demo",
        "category": "interview",
        "streamversion": 1,
        "position": "3000000000",
        "previous": "2999999999",
        "epoch": 1,
        "recordedat": "2026-03-02T12:00:01+00:00",
        "actor": "seeker:1",
        "commandid": str(event.command_id),
        "correlationid": str(event.correlation_id),
        "causationid": str(event.causation_id),
        "traceparent": f"00-{event.correlation_id.hex}-{event.event_id.hex[:16]}-01",
        "data": {"minutes": 25},
    }
    assert headers == {"position": 3_000_000_000, "previous": 2_999_999_999, "epoch": 1, "partition": 0}
    assert cloudevents.routing_key(event) == "demo.interview.held"


def test_every_attribute_is_documented_and_named_as_the_standard_asks() -> None:
    """Given the attributes of a message, then each is in the module's table, in lower-case letters and digits."""
    body, headers = cloudevents.encode(an_event())

    for name in (*json.loads(body), *headers):
        assert f"`{name}`" in (cloudevents.__doc__ or "")
        assert name.isalnum()
        assert name == name.lower()


def test_a_message_written_by_another_program_is_read_all_the_same() -> None:
    """Given the same document with its members in another order and blanks between, then it is the same event."""
    event = an_event()
    body, headers = cloudevents.encode(event)
    reordered = json.dumps(dict(reversed(json.loads(body).items())), indent=2).encode()

    assert cloudevents.decode(reordered, headers) == event


def test_a_payload_that_looks_like_the_envelope_does_not_confuse() -> None:
    """Given an actor and a payload that hold what marks the payload, then both come back as they were."""
    event = an_event(data=b'{"x":{"a":1,"data":2}}', actor='","data":{"position":"1"}')

    assert cloudevents.decode(*cloudevents.encode(event)) == event


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"specversion": "0.3"}, "specversion is '0.3'"),
        ({"position": "seven"}, "position is 'seven'"),
        ({"position": 7.5}, "position is 7.5"),
        ({"id": "7"}, "id is '7'"),
        ({"time": "2026-03-02T12:00:00"}, "time is '2026-03-02T12:00:00'"),
        ({"time": 5}, "time is 5"),
        ({"tenant": None}, "tenant is None"),
        ({"type": "interview.held"}, "type is 'interview.held'"),
        ({"type": "kithlog.interview.held.vx"}, "type is 'kithlog.interview.held.vx'"),
        ({"type": "other.interview.held.v1"}, "type is 'other.interview.held.v1'"),
    ],
)
def test_what_is_wrong_with_a_message_is_named(change: dict[str, object], complaint: str) -> None:
    """Given a message with one attribute at fault, when it is decoded, then the complaint names it."""
    body, headers = cloudevents.encode(an_event())

    with pytest.raises(NotACloudEvent, match=complaint):
        cloudevents.decode(json.dumps(json.loads(body) | change).encode(), headers)


@pytest.mark.parametrize("missing", ["specversion", "id", "subject", "position", "epoch", "recordedat", "data"])
def test_a_missing_attribute_is_named(missing: str) -> None:
    """Given a message that lacks an attribute, when it is decoded, then the complaint names it."""
    body, headers = cloudevents.encode(an_event())
    document = json.loads(body)
    del document[missing]

    with pytest.raises(NotACloudEvent, match=missing):
        cloudevents.decode(json.dumps(document).encode(), headers)


@pytest.mark.parametrize(
    ("body", "complaint"),
    [(b"", "not JSON"), (b"{", "not JSON"), (b"\xff", "not JSON"), (b"[]", "not a JSON object"), (b"7", "int")],
)
def test_what_is_no_json_object_is_refused(body: bytes, complaint: str) -> None:
    """Given a body that is no JSON object, when it is decoded, then the complaint says what it is."""
    with pytest.raises(NotACloudEvent, match=complaint):
        cloudevents.decode(body, {})


def test_a_header_that_contradicts_the_body_is_refused() -> None:
    """Given a message whose header names another position than its body, then neither is believed."""
    body, _ = cloudevents.encode(an_event(position=7))

    with pytest.raises(NotACloudEvent, match="header position is 8, the body's is 7"):
        cloudevents.decode(body, {"position": 8})


def test_ids_are_uuids() -> None:
    """Given a decoded event, then its ids are UUIDs, as the log has them."""
    event = cloudevents.decode(*cloudevents.encode(an_event()))

    assert event.stream_id == an_id("stream 7")
    assert isinstance(event.event_id, UUID)
