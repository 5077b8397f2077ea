"""The read models over the lives of a whole cohort, as the deciders let them happen."""

from __future__ import annotations

from collections import Counter
from functools import cache
from typing import Any

from services.projector.folding.read_model import ReadModel
from services.projector.models import LEADS, MODELS, NETWORK, PIPELINE, RELATIONSHIPS, TIMELINE
from services.projector.models.pipeline import PipelineRow
from shared.domain import interview, lead
from shared.domain.catalogue import DECIDERS
from shared.domain.kernel import Stream
from tests.models.history import History, all_rows, rows
from tests.synthetic.histories import histories


@cache
def cohort() -> History:
    """Thirty seekers of one tenant."""
    history = History()
    for wish, events in histories(30, seed=7):
        history.add(*events, at=wish.at)
    return history


def test_the_history_is_wide_enough() -> None:
    """Given the cohort, then many types of events have happened, so that what follows says something."""
    happened = {e.type for e in cohort().events}
    assert len(happened) >= 35
    assert len(cohort().events) > 1_000


def test_every_row_can_be_stored_and_read() -> None:
    """Given the cohort, then each row is the same after having been stored."""
    for model, _, row in all_rows(cohort()):
        assert model.decode(model.encode(row)) == row


def test_streams_may_be_folded_one_after_the_other() -> None:
    """Given models whose rows tell of one stream, then it does not matter how the streams lie among each other, as long
    as what others add to them comes after."""
    models: tuple[tuple[str, ReadModel[Any]], ...] = (("interview", PIPELINE), ("lead", LEADS))
    for category, model in models:
        by_stream = sorted(cohort().events, key=lambda e: (e.category != category, e.stream_id, e.version))
        assert rows(model, by_stream) == rows(model, cohort())


def test_interviews_stand_where_the_deciders_say() -> None:
    """Given the cohort, then status, next move and thanks are those of the domain's own fold."""
    states: dict[str, Any] = {}
    for e in cohort().events:
        if e.category == "interview":
            states[str(e.stream_id)] = DECIDERS["interview"].evolve(states.get(str(e.stream_id)), e.data)
    found = rows(PIPELINE, cohort())
    assert found.keys() == states.keys()
    for key, row in found.items():
        state = states[key]
        assert (row.status, row.next_move) == (state.status, interview.next_move(state))
        assert set(row.thanked_ids) == state.thanked
        assert (row.prepared, row.reflected, row.let_down_by) == (state.prepared, state.reflected, state.let_down_by)
    check_milestones(list(found.values()))


def check_milestones(found: list[PipelineRow]) -> None:
    """Nothing is held before it was accepted, or thanked for before it was held."""
    assert any(row.thanked_at for row in found)
    for row in found:
        moments = [row.requested_at, row.accepted_at, row.held_at, row.thanked_at]
        known = [moment for moment in moments if moment]
        assert known == sorted(known)


def test_leads_are_owed_until_they_are_reported_or_dropped() -> None:
    """Given the cohort, then the board's states follow from the domain's."""
    board = {
        "recorded": {"to_act_on", "promised"},
        "acted_on": {"acted_on"},
        "came_to_something": {"to_report_back"},
        "came_to_nothing": {"to_report_back"},
        "reported_back": {"reported_back"},
        "dropped": {"dropped"},
    }
    states: dict[str, Any] = {}
    for e in cohort().events:
        if e.category == "lead":
            states[str(e.stream_id)] = lead.evolve(states.get(str(e.stream_id)), e.data)
    found = rows(LEADS, cohort())
    assert found.keys() == states.keys()
    for key, row in found.items():
        assert row.state in board[states[key].status]


def test_each_tie_has_its_timeline() -> None:
    """Given the cohort, then each tie has a timeline, which counts as many conversations, as the network does."""
    ties = {row.relationship_id: row for row in rows(RELATIONSHIPS, cohort()).values()}
    entries = rows(TIMELINE, cohort()).values()
    assert set(ties) <= {entry.relationship_id for entry in entries}
    held = Counter(entry.relationship_id for entry in entries if entry.type == "interview.held")
    assert {id: row.conversations for id, row in ties.items() if row.conversations} == dict(held)
    nodes = rows(NETWORK, cohort())
    met = {(row.seeker_id, row.contact_id) for row in ties.values() if row.conversations}
    assert met == {(node.seeker_id, node.contact_id) for node in nodes.values() if node.conversations}


def test_models_do_not_touch_what_they_do_not_name() -> None:
    """Given the cohort, then a model answers no row for an event for which it names no key, and few rows for any."""
    most = {model.name: max(len(list(model.keys(e))) for e in cohort().events) for model in MODELS}
    assert all(1 <= count <= 3 for name, count in most.items() if name != "notification"), most
    assert most["notification"] == 0
    assert isinstance(cohort().events[0].stream, Stream)
