"""Advice on a whole list of questions: is it too short, too long for the time, does it repeat itself?"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

from shared.domain.conversation.patterns import Compiler, PatternSet, Text
from shared.domain.conversation.reading import STOPS, tokens, word_set
from shared.domain.conversation.vocabulary import VOCABULARY

FEWEST = 5
"""Fewer questions than this leave a conversation dry (career centres: five to ten for half an hour)."""

MINUTES_EACH = 3
"""What one question takes, answer included: ten in half an hour."""

AdviceCode = Literal["too_few", "too_many", "duplicate", "no_closing_question"]

_FILLER = word_set("a an the do does did is are you your to of in for please could would can tell me")
_CLOSING = PatternSet(
    (
        "who|whom|anyone|anybody|someone|somebody else",
        "who|whom ~4 talk|speak|meet|contact|interview next|to|with",
        "who|whom & talk|speak to|with me",
        "other|more people ~3 i|recommend|suggest|worth",
        "know any|of|some? other|more people",
        "anyone ~3 recommend|suggest",
        "introduce|refer|connect|put me ~2 to|with|touch",
    ),
    Compiler(VOCABULARY, {}),
)


@dataclass(frozen=True, slots=True)
class Advice:
    """One remark on a list; `indexes` are the zero-based places of the questions it speaks of."""

    code: AdviceCode
    text: str
    indexes: tuple[int, ...] = ()


def check_list(questions: Sequence[str], minutes: int) -> list[Advice]:
    """Advise on a list of questions for a conversation of `minutes`; an empty answer means that all is well.

    Raises `ValueError` when `minutes` is not positive.
    """
    if minutes <= 0:
        raise ValueError("minutes must be positive")
    advice: list[Advice] = []
    if len(questions) < FEWEST:
        advice.append(Advice("too_few", f"Have at least {FEWEST} questions ready, and some in reserve."))
    closing = [i for i, text in enumerate(questions) if asks_whom_else(text)]
    room = max(FEWEST, minutes // MINUTES_EACH)
    if len(questions) > room:
        to_reserve = _overflow(len(questions), room, closing[-1:])
        text = f"About {room} questions fit into {minutes} minutes; keep the others in reserve."
        advice.append(Advice("too_many", text, to_reserve))
    if repeated := _repeated(questions):
        advice.append(Advice("duplicate", "These ask again what was asked before.", repeated))
    if questions and not closing:
        advice.append(Advice("no_closing_question", "End by asking whom else you should talk to."))
    return advice


def _overflow(total: int, room: int, kept: Sequence[int]) -> tuple[int, ...]:
    """Return the last places beyond the room, sparing the closing question."""
    movable = [i for i in range(total) if i not in kept]
    return tuple(movable[room - len(kept) :])


def _repeated(questions: Sequence[str]) -> tuple[int, ...]:
    seen: set[frozenset[str]] = set()
    again: list[int] = []
    for index, text in enumerate(questions):
        gist = frozenset(_words(text)) - _FILLER - STOPS
        if gist and gist in seen:
            again.append(index)
        seen.add(gist)
    return tuple(again)


def asks_whom_else(text: str) -> bool:
    """Say whether a question asks for others to talk to: how a conversation should end."""
    return _CLOSING.found_in(Text(_words(text)))


@lru_cache(maxsize=1024)
def _words(text: str) -> tuple[str, ...]:
    """Kept, because every list asks twice, and many lists hold the same questions of the bank."""
    return tuple(token.word for token in tokens(text))
