"""The question bank, proposals from it, and advice on a list."""

from __future__ import annotations

from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.domain.conversation import BANK, Topic, check_list, check_question, propose
from shared.domain.values import Purpose

_PURPOSES: tuple[Purpose, ...] = get_args(Purpose)


def test_every_question_of_the_bank_may_be_asked() -> None:
    """Given the bank, when rule 3 judges it, then every question is judged and ok."""
    judged = {q.id: check_question(q.text) for q in BANK}
    assert {id_: j.words for id_, j in judged.items() if j.verdict != "ok" or not j.judged} == {}


def test_ids_and_texts_are_unique_and_every_topic_serves_every_purpose() -> None:
    """Given the bank, then ids and texts are unique, weights lie from 1 to 9, and no purpose lacks a topic."""
    assert len({q.id for q in BANK}) == len({q.text for q in BANK}) == len(BANK)
    assert all(1 <= q.weight <= 9 for q in BANK)
    for purpose in _PURPOSES:
        assert {q.topic for q in BANK if purpose in q.purposes and not q.role_words} == set(Topic)


@pytest.mark.parametrize("purpose", _PURPOSES)
def test_a_proposal_has_ten_questions_in_order_and_a_reserve(purpose: Purpose) -> None:
    """Given a purpose, when ten are proposed, then topics come in conversational order and *whom else* comes last."""
    proposal = propose(purpose, role="engineering manager", field="robotics", company="Acme Corp")
    order = [list(Topic).index(q.topic) for q in proposal.questions]
    assert (len(proposal.questions), len(proposal.reserve)) == (10, 5)
    assert order == sorted(set(order))
    assert proposal.questions[-1].topic is Topic.WHOM_ELSE
    texts = [q.text for q in (*proposal.questions, *proposal.reserve)]
    assert len(set(texts)) == 15
    assert not any("{" in text for text in texts)
    assert all(check_question(text).verdict == "ok" for text in texts)


def test_a_proposal_speaks_of_the_contact() -> None:
    """Given the contact's company, when questions on it are proposed, then they name it, or say *your company*."""
    named = [q.text for q in propose("company", company="Acme").questions]
    unnamed = [q.text for q in propose("company").questions]
    assert any("Acme" in text for text in named)
    assert any("your company" in text for text in unnamed)


def test_questions_on_leading_are_for_those_who_lead() -> None:
    """Given a role that leads others, when all is proposed, then questions on leading are there, and only then."""
    leading = {q.id for q in propose("field", role="Team-Lead", count=60).questions}
    other = {q.id for q in propose("field", role="analyst", count=60).questions}
    assert "path-lead" in leading - other


@pytest.mark.parametrize("role", ["Director, Marketing", "Head/Owner", "V.P. (Sales)", "(managing) partner"])
def test_a_role_is_read_word_by_word(role: str) -> None:
    """Given a role with marks about its words, when all is proposed, then questions on leading are there."""
    assert "path-lead" in {q.id for q in propose("field", role=role, count=60).questions}


_AWKWARD_FIELDS = (
    "recruiting", "recruitment", "hiring", "talent acquisition", "executive search", "human resources", "HR",
    "staffing", "payroll", "compensation consulting", "compensation and benefits", "pensions", "income tax",
    "sales commissions", "equity research", "job placement", "employment law", "internships", "apprenticeship training",
    "referral marketing", "vacancy management", "opening ceremonies", "interviewing", "coffee", "the US military",
)  # fmt: skip


@pytest.mark.parametrize("field", _AWKWARD_FIELDS)
@pytest.mark.parametrize("purpose", _PURPOSES)
def test_a_field_that_sounds_like_an_ask_can_be_asked_about(purpose: Purpose, field: str) -> None:
    """Given work with jobs or pay, when all the bank has for it is proposed, then rule 3 accepts every question."""
    texts = [q.text for q in propose(purpose, field=field, count=len(BANK)).questions]
    assert {text for text in texts if check_question(text).verdict != "ok"} == set()


def test_recruiting_is_called_by_its_name() -> None:
    """Given a recruiter's field, when all is proposed, then questions name it: they ask for nothing."""
    texts = [q.text for q in propose("field", field="recruiting", count=len(BANK)).questions]
    assert "Knowing what you know now, would you choose recruiting again?" in texts


def test_a_name_that_reads_as_an_ask_is_left_out() -> None:
    """Given a company whose name would make a question an ask, when proposed, then the question does without it."""
    texts = [q.text for q in propose("company", company="Open Roles Ltd", count=len(BANK)).questions]
    assert all(check_question(text).verdict == "ok" for text in texts)
    assert any("Open Roles Ltd" in text for text in texts)
    assert any("your company" in text for text in texts)


def test_what_was_asked_before_is_left_out() -> None:
    """Given ids asked before, when proposed again, then they are left out, but the list still ends with *whom else*."""
    first = propose("role")
    again = propose("role", exclude=[q.id for q in first.questions])
    assert not {q.id for q in first.questions} & {q.id for q in (*again.questions, *again.reserve)}
    nothing_left = propose("role", exclude=[q.id for q in BANK])
    assert [q.topic for q in nothing_left.questions] == [Topic.WHOM_ELSE]


@pytest.mark.parametrize("purpose", _PURPOSES)
def test_every_further_conversation_ends_with_whom_else(purpose: Purpose) -> None:
    """Given all that was asked in earlier conversations, when proposed again, then the list asks whom else to meet."""
    asked: list[str] = []
    for _ in range(8):
        proposal = propose(purpose, field="public health and safety", company="Acme", exclude=asked)
        advice = {advice.code for advice in check_list([q.text for q in proposal.questions], 30)}
        assert "no_closing_question" not in advice
        asked += [q.id for q in proposal.questions]


def test_what_follows_upon_a_name_comes_after_asking_for_one() -> None:
    """Given all questions, when proposed, then *when I write to them* stands after every *whom else*."""
    ids = [q.id for q in propose("field", count=len(BANK)).questions if q.topic is Topic.WHOM_ELSE]
    assert ids == ["else-other-side", "else-who", "else-name"]
    left = propose("field", exclude=[q.id for q in BANK if q.id != "else-name"]).questions
    assert [q.id for q in left] == ["else-who", "else-name"]


def test_slot_values_are_taken_literally() -> None:
    """Given a company whose name looks like a slot, when proposed, then it is inserted as it is."""
    texts = [q.text for q in propose("company", company="{role}\n  & {x}").questions]
    assert any("{role} & {x}" in text for text in texts)


@given(st.sampled_from(_PURPOSES), st.integers(1, 70), st.integers(0, 70), st.none() | st.text(max_size=20))
def test_proposals_are_deterministic_and_never_overlap(
    purpose: Purpose, count: int, reserve: int, role: str | None
) -> None:
    """Given any wishes, when proposed twice, then the answers are equal, within bounds, and end with *whom else*."""
    proposal = propose(purpose, role=role, count=count, reserve=reserve)
    assert proposal == propose(purpose, role=role, count=count, reserve=reserve)
    assert 1 <= len(proposal.questions) <= count
    assert len(proposal.reserve) <= reserve
    assert proposal.questions[-1].topic is Topic.WHOM_ELSE
    ids = [q.id for q in (*proposal.questions, *proposal.reserve)]
    assert len(ids) == len(set(ids))


def test_impossible_wishes_are_refused() -> None:
    """Given no questions, a negative reserve or an unknown purpose, when proposed, then it is an error."""
    with pytest.raises(ValueError, match="count"):
        propose("field", count=0)
    with pytest.raises(ValueError, match="reserve"):
        propose("field", reserve=-1)
    with pytest.raises(ValueError, match="unknown purpose"):
        propose("fame")  # type: ignore[arg-type]


def test_a_good_list_needs_no_advice() -> None:
    """Given a proposed list of ten for half an hour, when it is checked, then there is nothing to say."""
    assert check_list([q.text for q in propose("field").questions], 30) == []


def test_too_few_questions_are_a_warning() -> None:
    """Given four questions, when the list is checked, then it says there are too few; five are enough."""
    questions = [q.text for q in propose("field", count=5).questions]
    assert [a.code for a in check_list(questions[1:], 30)] == ["too_few"]
    assert check_list(questions, 30) == []


def test_too_many_questions_go_to_the_reserve_but_not_the_last_one() -> None:
    """Given twelve questions for 20 minutes, when checked, then those beyond six go to reserve, but *whom else*."""
    questions = [q.text for q in propose("field", count=12).questions]
    (advice,) = check_list(questions, 20)
    assert (advice.code, advice.indexes) == ("too_many", (5, 6, 7, 8, 9, 10))


def test_a_short_meeting_still_has_room_for_five() -> None:
    """Given five questions for ten minutes, when checked, then none is too many."""
    assert check_list([q.text for q in propose("field", count=5).questions], 10) == []


def test_a_question_asked_again_is_found() -> None:
    """Given a question put twice in nearly the same words, when checked, then the second place is named."""
    questions = [q.text for q in propose("field", count=6).questions]
    questions.insert(3, "Can you tell me: " + questions[0].upper())
    advice = {a.code: a.indexes for a in check_list(questions, 30)}
    assert advice == {"duplicate": (3,)}


def test_a_list_should_end_with_whom_else() -> None:
    """Given a list without the closing question, when checked, then it is recommended."""
    questions = [q.text for q in propose("field", count=7).questions][:-1]
    assert [a.code for a in check_list(questions, 30)] == ["no_closing_question"]


@pytest.mark.parametrize(
    ("last", "closes"),
    [
        ("Who sees this quite differently, and might talk to me too?", True),
        ("Are there other people I should meet?", True),
        ("Do you know any more people who do this?", True),
        ("Could you put me in touch with other people?", True),
        ("How did you come to lead other people?", False),
        ("What do you know that other people don't?", False),
        ("When I write to them, may I say that we have spoken?", False),
    ],
)
def test_only_asking_for_people_closes_a_list(last: str, closes: bool) -> None:
    """Given a list's last question, when the list is checked, then only one that asks for people closes it."""
    questions = [*(q.text for q in propose("field", count=6).questions[:-1]), last]
    assert ("no_closing_question" not in {a.code for a in check_list(questions, 30)}) is closes


def test_an_empty_list_has_too_few() -> None:
    """Given no questions, when checked, then that is all that is said."""
    assert [a.code for a in check_list([], 30)] == ["too_few"]


@pytest.mark.parametrize("minutes", [0, -5])
def test_time_must_be_positive(minutes: int) -> None:
    """Given no time at all, when checked, then it is an error."""
    with pytest.raises(ValueError, match="minutes"):
        check_list(["Why?"], minutes)
