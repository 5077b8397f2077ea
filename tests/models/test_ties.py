"""Relationships, timeline and network: what lies between people."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any
from uuid import UUID

from services.projector.folding.forgetting import emptied
from services.projector.models import NETWORK, RELATIONSHIPS, TIMELINE
from services.projector.queries.answering import People, Person
from services.projector.queries.items import relationship_item
from shared.domain import contact, interview, lead, relationship
from shared.domain.identity import relationship_id
from shared.domain.kernel import Event, On
from shared.domain.notification import Cause, Rule
from tests.domain.scenario import (
    ADDED,
    ANA,
    BEN,
    CLEO,
    HELD,
    INTERVIEW,
    LEAD,
    NOW,
    PLANNED,
    REQUESTED,
    SEEKER,
    WHOSE,
    on,
)
from tests.models.history import History, happened, row, rows
from tests.models.test_telling import DUE

PAIR = {"seeker_id": SEEKER, "contact_id": ANA}
TIE = relationship_id(SEEKER, ANA)
TOUCHED = relationship.TouchpointRecorded(**PAIR, kind="progress_update", note="I start on Monday")
THANKED = interview.Thanked(**WHOSE, how="email", thanked_ids=(ANA,))


def due(stage: str, **more: Any) -> On:
    """A keep-in-touch reminder of the tie fell due."""
    cause = Cause(event_id=INTERVIEW, type="interview.thanked", position=1)
    ours: dict[str, Any] = {
        "kind": "keep_in_touch",
        "stage": stage,
        "rule": Rule(policy="keep_in_touch", version="1"),
        "subject": "relationship",
        "subject_id": TIE,
        "occurrence": INTERVIEW,
        "interview_id": None,
        "late_seconds": 0,
        "urgency": "low",
        "topic": "keeping_in_touch",
        "armed_by": cause,
    }
    return on("notification", UUID(int=len(stage)), DUE.model_copy(update=ours | more))


def added(id: UUID, *chain: UUID, source: str = "referral") -> On:
    return on("contact", id, contact.Added(name="Somebody", source=source, seeker_id=SEEKER, introduced_by=chain))


def test_a_conversation_warms_and_a_missed_reminder_cools() -> None:
    """Given a tie, then it is untouched before the conversation, warm after it, and cooling after the last reminder."""
    history = happened(PLANNED)
    assert row(RELATIONSHIPS, history).warmth == "untouched"
    assert row(RELATIONSHIPS, history.add(HELD, THANKED)).warmth == "warm"
    assert row(RELATIONSHIPS, history.add(due("due"), due("again"))).warmth == "warm"
    assert row(RELATIONSHIPS, history.add(due("cooling"))).warmth == "cooling"
    warm = row(RELATIONSHIPS, history.add(TOUCHED))
    assert (warm.warmth, warm.last_touch, warm.touches, warm.conversations) == ("warm", "progress_update", 3, 1)


def test_the_last_touch_is_the_latest_that_happened() -> None:
    """Given a touch, when an earlier one is written down later, then the last one stays the last."""
    history = happened().add(TOUCHED, at=NOW)
    history.add(relationship.Connected(**PAIR, network="LinkedIn"), at=NOW - timedelta(days=3))
    found = row(RELATIONSHIPS, history)
    assert (found.last_touch, found.last_touch_at, found.networks) == ("progress_update", NOW, ("LinkedIn",))


def test_what_was_before_the_last_touch_warms_nothing() -> None:
    """Given a tie that cools since its last touch, when an earlier touch is written down, then it counts, and the tie
    cools on; a later one warms it."""
    history = happened().add(TOUCHED, at=NOW).add(due("cooling"), at=NOW + timedelta(days=120))
    before = row(RELATIONSHIPS, history.add(TOUCHED, at=NOW - timedelta(days=3)))
    assert (before.warmth, before.touches, before.last_touch_at) == ("cooling", 2, NOW)
    after = row(RELATIONSHIPS, history.add(TOUCHED, at=NOW + timedelta(days=1)))
    assert (after.warmth, after.touches) == ("warm", 3)


def test_a_touch_ends_the_snoozing_before_it() -> None:
    """Given a tie that is snoozed, when a touch is written down that was before that, then it stays snoozed; a touch
    after it ends the snoozing, and one that was wished before the last touch, or the last wish, does nothing."""
    until, later = NOW + timedelta(days=30), NOW + timedelta(days=60)
    history = happened().add(relationship.Snoozed(**PAIR, until=until), at=NOW)
    before = row(RELATIONSHIPS, history.add(TOUCHED, at=NOW - timedelta(days=1)))
    assert (before.snoozed_until, before.last_touch_at) == (until, NOW - timedelta(days=1))
    history.add(relationship.Snoozed(**PAIR, until=later), at=NOW - timedelta(hours=1))
    assert row(RELATIONSHIPS, history).snoozed_until == until
    assert row(RELATIONSHIPS, history.add(TOUCHED, at=NOW + timedelta(days=1))).snoozed_until is None
    assert row(RELATIONSHIPS, history.add(relationship.Snoozed(**PAIR, until=later), at=NOW)).snoozed_until is None
    history.add(relationship.Snoozed(**PAIR, until=later), at=NOW + timedelta(days=2))
    assert row(RELATIONSHIPS, history).snoozed_until == later


def test_who_wrote_after_the_introduction_is_not_to_write_again() -> None:
    """Given an introduction, then the next move is to write, also where a request before it was in vain; once they are
    asked for a conversation, what is next is that one's own, and after a touch to keep in touch."""
    people = People({ANA: Person(ANA, "Ana", None, None)})

    def move(history: History) -> str | None:
        return relationship_item(row(RELATIONSHIPS, history), people, None).next_move

    made = relationship.IntroductionMade(**PAIR, connector="Uncle Rui")
    history = happened(PLANNED).add(REQUESTED, at=NOW - timedelta(days=30)).add(made, at=NOW)
    assert move(history) == "write_to_contact"
    assert move(happened(PLANNED).add(made, at=NOW).add(REQUESTED, at=NOW - timedelta(days=30))) == "write_to_contact"
    assert move(history.add(REQUESTED, at=NOW + timedelta(days=1))) is None
    assert move(history.add(TOUCHED, at=NOW + timedelta(days=2))) == "keep_in_touch"


def test_the_relationships_own_state_is_the_domains() -> None:
    """Given an introduction asked for and a pause, then both show, and the pause is what the tie is found by."""
    history = happened(
        relationship.IntroductionRequested(**PAIR, connector="Uncle Rui"),
        relationship.Paused(**PAIR),
    )
    found = row(RELATIONSHIPS, history)
    assert (found.introduction, found.status) == ("requested", "paused")
    assert RELATIONSHIPS.file(found).state == "paused"


def test_each_event_is_an_entry_of_its_own() -> None:
    """Given what passed between two, then each event is one entry, with what is to be known at a glance."""
    found = rows(TIMELINE, happened(PLANNED, REQUESTED, HELD, THANKED, TOUCHED))
    assert [entry.type for entry in found.values()] == [
        "interview.planned",
        "interview.request_sent",
        "interview.held",
        "interview.thanked",
        "relationship.touchpoint_recorded",
    ]
    assert list(found) == sorted(found), "the key continues the order within one instant"
    facts = [entry.facts for entry in found.values()]
    assert facts[2] == {"format": "coffee", "minutes": 30, "overran": False}
    assert facts[4] == {"kind": "progress_update", "by": "seeker", "note": "I start on Monday"}
    assert {entry.relationship_id for entry in found.values()} == {TIE}


def test_a_meeting_with_two_is_on_both_timelines() -> None:
    """Given an interview with two, when one is thanked, then it is on both timelines, and the thanks on one."""
    both = {"seeker_id": SEEKER, "contact_ids": (ANA, BEN)}
    found = rows(
        TIMELINE,
        happened(
            interview.Held(**both, format="in_person"), interview.Thanked(**both, how="email", thanked_ids=(BEN,))
        ),
    )
    passed = sorted((entry.contact_id, entry.type) for entry in found.values())
    assert passed == [(ANA, "interview.held"), (BEN, "interview.held"), (BEN, "interview.thanked")]


def test_a_connector_sees_the_introduction_too() -> None:
    """Given that Ben introduced Ana, then that is an entry of his timeline as well."""
    made = relationship.IntroductionMade(**PAIR, connector_id=BEN, introduced_by=(BEN,))
    assert {entry.contact_id for entry in rows(TIMELINE, happened(made)).values()} == {ANA, BEN}
    ties = {tie.contact_id: tie for tie in rows(RELATIONSHIPS, happened(made)).values()}
    assert [(ties[each].status, ties[each].introduction, ties[each].introduced_by) for each in (ANA, BEN)] == [
        ("open", "made", (BEN,)),
        ("open", "new", ()),
    ]


def test_who_is_asked_or_introduces_is_in_touch() -> None:
    """Given a tie that cools, when the contact is asked for an introduction to somebody else and makes it, then they
    were in touch; whom it is about was not yet, and whoever is asked for names was."""
    asked = relationship.IntroductionRequested(seeker_id=SEEKER, contact_id=CLEO, connector_id=ANA)
    made = relationship.IntroductionMade(seeker_id=SEEKER, contact_id=CLEO, connector_id=ANA, introduced_by=(ANA,))
    history = happened(HELD, due("cooling"))
    assert row(RELATIONSHIPS, history).warmth == "cooling"
    ties = {tie.contact_id: tie for tie in rows(RELATIONSHIPS, history.add(asked, made)).values()}
    assert (ties[ANA].warmth, ties[ANA].touches, ties[ANA].last_touch) == ("warm", 3, "introduction_made")
    assert (ties[CLEO].warmth, ties[CLEO].touches, ties[CLEO].introduction) == ("untouched", 0, "made")
    history.add(relationship.ReferralAsked(**PAIR))
    assert rows(RELATIONSHIPS, history)[str(TIE)].last_touch == "referral_asked"


def test_the_words_of_a_connector_go_with_the_connector() -> None:
    """Given that Ben would not introduce Ana, when Ben is forgotten, then that it happened stays, without his words."""
    declined = relationship.IntroductionDeclined(**PAIR, connector_id=BEN, why="We fell out")
    history = happened(relationship.IntroductionRequested(**PAIR, connector_id=BEN), declined)
    entries = [each for each in rows(TIMELINE, history).values() if each.type == declined.type]
    assert {each.contact_id: each.facts["why"] for each in entries} == dict.fromkeys((ANA, BEN), "We fell out")
    history.add(on("contact", BEN, contact.Forgotten()))
    entries = [each for each in rows(TIMELINE, history).values() if each.type == declined.type]
    assert [each.facts for each in entries] == [{"connector_id": str(BEN)}] * 2
    told = history.events[1]
    assert emptied(told, {BEN: 3}, frozenset()).data == declined.model_copy(update={"why": None})
    assert emptied(told, {SEEKER: 3}, frozenset()) is told
    assert emptied(told, {BEN: 1}, frozenset()) is told


def test_a_conversation_opens_a_tie() -> None:
    """Given a plan, then nothing has passed between the two; once they have talked, their tie is open, and what is
    recorded of it since counts as it would have before."""
    history = happened(PLANNED, REQUESTED)
    assert row(RELATIONSHIPS, history).status == "new"
    assert row(RELATIONSHIPS, history.add(HELD, THANKED)).status == "open"
    assert row(RELATIONSHIPS, history.add(relationship.Paused(**PAIR))).status == "paused"
    assert row(RELATIONSHIPS, history.add(THANKED)).status == "paused"


def test_a_pause_ends_when_the_seeker_keeps_in_touch_anew() -> None:
    paused = relationship.Paused(**PAIR, until=date(2027, 1, 1))
    tie = row(RELATIONSHIPS, happened(paused, relationship.KeepInTouchStarted(**PAIR)))
    assert (tie.status, tie.paused_until) == ("open", None)


def test_who_is_left_in_peace_was_not_asked_again() -> None:
    """Given two of whom one was left out when the request was followed up, then it is in the other's timeline alone."""
    both = {"seeker_id": SEEKER, "contact_ids": (ANA, BEN)}
    again = interview.RequestFollowedUp(**both, channel="email", number=1, asked_ids=(BEN,))
    assert {entry.contact_id for entry in rows(TIMELINE, happened(again)).values()} == {BEN}


def test_a_contact_of_the_tenant_is_in_nobodys_timeline_or_network() -> None:
    """Given a contact whom no seeker brought in, then nothing has passed yet."""
    history = happened(ADDED)
    assert rows(TIMELINE, history) == {}
    assert rows(NETWORK, history) == {}


def test_a_network_grows_by_introductions() -> None:
    """Given Ana, who leads to Ben, who leads to Cleo, then each stands with who introduced them."""
    kept = lead.CameToSomething(**PAIR, kind="promised_introduction", new_contact_id=BEN)
    made = relationship.IntroductionMade(
        seeker_id=SEEKER, contact_id=BEN, connector_id=ANA, introduced_by=(ANA,), lead_id=LEAD
    )
    found = rows(NETWORK, happened(added(ANA, source="alumni_network"), kept, made, added(CLEO, BEN, ANA), HELD))
    edges = {each.contact_id: each.introducers for each in found.values()}
    assert edges == {ANA: (), BEN: (ANA,), CLEO: (BEN,)}
    ana = found[f"{SEEKER}/{ANA}"]
    assert (ana.source, ana.conversations) == ("alumni_network", 1)
    assert ana.first_held_at is not None


def test_who_introduced_or_gave_a_lead_is_in_the_network() -> None:
    """Given two contacts of the tenant, when one of them introduces Ana to the seeker and the other promises somebody,
    then the seeker knows both, with no edges of their own."""
    made = relationship.IntroductionMade(**PAIR, connector_id=BEN, connector="Ben of Porto", introduced_by=(BEN,))
    promised = lead.Recorded(seeker_id=SEEKER, contact_id=CLEO, kind="promised_introduction", what="To Dora")
    found = {each.contact_id: each for each in rows(NETWORK, happened(made, promised)).values()}
    assert {id: each.introducers for id, each in found.items()} == {ANA: (BEN,), BEN: (), CLEO: ()}
    assert (found[ANA].connector, found[BEN].connector) == ("Ben of Porto", None)


def test_who_gave_the_lead_to_a_conversation_led_to_whom_it_was_with() -> None:
    """Given Cleo, who was added without a word of Ana, when a conversation with Cleo was held that a lead of Ana's led
    to, as Ben had led to Ana, then Ana led to Cleo; of a conversation with two, nobody can say who led to which."""
    both = {"seeker_id": SEEKER, "format": "coffee", "introduced_by": (ANA, BEN)}
    for contact_ids, introducers in (((CLEO,), (ANA,)), ((CLEO, UUID(int=0xD0)), ())):
        history = happened(added(CLEO), interview.Held(**both, contact_ids=contact_ids))
        assert rows(NETWORK, history)[f"{SEEKER}/{CLEO}"].introducers == introducers


def test_who_joined_first_stays_first() -> None:
    """Given a contact, when more is heard of them, then when they joined does not change: pages stay as they are."""
    history = happened(added(ANA))
    joined = row(NETWORK, history).joined_at
    events: list[Event] = [PLANNED, HELD, TOUCHED]
    assert row(NETWORK, history.add(*events)).joined_at == joined
