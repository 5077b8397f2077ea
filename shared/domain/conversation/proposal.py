"""Propose a list of questions for a purpose and a contact: about ten in order, and some in reserve."""

import re
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import get_args

from shared.domain.conversation.bank import BANK, BankQuestion, Topic
from shared.domain.conversation.judgement import check_question
from shared.domain.conversation.question_list import asks_whom_else
from shared.domain.conversation.reading import tokens
from shared.domain.values import Purpose

_PLAIN = {"{field}": "this field", "{company}": "your company", "{role}": "a role like yours"}
_SLOT = re.compile("|".join(re.escape(slot) for slot in _PLAIN))
_FITS_EXACTLY = 2
"""What a question gains in weight when it speaks of the contact's own field, company or role."""


@dataclass(frozen=True, slots=True)
class ProposedQuestion:
    """A question of the bank with its slots filled in."""

    id: str
    topic: Topic
    text: str


@dataclass(frozen=True, slots=True)
class Proposal:
    """Questions in the order to ask them, *whom else* at the end; the reserve in the same order of topics."""

    questions: tuple[ProposedQuestion, ...]
    reserve: tuple[ProposedQuestion, ...]


def propose(
    purpose: Purpose,
    *,
    role: str | None = None,
    field: str | None = None,
    company: str | None = None,
    count: int = 10,
    reserve: int = 5,
    exclude: Collection[str] = (),
) -> Proposal:
    """Choose `count` questions and a reserve; the same arguments always give the same answer.

    Every topic has its turn before one has a second; within a turn weight decides. `exclude` holds ids of questions
    that were asked before; the closing question alone may come again when no other is left. The bank may hold fewer
    than are asked for. Raises `ValueError` for an unknown purpose, `count` below 1 or `reserve` below 0.
    """
    if count < 1 or reserve < 0:
        raise ValueError("count must be at least 1 and reserve at least 0")
    if purpose not in get_args(Purpose):
        raise ValueError(f"unknown purpose {purpose!r}: one of {', '.join(get_args(Purpose))}")
    given = {"{field}": _tidy(field), "{company}": _tidy(company), "{role}": _tidy(role)}
    fitting = [q for q in BANK if purpose in q.purposes and _suits(q, given["{role}"])]
    left = [q for q in fitting if q.id not in exclude]

    def by_weight(question: BankQuestion) -> int:
        return -(question.weight + _FITS_EXACTLY * any(v and s in question.text for s, v in given.items()))

    closing = _closing(left, fitting)
    ranked = _by_turns([q for q in left if q is not closing], by_weight)
    chosen, spare = ranked[: count - 1], ranked[count - 1 : count - 1 + reserve]
    return Proposal(
        tuple(_filled(q, given) for q in _in_order([*chosen, closing])),
        tuple(_filled(q, given) for q in _in_order(spare)),
    )


def _tidy(value: str | None) -> str:
    return " ".join(value.split()) if value else ""


def _suits(question: BankQuestion, role: str) -> bool:
    return not question.role_words or not question.role_words.isdisjoint(token.word for token in tokens(role))


def _closing(left: Sequence[BankQuestion], fitting: Sequence[BankQuestion]) -> BankQuestion:
    """Return the weightiest question that asks for others, an excluded one only when no other is left."""
    last = [q for q in left if _closes(q)] or [q for q in fitting if _closes(q)]
    return max(last, key=lambda q: q.weight)


def _closes(question: BankQuestion) -> bool:
    """Say whether it may end a list: what only follows upon a name can't, for there may be none yet."""
    return question.topic is Topic.WHOM_ELSE and asks_whom_else(question.text)


def _by_turns(questions: Sequence[BankQuestion], by_weight: Callable[[BankQuestion], int]) -> list[BankQuestion]:
    """Order by turn (each topic's best, then each topic's second …), then by plain weight; ties keep the bank's order.

    Within a topic, what speaks of this contact comes first; between topics that must not count, or naming the
    company would crowd out the typical day.
    """
    turns: list[tuple[int, BankQuestion]] = []
    for topic in Topic:
        best_first = sorted((q for q in questions if q.topic is topic), key=by_weight)
        # The closing question has taken the first turn of its topic.
        turns += [(turn + (topic is Topic.WHOM_ELSE), q) for turn, q in enumerate(best_first)]
    return [q for _, q in sorted(turns, key=lambda pair: (pair[0], -pair[1].weight))]


def _in_order(questions: Sequence[BankQuestion]) -> list[BankQuestion]:
    """Order by topic; at the end, what follows upon a name comes after what asks for one."""
    order = list(Topic)
    return sorted(questions, key=lambda q: (order.index(q.topic), q.topic is Topic.WHOM_ELSE and not _closes(q)))


def _filled(question: BankQuestion, given: dict[str, str]) -> ProposedQuestion:
    """Return the question about this contact; in plain words when rule 3 takes theirs for an ask (*Open Roles Ltd*)."""
    text, plain = _with_slots(question.text, given), _with_slots(question.text, dict.fromkeys(given, ""))
    if text != plain and check_question(text).verdict != "ok":
        text = plain
    return ProposedQuestion(question.id, question.topic, text)


def _with_slots(text: str, given: dict[str, str]) -> str:
    def value(slot: re.Match[str]) -> str:
        own = given[slot.group()]
        if not own:
            return _PLAIN[slot.group()]
        return f"the role of {own}" if slot.group() == "{role}" else own

    # In one pass: what is put into one slot is never searched for another.
    return _SLOT.sub(value, text)
