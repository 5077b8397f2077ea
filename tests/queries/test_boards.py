"""Programme board and contact load: what coaches and contacts live with."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from services.projector.models import LEADS, PIPELINE
from services.projector.models.leads import LeadRow
from services.projector.models.participant import ParticipantRow
from services.projector.models.pipeline import PipelineRow
from services.projector.queries.board import board_of
from shared.domain import contact, interview, lead, programme
from shared.operations.turns import AT_ONCE
from tests.domain.scenario import (
    ACCEPTED,
    ADDED,
    ANA,
    ASKED,
    BEN,
    COACH,
    HELD,
    PLANNED,
    PROGRAMME,
    REGISTERED,
    REQUESTED,
    SCHEDULED,
    SEEKER,
    WHOSE,
    on,
)
from tests.models.history import happened
from tests.queries.conftest import TENANT, Library
from tests.turns import with_turns

ENROLLED = datetime(2026, 10, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)
ONE, TWO, THREE = (UUID(int=number) for number in (1, 2, 3))
BOARD = f"{TENANT}/programmes/{PROGRAMME}"


def participant(seeker_id: UUID, **more: Any) -> ParticipantRow:
    return ParticipantRow(PROGRAMME, seeker_id, COACH, ENROLLED, ENROLLED, **more)


def talk(seeker_id: UUID, **hours: int) -> PipelineRow:
    """An interview whose milestones lie so many hours after enrolment."""
    times: dict[str, Any] = {f"{name}_at": ENROLLED + number * HOUR for name, number in hours.items()}
    return PipelineRow(
        interview_id=ONE,
        seeker_id=seeker_id,
        contact_ids=(ANA,),
        purpose="field",
        about="Publishing",
        programme_id=None,
        lead_id=None,
        format=None,
        planned_at=ENROLLED,
        moved_at=ENROLLED,
        **times,
    )


def advice(seeker_id: UUID, acted: int | None) -> LeadRow:
    return LeadRow(
        lead_id=ONE,
        seeker_id=seeker_id,
        contact_id=ANA,
        interview_id=None,
        kind="advice",
        what="Learn",
        person=None,
        employer=None,
        resource=None,
        until=None,
        state="acted_on",
        owed_by=None,
        recorded_at=ENROLLED,
        moved_at=ENROLLED,
        acted_on_at=None if acted is None else ENROLLED + acted * HOUR,
    )


async def test_the_funnel_counts_participants_and_conversations() -> None:
    """Given three participants of whom one got through twice, one half-way, one not at all, then the funnel narrows."""
    board = await board_of(
        [participant(ONE), participant(TWO), participant(THREE, left_at=ENROLLED + HOUR)],
        [
            talk(ONE, requested=10, accepted=20, held=100, thanked=110),
            talk(ONE, requested=30, accepted=60, held=200, thanked=260),
            talk(TWO, requested=40, accepted=50),
        ],
        [advice(ONE, 120), advice(TWO, None)],
    )
    assert [(step.step, step.participants, step.count) for step in board.funnel] == [
        ("asked", 2, 3),
        ("accepted", 2, 3),
        ("held", 1, 2),
        ("thanked_within_a_day", 1, 1),
        ("leads_acted_on", 1, 1),
    ]
    assert board.funnel[2].share == 0.3333
    assert (board.participants, board.enrolled, board.never_held_one) == (3, 2, 2)
    assert [(each.start, each.end, each.count, each.median_hours) for each in board.between] == [
        ("enrolled", "asked", 2, 25.0),
        ("asked", "accepted", 3, 10.0),
        ("accepted", "held", 2, 110.0),
        ("held", "thanked", 2, 35.0),
    ]


async def test_what_was_before_the_programme_is_not_its_doing() -> None:
    """Given a conversation and a lead from before enrolment, or of somebody else, then they do not count."""
    board = await board_of(
        [participant(ONE)],
        [talk(ONE, requested=-30, held=-5), talk(TWO, requested=5)],
        [advice(ONE, -1), advice(TWO, 3)],
    )
    assert [step.count for step in board.funnel] == [0, 0, 0, 0, 0]
    assert board.never_held_one == 1


async def test_a_programme_without_participants_has_a_board() -> None:
    """Given nobody, then every share is nought and no time is known."""
    board = await board_of([], [], [])
    assert {step.share for step in board.funnel} == {0.0}
    assert {each.median_hours for each in board.between} == {None}


async def test_a_large_board_leaves_others_their_turns() -> None:
    """Given many interviews and leads, then other tasks have their turns while they are decoded and counted."""
    talks = [PIPELINE.encode(talk(ONE, requested=1, accepted=2, held=3))] * 1000
    acted = [LEADS.encode(advice(ONE, 4))] * 1000
    board, turns = await with_turns(board_of([participant(ONE)], map(PIPELINE.decode, talks), map(LEADS.decode, acted)))
    assert [step.count for step in board.funnel] == [1000, 1000, 1000, 0, 1000]
    assert turns >= 2000 // AT_ONCE


PAIRING = {"seeker_id": SEEKER, "contact_id": ANA, "coach_id": COACH}
ENROLLED_STORY = (
    REGISTERED,
    ADDED,
    programme.Created(title="Autumn"),
    programme.CoachAssigned(coach_id=COACH, name="Rui"),
    programme.ParticipantEnrolled(seeker_id=SEEKER, coach_id=COACH),
    programme.MatchProposed(**PAIRING),
    programme.MatchAccepted(**PAIRING),
    PLANNED,
    REQUESTED,
    ASKED,
    ACCEPTED,
    SCHEDULED,
    HELD,
    interview.Thanked(**WHOSE, how="email", thanked_ids=(ANA,)),
    lead.Recorded(seeker_id=SEEKER, contact_id=ANA, kind="advice", what="Learn"),
    lead.ActedOn(seeker_id=SEEKER, contact_id=ANA, kind="advice"),
)


async def test_the_board_of_a_programme(library: Library) -> None:
    """Given a participant who was matched, held a conversation, and acted on a lead, then the board shows it."""
    await library.fold(happened(*ENROLLED_STORY))
    answer = await library.get(f"{BOARD}/board")
    assert (answer["programme"]["title"], answer["programme"]["coaches"][0]["name"]) == ("Autumn", "Rui")
    board = answer["board"]
    assert [step["participants"] for step in board["funnel"]] == [1, 1, 1, 1, 1]
    assert (board["matches_accepted"], board["never_held_one"], board["complete"]) == (1, 0, True)
    [item] = (await library.get(f"{BOARD}/participants", state="enrolled"))["items"]
    assert (item["name"], item["matched_contact_id"]) == ("Mona Quist", str(ANA))
    [listed] = (await library.get(f"{TENANT}/programmes"))["items"]
    assert listed["programme_id"] == str(PROGRAMME)


async def test_who_comes_back_has_done_what_they_did_before(library: Library) -> None:
    """Given a participant who was matched, talked, left and enrolled again, then the board counts the conversation as
    it does the match, and the listing tells both days."""
    history = happened(*ENROLLED_STORY)
    await library.fold(history)
    before = (await library.get(f"{BOARD}/board"))["board"]
    first = next(e.occurred_at for e in history.events if isinstance(e.data, programme.ParticipantEnrolled))
    history.add(programme.ParticipantLeft(seeker_id=SEEKER), programme.ParticipantEnrolled(seeker_id=SEEKER))
    await library.fold(history)
    board = (await library.get(f"{BOARD}/board"))["board"]
    assert board == before
    assert (board["matches_accepted"], board["never_held_one"]) == (1, 0)
    [item] = (await library.get(f"{BOARD}/participants"))["items"]
    assert datetime.fromisoformat(item["first_enrolled_at"]) == first
    assert datetime.fromisoformat(item["enrolled_at"]) == history.events[-1].occurred_at


@pytest.mark.parametrize("proposed", [False, True])
async def test_a_coach_who_comes_later_looks_after_those_who_had_none(library: Library, proposed: bool) -> None:
    """Given a participant who enrolled before there was a coach, and one who left before, when two coaches are
    assigned, then who takes part still is the first one's, whether or not anything has happened to them since."""
    other, second = UUID(int=0x77), UUID(int=0x78)
    await library.fold(
        happened(
            REGISTERED,
            ADDED,
            programme.Created(title="Autumn"),
            programme.ParticipantEnrolled(seeker_id=other),
            programme.ParticipantLeft(seeker_id=other),
            programme.ParticipantEnrolled(seeker_id=SEEKER),
            programme.CoachAssigned(coach_id=COACH),
            programme.CoachAssigned(coach_id=second),
            programme.CoachAssigned(coach_id=COACH, name="Rui"),
            *([programme.MatchProposed(**PAIRING)] if proposed else []),
        )
    )
    items = (await library.get(f"{BOARD}/participants"))["items"]
    assert {item["seeker_id"]: item["coach_id"] for item in items} == {str(other): None, str(SEEKER): str(COACH)}


async def test_an_unknown_programme_has_no_board(library: Library) -> None:
    """Given no such programme, then board and participants are 404."""
    for path in ("board", "participants"):
        assert (await library.get(f"{BOARD}/{path}", 404))["code"] == "unknown_programme"


async def test_the_load_of_a_contact_against_capacity(library: Library) -> None:
    """Given a capacity of two and one request in November, then one place is free; December stands by itself."""
    december = contact.Asked(seeker_id=SEEKER, interview_id=BEN, month="2026-12")
    await library.fold(happened(REGISTERED, ADDED.model_copy(update={"capacity": 2}), ASKED, december))
    answer = await library.get(f"{TENANT}/contacts/{ANA}/load")
    assert [(item["month"], item["requests"], item["capacity"], item["free"]) for item in answer["items"]] == [
        ("2026-12", 1, 2, 1),
        ("2026-11", 1, 2, 1),
    ]
    [november] = (await library.get(f"{TENANT}/contacts/{ANA}/load", month="2026-11"))["items"]
    assert november["name"] == "Ana Reis"
    assert (await library.get(f"{TENANT}/contacts/{BEN}/load", 404))["code"] == "unknown_contact"
    assert (await library.get(f"{TENANT}/contacts/{ANA}"))["item"]["capacity"] == 2


async def test_every_contacts_load_of_a_month(library: Library) -> None:
    """Given two contacts who were asked, one without capacity, then the month's list has both."""
    other = contact.Asked(seeker_id=SEEKER, interview_id=BEN, month="2026-11")
    earlier = contact.Asked(seeker_id=SEEKER, interview_id=BEN, month="2026-10")
    await library.fold(
        happened(REGISTERED, ADDED, on("contact", BEN, ADDED), ASKED, on("contact", BEN, other), earlier)
    )
    items = (await library.get(f"{TENANT}/contact-load", month="2026-11"))["items"]
    assert {(item["contact_id"], item["requests"], item["free"]) for item in items} == {
        (str(ANA), 1, None),
        (str(BEN), 1, None),
    }
    assert len((await library.get(f"{TENANT}/contact-load"))["items"]) == 3
    await library.get(f"{TENANT}/contact-load", 422, month="2026-13")
