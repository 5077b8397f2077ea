"""What lies between a seeker and a contact."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from shared.domain import contact, relationship, seeker
from shared.domain.identity import relationship_id
from shared.domain.kernel import Event, On
from tests.domain.scenario import ADDED, ANA, BEN, NOW, PEOPLE, REGISTERED, SEEKER, given, on

PAIR: dict[str, Any] = {"seeker_id": SEEKER, "contact_id": ANA}
BEN_KNOWN = on("contact", BEN, ADDED)
REQUESTED = relationship.IntroductionRequested(**PAIR, connector_id=BEN)
MADE = relationship.IntroductionMade(**PAIR, connector_id=BEN, introduced_by=(BEN,))
KEEPING = relationship.KeepInTouchStarted(**PAIR, cadence_days=90)
THANKS = relationship.RecordTouchpoint(**PAIR, kind="thanks")


def test_introduction_asked_of_an_earlier_contact_and_made() -> None:
    """Given two contacts, when one is asked to introduce the other and does, then that is an edge of the network."""
    command = relationship.RequestIntroduction(**PAIR, connector_id=BEN)
    given(*PEOPLE, BEN_KNOWN).when(command).then(REQUESTED)
    given(*PEOPLE, BEN_KNOWN, REQUESTED).when(relationship.RecordIntroduction(**PAIR)).then(MADE)


def test_introduction_by_somebody_who_is_no_contact() -> None:
    """Given an alumni group, when it introduces a contact unasked, then there is no edge but its name."""
    command = relationship.RecordIntroduction(**PAIR, connector="Alumni of Porto")
    made = relationship.IntroductionMade(**PAIR, connector="Alumni of Porto")
    given(*PEOPLE).when(command).then(made)


@pytest.mark.parametrize(
    ("connector", "code"),
    [
        ({}, "no_connector"),
        ({"connector_id": ANA}, "own_introducer"),
        ({"connector_id": BEN}, "unknown_contact"),
    ],
)
def test_introduction_needs_a_connector(connector: dict[str, Any], code: str) -> None:
    """Given nobody who could introduce, when an introduction is asked for, then it is refused."""
    given(*PEOPLE).when(relationship.RequestIntroduction(**PAIR, **connector)).refused(code, field="/connector_id")


@pytest.mark.parametrize(
    ("history", "command", "code"),
    [
        ([], relationship.DeclineIntroduction(**PAIR), "unknown_introduction"),
        ([KEEPING], relationship.DeclineIntroduction(**PAIR), "unknown_introduction"),
        ([MADE], relationship.RecordIntroduction(**PAIR, connector_id=BEN), "already_done"),
        ([REQUESTED, relationship.IntroductionLapsed(**PAIR)], relationship.LapseIntroduction(**PAIR), "already_done"),
        ([MADE], relationship.RequestIntroduction(**PAIR, connector_id=BEN), "out_of_order"),
        ([KEEPING], relationship.StartKeepingInTouch(**PAIR), "already_done"),
        ([relationship.Connected(**PAIR)], relationship.Connect(**PAIR), "already_done"),
        ([KEEPING], relationship.ChangeCadence(**PAIR, cadence_days=90), "nothing_changes"),
        ([KEEPING], relationship.Resume(**PAIR), "out_of_order"),
        ([relationship.Paused(**PAIR)], relationship.Pause(**PAIR), "out_of_order"),
        ([relationship.Ended(**PAIR)], relationship.End(**PAIR), "already_done"),
        ([relationship.Ended(**PAIR)], relationship.Pause(**PAIR), "out_of_order"),
        ([KEEPING], relationship.Snooze(**PAIR, until=NOW), "already_over"),
        ([contact.Forgotten()], THANKS, "contact_forgotten"),
        ([KEEPING, seeker.Left()], relationship.AskReferral(**PAIR), "seeker_left"),
        ([KEEPING, seeker.Left()], relationship.RequestIntroduction(**PAIR, connector_id=BEN), "seeker_left"),
        ([contact.AskedNotToBeContacted()], relationship.AskReferral(**PAIR), "contact_asked_not_to_be_contacted"),
        ([], relationship.AskReferral(**PAIR, about="Would anybody hire me?"), "asks_for_job"),
    ],
)
def test_refused(history: list[Event], command: relationship.RelationshipCommand, code: str) -> None:
    """Given how things stand, when the command comes too early, twice or unwanted, then it is refused."""
    given(*PEOPLE, BEN_KNOWN, *history).when(command).refused(code)


def test_a_tie_that_nothing_was_recorded_of_is_not_unknown() -> None:
    """Given two who are known, when their tie is to be resumed that was never paused, then the refusal says that, and
    what begins it; it does not send the caller to correct an id that is right."""
    refused = given(*PEOPLE).when(relationship.Resume(**PAIR)).refused("out_of_order")
    assert refused.kind == "conflict"
    assert refused.remedy.startswith("it is not paused")
    assert "relationship.start_keeping_in_touch" in refused.remedy


def test_a_cadence_is_not_keeping_in_touch() -> None:
    """Given a pair for whom only a cadence was set, when the seeker starts keeping in touch, then they do, at that; and
    again after the end, at the seeker's usual one."""
    start = relationship.StartKeepingInTouch(**PAIR)
    started = relationship.KeepInTouchStarted(**PAIR)
    cadence = relationship.CadenceChanged(**PAIR, cadence_days=60)
    given(*PEOPLE, cadence).when(start).then(relationship.KeepInTouchStarted(**PAIR, cadence_days=60))
    given(*PEOPLE, KEEPING, relationship.Ended(**PAIR)).when(start).then(started)
    given(*PEOPLE, KEEPING, cadence).when(start).refused("already_done")


def test_both_must_be_known() -> None:
    """Given only one of the two, when something passes between them, then it is refused."""
    given(REGISTERED).when(THANKS).refused("unknown_contact")
    given(ADDED).when(THANKS).refused("unknown_seeker")


def test_it_has_one_id() -> None:
    """Given a pair, when a command is sent to another stream than theirs, then the refusal names the right one."""
    refusal = given(*PEOPLE).when(THANKS, id=SEEKER).refused("wrong_relationship")
    assert str(relationship_id(SEEKER, ANA)) in refusal.remedy


@pytest.mark.parametrize(
    ("history", "status", "move"),
    [
        ([REQUESTED], "open", "await_introduction"),
        ([REQUESTED, relationship.IntroductionDeclined(**PAIR)], "open", "ask_other_connector"),
        ([MADE], "open", "write_to_contact"),
        ([MADE, relationship.TouchpointRecorded(**PAIR, kind="met")], "open", "keep_in_touch"),
        ([relationship.Paused(**PAIR), relationship.TouchpointRecorded(**PAIR, kind="met")], "paused", None),
        ([KEEPING, relationship.Ended(**PAIR)], "ended", None),
        ([relationship.Ended(**PAIR), KEEPING], "open", "keep_in_touch"),
        ([REQUESTED, relationship.IntroductionLapsed(**PAIR), relationship.Connected(**PAIR)], "open", "keep_in_touch"),
    ],
)
def test_how_it_stands(history: list[Event], status: str, move: str | None) -> None:
    """Given what passed, then so it stands; contact while paused does not resume it."""
    state = relationship.DECIDER.fold(history)
    assert state is not None
    assert (state.status, relationship.next_move(state)) == (status, move)


def test_a_forgotten_contact_may_be_let_go() -> None:
    """Given a contact who was forgotten, when the seeker ends the relationship, then it ends; without a word."""
    ended = relationship.Ended(**PAIR)
    gone = given(*PEOPLE, contact.Forgotten(), KEEPING)
    gone.when(relationship.End(**PAIR)).then(ended)
    gone.when(relationship.End(**PAIR, why="She has moved")).refused("contact_forgotten")


def test_who_declined_is_told_of_who_was_asked() -> None:
    """Given a contact who was asked to introduce, when they decline, then the event says whose words those are."""
    asked = relationship.IntroductionRequested(**PAIR, connector_id=BEN)
    history = given(*PEOPLE, on("contact", BEN, ADDED), asked)
    history.when(relationship.DeclineIntroduction(**PAIR, why="We fell out")).then(
        relationship.IntroductionDeclined(**PAIR, connector_id=BEN, why="We fell out")
    )
    gone = given(*PEOPLE, on("contact", BEN, ADDED), asked, on("contact", BEN, contact.Forgotten()))
    gone.when(relationship.DeclineIntroduction(**PAIR, why="We fell out")).refused("contact_forgotten", field="/why")
    gone.when(relationship.DeclineIntroduction(**PAIR)).then(
        relationship.IntroductionDeclined(**PAIR, connector_id=BEN)
    )


def test_snoozed_until_a_moment_to_come() -> None:
    """Given a relationship, when it is snoozed for a week, then it is."""
    until = NOW + timedelta(days=7)
    wish: On | Event = relationship.Snoozed(**PAIR, until=until)
    given(*PEOPLE).when(relationship.Snooze(**PAIR, until=until)).then(wish)


@pytest.mark.parametrize("days_ago", [None, 0, 1])
def test_paused_until_a_day_that_may_be_ahead(days_ago: int | None) -> None:
    """Given a relationship, when it is paused until no known day, until today, or until a day that is over here and
    still going on elsewhere, then it is."""
    until = None if days_ago is None else NOW.date() - timedelta(days=days_ago)
    given(*PEOPLE).when(relationship.Pause(**PAIR, until=until)).then(relationship.Paused(**PAIR, until=until))


def test_not_paused_until_a_day_that_is_over() -> None:
    """Given a relationship, when it is paused until a day of last year, or one that is over everywhere, then it is
    refused."""
    for days_ago in (2, 365):
        until = NOW.date() - timedelta(days=days_ago)
        given(*PEOPLE).when(relationship.Pause(**PAIR, until=until)).refused("already_over", field="/until")
