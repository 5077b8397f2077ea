"""What lies in logs can be read for ever."""

from __future__ import annotations

import json
from typing import Any

import pytest

from shared.codec import UPCASTERS, UnknownEventType, decode, encode
from shared.contract.examples import recorded_example
from shared.domain.catalogue import EVENTS
from shared.domain.kernel import Event
from shared.envelope import Recorded
from tests.contract.golden import Golden, file_of, golden


def recorded(type: str, schema_version: int, data: bytes) -> Recorded[bytes]:
    return recorded_example(type, schema_version, {}).holding(data)


@pytest.mark.parametrize("sample", golden(), ids=str)
def test_every_stored_event_can_be_read(sample: Golden) -> None:
    """Given bytes that some release has stored, when they are read, then nothing in them is lost."""
    event = decode(recorded(sample.type, sample.schema_version, sample.data)).data

    assert type(event) is EVENTS[sample.type]
    if sample.schema_version == event.schema_version:
        assert contains(json.loads(encode(event)), json.loads(sample.data))


@pytest.mark.parametrize("event", list(EVENTS.values()), ids=lambda event: event.type)
def test_every_version_of_an_event_has_a_stored_sample(event: type[Event]) -> None:
    """Given an event, then there is a sample of it and of all versions before: without it, its upcaster is untested."""
    stored = {each.schema_version for each in golden() if each.type == event.type}

    assert stored == set(range(1, event.schema_version + 1)), f"run `make schemas` for {file_of(event).name}"


@pytest.mark.parametrize("event", list(EVENTS.values()), ids=lambda event: event.type)
def test_every_older_version_has_an_upcaster(event: type[Event]) -> None:
    """Given an event in version n, then there is a way from each version before it to the next."""
    assert {version for type, version in UPCASTERS if type == event.type} == set(range(1, event.schema_version))


def contains(whole: Any, part: Any) -> bool:
    """Whether all of `part` is in `whole`, which may have further fields."""
    match part:
        case dict():
            return all(key in whole and contains(whole[key], part[key]) for key in part)
        case list():
            return len(whole) == len(part) and all(map(contains, whole, part))
        case _:
            return bool(whole == part)


class HeldInVersion3(Event):
    """Version 1 had `length` in hours, version 2 `minutes`, version 3 knows whether it overran."""

    minutes: int
    overran: bool


HeldInVersion3.type, HeldInVersion3.schema_version = "interview.held", 3


@pytest.fixture
def later_release(monkeypatch: pytest.MonkeyPatch) -> None:
    """One in which `interview.held` has its third version."""
    monkeypatch.setitem(EVENTS, "interview.held", HeldInVersion3)
    upcasters: Any = UPCASTERS
    monkeypatch.setitem(upcasters, ("interview.held", 1), lambda old: {"minutes": round(old["length"] * 60)})
    monkeypatch.setitem(upcasters, ("interview.held", 2), lambda old: {**old, "overran": old["minutes"] > 30})


@pytest.mark.usefixtures("later_release")
@pytest.mark.parametrize(
    ("version", "stored"),
    [(1, b'{"length":0.75}'), (2, b'{"minutes":45}'), (3, b'{"minutes":45,"overran":true}')],
)
def test_an_older_event_is_brought_up_step_by_step(version: int, stored: bytes) -> None:
    """Given bytes of any version, when they are read by a later release, then they are an event of its version."""
    event = decode(recorded("interview.held", version, stored))

    assert event.data == HeldInVersion3(minutes=45, overran=True)
    assert event.schema_version == version, "the envelope tells what is stored"


@pytest.mark.usefixtures("later_release")
def test_a_newer_version_than_known_is_refused() -> None:
    """Given bytes of a version that a later release writes, then they are not guessed at."""
    with pytest.raises(UnknownEventType, match=r"interview\.held.*version 4"):
        decode(recorded("interview.held", 4, b"{}"))


def test_a_field_that_a_later_release_added_is_not_dropped() -> None:
    """Given bytes with a field that is not known here, then the reader is stopped, not the field passed over."""
    sample = next(each for each in golden() if each.type == "interview.held")
    newer = json.dumps(json.loads(sample.data) | {"mood": "fine"}).encode()

    with pytest.raises(UnknownEventType, match="fields that are not known here: mood"):
        decode(recorded("interview.held", EVENTS["interview.held"].schema_version, newer))
