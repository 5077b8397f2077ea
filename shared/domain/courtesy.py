"""Rule 3: it is not a job interview. What is asked or sent is judged before it becomes an event."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import lru_cache

from shared.domain.conversation.judgement import Judgement, check_question
from shared.domain.kernel import Refusal
from shared.domain.refusals import refusal

Wording = tuple[str, str | None]
"""Where a text stands in the body, as a JSON pointer, and the text."""

INTENTS = {
    "asks_for_job": "To learn what people look for who hire for a role like yours.",
    "asks_to_find_job": "To learn how people find their way into this field.",
    "asks_own_pay": "To learn what a role like yours asks of people, and what they find rewarding in it.",
    "near_job_ask": "To learn which skills, education and experience a role like yours takes.",
    "typical_pay": "To learn what people who begin in this field can expect.",
}
"""Code → what to want instead. What the rules suggest instead is a question to the contact."""


def check_wording(wordings: Iterable[Wording]) -> None:
    """Refuse the first text that asks for a job, for the contact's pay, or to be found one."""
    for pointer, judgement in judged(wordings):
        if judgement.verdict == "refused":
            raise _refused(pointer, judgement)


def judged(wordings: Iterable[Wording]) -> Iterator[tuple[str, Judgement]]:
    """Where, and what rule 3 says of it, for each text that there is."""
    return ((pointer, _judged(text)) for pointer, text in wordings if text)


def instead(pointer: str, judgement: Judgement) -> str:
    """How to put it better, as what stands there: a question, or what the seeker wants to learn."""
    intent = None if pointer.startswith(("/questions/", "/reserve/")) else INTENTS.get(judgement.code or "")
    return intent or judgement.suggestion or ""


_judged = lru_cache(maxsize=1024)(check_question)
"""A command is judged, judged again when somebody else was quicker, and advised on: once is enough."""


def _refused(pointer: str, judgement: Judgement) -> Refusal:
    words = ", ".join(f"“{each}”" for each in judgement.words)
    return refusal(
        judgement.code or "asks_for_job",
        f"{judgement.reason} The words: {words}",
        field=pointer,
        suggestion=instead(pointer, judgement),
    )
