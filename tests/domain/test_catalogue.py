"""What is declared is complete, documented and free of leftovers."""

from __future__ import annotations

import ast
import inspect
import re
from pathlib import Path

import pytest

import shared.domain
from shared.domain import contact, interview, lead, programme, relationship, seeker
from shared.domain.advice import ADVICE
from shared.domain.catalogue import COMMANDS, DECIDERS, EVENTS, MACHINES, stream_id_of
from shared.domain.conversation.judgement import RULES
from shared.domain.diagrams import DOCUMENT, document, moves, refusals, state_machines
from shared.domain.identity import relationship_id
from shared.domain.kernel import NEW, Event, Machine, Refusal
from shared.domain.moves import LEAVE_IN_PEACE, MOVES, TO_CONTACTS
from shared.domain.refusals import REFUSALS
from tests.domain.scenario import ANA, SEEKER

BY_OTHERS = {"contact.asked", "contact.place_freed", "contact.place_used"}
"""Events that only follow from commands to other streams."""
SOURCES = sorted(Path(inspect.getfile(shared.domain)).parent.rglob("*.py"))
EVENT_OF = (
    seeker.EVENT_OF | contact.EVENT_OF | relationship.EVENT_OF | interview.EVENT_OF | lead.EVENT_OF | programme.EVENT_OF
)


def strings(called: str) -> set[str]:
    """The first argument of every call of `called` in the domain's sources."""
    calls = (
        node
        for source in SOURCES
        for node in ast.walk(ast.parse(source.read_text()))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == called and node.args
    )
    first = [call.args[0] for call in calls]
    return {str(each.value) for each in first if isinstance(each, ast.Constant)}


def test_every_command_has_its_event_and_every_event_its_command() -> None:
    """Given the declarations, then each command leads to an event of its category, and none is left over."""
    ours = {each for each in COMMANDS.values() if each.category != "notification"}
    assert set(EVENT_OF) == ours
    reached = {event.type for event in EVENT_OF.values()} | BY_OTHERS
    assert reached == {name for name in EVENTS if not name.startswith("notification.")}
    assert all(command.category == event.type.partition(".")[0] for command, event in EVENT_OF.items())


def test_every_event_is_in_a_machine() -> None:
    """Given the state machines, then each event has its row, in the machine of its category."""
    rows = {event.type for machine in MACHINES for event in machine.moves}
    assert rows == set(EVENTS)
    assert {machine.category for machine in MACHINES} >= set(DECIDERS)


def test_every_refusal_is_listed_and_every_listed_one_is_used() -> None:
    """Given the sources, then refusals come with listed codes only, and no listed code is a leftover."""
    from_machines = {"out_of_order", "already_exists", "already_done"}
    from_machines |= {f"unknown_{machine.category}" for machine in MACHINES if machine.first == NEW}
    from_wording = {rule.code for rule in RULES if rule.verdict == "refused"}
    while_loading = {"id_in_use"}
    used = strings("refusal") | from_machines | from_wording | while_loading
    assert used - set(REFUSALS) <= {f"unknown_{machine.category}" for machine in MACHINES if not machine.moves}
    assert set(REFUSALS) <= used


@pytest.mark.parametrize("machine", [machine for machine in MACHINES if machine.leads_on])
def test_what_leads_on_does(machine: Machine) -> None:
    """Given what a refusal says leads on, then it is said of events that can't follow, names commands that there are,
    and those of the same stream may come then."""
    for event, by_status in machine.leads_on.items():
        for status, words in by_status.items():
            with pytest.raises(Refusal, match="out_of_order") as refused:
                machine.require(status, event)
            assert refused.value.remedy.startswith(words)
            named = [COMMANDS[name] for name in re.findall(r"[a-z]+\.[a-z_]+", words)]
            assert named
            for command in named:
                if command.category == machine.category and not command.creates:
                    assert status in machine.moves[EVENT_OF[command]].sources, (event.type, status, command.type)


def statuses(machine: Machine) -> set[str]:
    """All that a machine knows."""
    moves = machine.moves.values()
    return {status for move in moves for status in (*move.sources, move.to or machine.first)}


@pytest.mark.parametrize("machine", MACHINES, ids=lambda machine: machine.category)
def test_a_way_leads_there(machine: Machine) -> None:
    """Given any state and any event that can't follow in it, when a way to it is named, then each of its commands may
    come after those before it, the event may come at the end, and nothing fell through for its sake."""
    at_once = {type.type: event for type, event in machine.commands.items()}

    def after(status: str, event: type[Event]) -> str:
        move = machine.moves[event]
        assert status in move.sources, (status, event.type)
        return move.to or (machine.first if status == NEW else status)

    ways = 0
    for event, move in machine.moves.items():
        for status in statuses(machine) - set(move.sources):
            ends = {status}
            for step in machine.way(status, move.sources):
                ends = {after(each, at_once[name]) for each in ends for name in step.split(" or ")}
                assert ends.isdisjoint(machine.setbacks)
                ways += 1
            assert ends <= {status} or ends <= set(move.sources), (status, event.type)
    assert ways


def test_every_advice_is_listed() -> None:
    """Given the sources, then advice comes with listed codes only, and no listed code is a leftover."""
    from_wording = {rule.code for rule in RULES if rule.verdict == "warn"}
    assert strings("Advice") | from_wording == set(ADVICE)


def returned(function: object) -> set[str]:
    """Every string that a function mentions."""
    tree = ast.parse(inspect.getsource(function))  # type: ignore[arg-type]
    return {node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)}


@pytest.mark.parametrize("category", [seeker, relationship, interview, lead, programme])
def test_every_move_is_listed(category: object) -> None:
    """Given a category's next moves, then each has its sentence."""
    mentioned = returned(category.next_move)  # type: ignore[attr-defined]
    assert mentioned & set(MOVES)


def test_no_move_is_a_leftover() -> None:
    """Given the list of moves, then each is offered by some category."""
    offered = set().union(*(returned(each.next_move) for each in (seeker, relationship, interview, lead, programme)))
    assert set(MOVES) <= offered | {LEAVE_IN_PEACE}
    assert set(MOVES) >= TO_CONTACTS


def test_documentation_made_from_the_code() -> None:
    """Given the code, then the documents show each state, refusal and move."""
    chapters = state_machines()
    assert chapters.count("```mermaid") == len(MACHINES)
    assert "[*] --> planned: planned" in chapters
    assert "| `interview.held` | accepted, agreed_loosely," in chapters
    assert "failed, snoozed | acknowledged; stays where `how` is seen |" in chapters
    assert "delivered --> delivered: delivered, acknowledged (seen)" in chapters
    assert all(f"| `{code}` |" in refusals() for code in REFUSALS)
    assert all(f"| `{move}` |" in moves() for move in MOVES)


def test_the_committed_document_is_up_to_date() -> None:
    """Given the code, then `STATES.md` is what it says; else run `python -m shared.domain.diagrams`."""
    assert DOCUMENT.read_text("utf-8") == document()


def test_streams_whose_ids_follow_from_the_body() -> None:
    """Given a command, then its stream's id is known where its body decides it."""
    resume = relationship.Resume(seeker_id=SEEKER, contact_id=ANA)
    assert stream_id_of(resume) == relationship_id(SEEKER, ANA)
    assert stream_id_of(interview.Accept()) is None


def test_event_types_are_named_as_the_domain_says() -> None:
    """Given the contract, then these are the names; a change here breaks those who read the log."""
    names = {
        "seeker": "registered details_corrected goals_changed introduction_written moved preferences_changed "
        "verdict_recorded outcome_recorded calendar_feed_opened calendar_feed_closed left returned",
        "contact": "added details_corrected hours_offered capacity_changed asked place_freed place_used "
        "asked_not_to_be_contacted forgotten",
        "relationship": "referral_asked introduction_requested introduction_made introduction_declined "
        "introduction_lapsed connected keep_in_touch_started cadence_changed touchpoint_recorded snoozed paused "
        "resumed ended",
        "interview": "planned request_sent request_followed_up accepted declined dropped_out lapsed agreed_loosely "
        "times_offered scheduled rescheduled confirmed cancelled research_recorded objectives_set questions_chosen "
        "prepared started held missed notes_taken reflection_recorded thanked",
        "lead": "recorded acted_on came_to_something came_to_nothing reported_back dropped",
        "programme": "created coach_assigned participant_enrolled participant_left coach_changed match_proposed "
        "match_accepted match_turned_down",
    }
    expected = {f"{category}.{name}" for category, each in names.items() for name in each.split()}
    assert {name for name in EVENTS if not name.startswith("notification.")} == expected
