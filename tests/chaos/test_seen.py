"""What clients were told, through the journal and back."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from io import StringIO
from typing import Any
from uuid import UUID

from tests.chaos.lives import Wish
from tests.chaos.seen import Answer, Command, Journal, Look, Outdated, Said, Seen, SeenEvent, fold

REMINDER, NOON = UUID(int=0xF1), datetime(2026, 11, 17, 12, tzinfo=UTC)
THANK = UUID(int=0xC1)
STREAM = f"interview/{UUID(int=1)}"
SAID = Said({}, None, STREAM, shows={"status": "thanked"})
EVENT = {
    "position": 7,
    "event_id": str(UUID(int=7)),
    "type": "interview.thanked",
    "stream": "interview/x",
    "version": 3,
}
ANSWER: dict[str, Any] = {"position": 7, "events": [EVENT]}
KNOWN = Answer(7, (SeenEvent(7, UUID(int=7), "interview.thanked", "interview/x", 3),))


def wish(**more: Any) -> Wish:
    return Wish("acme", "interview", UUID(int=1), "thank", THANK, {}, **more)


def told(*write: Callable[[Journal], None]) -> Seen:
    """What a reader knows of a journal in which that was written."""
    file = StringIO()
    for each in write:
        each(Journal(file))
    return fold(json.loads(line) for line in file.getvalue().splitlines())


def test_what_was_accepted_is_known_with_what_it_means_for_reminders() -> None:
    """Given a command that arms one reminder and ends another, when it was accepted and asked again, then all of that
    is known: answer, time, position, and what came the second time."""
    other = UUID(int=0xF2)
    accepted = wish(arms={other: NOON}, ends=(REMINDER,))
    assert told(
        lambda journal: journal.accepted(accepted, ANSWER, "Queue"),
        lambda journal: journal.repeated(accepted, ANSWER),
        lambda journal: journal.refused_again(accepted, "out_of_order"),
    ) == Seen(
        accepted={("acme", THANK): KNOWN},
        via=Counter(Queue=1),
        said={("acme", THANK): SAID},
        repeated=[(("acme", THANK), KNOWN), (("acme", THANK), "out_of_order")],
        due={other: NOON},
        needless={REMINDER: 7},
        ended_by={REMINDER: {("acme", THANK): "interview/thank"}},
    )


def test_what_must_be_refused_is_known_where_it_was_accepted() -> None:
    """Given a wish that contradicts what was accepted before, when it is accepted, then that is known."""
    seen = told(lambda journal: journal.accepted(wish(must_be_refused="out_of_order"), ANSWER, "Http"))
    assert seen.wrongly == {("acme", THANK): "was accepted, not refused (out_of_order)"}


def test_what_several_clients_send_is_known_by_its_first_answer() -> None:
    """Given one command that two clients send, when both are told that it was accepted, then the second answer is one
    to a command that came again."""
    seen = told(
        lambda journal: journal.accepted(wish(), ANSWER, "Http"),
        lambda journal: journal.accepted(wish(), {**ANSWER, "position": 9}, "Queue"),
    )
    assert seen.accepted == {("acme", THANK): KNOWN}
    assert seen.repeated == [(("acme", THANK), replace(KNOWN, position=9))]


def test_only_foreseen_refusals_are_right() -> None:
    """Given a wish that must be refused, one that may be, and others, when they are refused, then that is wrong where
    nobody had foreseen that code."""

    def wrongly(**more: Any) -> Mapping[Command, str]:
        return told(lambda journal: journal.refused(wish(**more), "out_of_order")).wrongly

    assert wrongly(must_be_refused="out_of_order") == {}
    assert wrongly(may_be_refused=("already_over", "out_of_order")) == {}
    for unforeseen in ({}, {"must_be_refused": "already_exists"}, {"may_be_refused": ("already_over",)}):
        assert wrongly(**unforeseen) == {("acme", THANK): "was refused (out_of_order)"}


def test_what_failed_is_known_though_it_was_accepted_afterwards() -> None:
    """Given a command that was answered with a failure, when it is asked again and accepted, then both are known."""
    seen = told(lambda journal: journal.failed(wish(), 500), lambda journal: journal.accepted(wish(), ANSWER, "Queue"))
    assert seen.wrongly == {("acme", THANK): "was answered with status 500"}
    assert seen.accepted == {("acme", THANK): KNOWN}


def test_what_was_handed_over_is_known_with_when_and_what_it_said() -> None:
    """Given a command that nobody waits for, when the broker has it, then it is known since when, and what it said."""
    seen = told(lambda journal: journal.handed_over(replace(wish(at=NOON), body={"how": "email"}), NOON))
    command = ("acme", THANK)
    assert seen == Seen(handed_over={command: NOON}, said={command: replace(SAID, body={"how": "email"}, at=NOON)})


def test_what_was_refused_ends_nothing() -> None:
    """Given a command that would have ended a reminder, when it was refused, then the reminder is as wanted as before:
    it must fire."""
    unsure = wish(ends=(REMINDER,), may_be_refused=("out_of_order",))
    seen = told(lambda journal: journal.refused(unsure, "out_of_order"))
    assert seen == Seen(refused={("acme", THANK): "out_of_order"})


def test_what_may_have_been_executed_may_have_ended_something() -> None:
    """Given a command that puts a reminder off, when it got no answer, then it is unknown whether it did, and known
    what it said."""
    seen = told(lambda journal: journal.unknown(wish(ends=(REMINDER,), puts_off=True)))
    command = ("acme", THANK)
    by = {REMINDER: {command: "interview/thank"}}
    assert seen == Seen(unknown={command}, said={command: SAID}, perhaps={REMINDER}, ended_by=by, put_off={REMINDER})


def test_a_version_is_known_under_which_a_command_was_refused_and_accepted() -> None:
    """Given a command that named a version, when it was refused for that and accepted with another, then both are
    known, and it is none of those that can't have been executed."""
    seen = told(
        lambda journal: journal.outdated(wish(expected=1), NOON),
        lambda journal: journal.accepted(wish(expected=2), ANSWER, "Http"),
    )
    command = ("acme", THANK)
    assert seen == Seen(
        accepted={command: KNOWN},
        via=Counter(Http=1),
        said={command: replace(SAID, expected=2)},
        outdated=[Outdated(command, STREAM, 1, NOON)],
    )


def test_what_a_document_said_is_known_as_far_as_the_command_shows_there() -> None:
    """Given a command that was looked for, when there was a document, and when there was none, then both are known."""
    document = {"position": 9, "item": {"status": "thanked", "format": "email"}}
    seen = told(
        lambda journal: journal.looked(wish(), 7, 200, document),
        lambda journal: journal.looked(wish(), 7, 404, {"code": "unknown_interview"}),
    )
    command = ("acme", THANK)
    found, none = Look(command, 7, 200, 9, {"status": "thanked"}), Look(command, 7, 404, None, {"status": None})
    assert seen == Seen(looks=[found, none])


def test_the_first_of_several_counts() -> None:
    """Given two accepted commands that end the same reminder, then it is needless from the first on."""
    seen = told(
        lambda journal: journal.accepted(wish(ends=(REMINDER,)), ANSWER, "Http"),
        lambda journal: journal.accepted(wish(ends=(REMINDER,)), {**ANSWER, "position": 9}, "Http"),
    )
    assert seen.needless == {REMINDER: 7}
