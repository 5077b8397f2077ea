"""What holds of every read model, whatever happened."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from services.projector.folding.read_model import Telling
from services.projector.models import MODELS, PIPELINE
from shared.domain import contact
from shared.domain.catalogue import DECIDERS, EVENTS
from shared.domain.interview import next_move
from shared.domain.kernel import Event, On, Stream
from shared.envelope import Recorded
from tests.domain.strategies import models
from tests.domain.test_laws import accepted, few, known_people, wish
from tests.models.history import History, after, all_rows, rows

ANY_EVENT = st.sampled_from(sorted(EVENTS)).flatmap(lambda name: models(EVENTS[name]))


def legal(data: st.DataObject, wishes: int) -> History:
    """A history in which wishes came at random and the deciders had their say."""
    world, events = known_people()
    for _ in range(wishes):
        events += accepted(world, *wish(data, world)) or []
    return History().add(*events)


def anything(events: list[Event]) -> History:
    history = History()
    for event in events:
        category = event.type.partition(".")[0]
        history.add(event) if category != "notification" else history.add(_on_its_stream(event))
    return history


def _on_its_stream(event: Any) -> Any:
    return On(Stream("notification", event.occurrence), event)


@few
@given(st.lists(ANY_EVENT, max_size=15))
def test_no_event_is_refused(events: list[Event]) -> None:
    """Given any events in any order, when the models fold them, then each row can be stored, found and read again."""
    for model, _, row in all_rows(anything(events)):
        assert model.decode(model.encode(row)) == row
        filed = model.file(row)
        assert filed.sort is None or filed.sort.tzinfo is not None


@few
@given(st.data())
def test_rows_that_were_stored_fold_like_those_in_memory(data: st.DataObject) -> None:
    """Given a history, when rows are stored and read between any two events, then the same rows come of it."""
    history = legal(data, 25)
    for model in MODELS:
        found: dict[str, Any] = {}
        for e in history.events:
            read = {key: model.decode(body) for key, body in found.items()}
            found = {key: model.encode(row) for key, row in after(model, read, e).items()}
        assert {key: model.decode(body) for key, body in found.items()} == rows(model, history)


@few
@given(st.data())
def test_tenants_streams_and_rows_do_not_mix(data: st.DataObject) -> None:
    """Given a history, when only those events are folded that touch a row, then the row is the same."""
    history = legal(data, 25)
    for model in MODELS:
        whole = rows(model, history)
        touching: dict[str, list[Recorded[Any]]] = {}
        for e in history.events:
            # Who is forgotten is looked for in all rows.
            forgets = isinstance(e.data, contact.Forgotten) and issubclass(model.row, Telling)
            for key in dict.fromkeys([*whole, *touching]) if forgets else model.keys(e):
                touching.setdefault(key, []).append(e)
        for key, row in whole.items():
            assert rows(model, touching[key])[key] == row


@few
@given(st.data())
def test_entries_are_made_once(data: st.DataObject) -> None:
    """Given a history, then no two events touch the same row of a model that says so."""
    history = legal(data, 25)
    for model in MODELS:
        if model.entries:
            keys = [key for e in history.events for key in model.keys(e)]
            assert len(keys) == len(set(keys))


@few
@given(st.data())
def test_the_pipeline_stands_where_the_domain_says(data: st.DataObject) -> None:
    """Given a history, then the pipeline's status and next move are those of the decider's own state."""
    history = legal(data, 40)
    states: dict[str, Any] = {}
    for e in history.events:
        if e.category == "interview":
            key = str(e.stream_id)
            states[key] = DECIDERS["interview"].evolve(states.get(key), e.data)
    found = rows(PIPELINE, history)
    assert found.keys() == states.keys()
    for key, row in found.items():
        assert (row.status, row.next_move) == (states[key].status, next_move(states[key]))
        assert (row.format, row.starts_at, row.follow_ups) == (
            states[key].format,
            states[key].starts_at,
            states[key].follow_ups,
        )


def test_names_are_those_of_their_tables() -> None:
    """Given the models, then no two share a name, and each names a version."""
    names = [model.name for model in MODELS]
    assert len(set(names)) == len(names)
    assert all(model.version >= 1 for model in MODELS)
