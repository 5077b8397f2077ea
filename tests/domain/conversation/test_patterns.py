"""The pattern language that the rules are written in."""

from __future__ import annotations

import pytest

from shared.domain.conversation.patterns import Compiler, PatternSet, Text, UnknownWordClass
from shared.domain.conversation.reading import tokens

_VOCABULARY = {"hire": frozenset({("hire",), ("take", "on")})}
_CONCEPTS = {"ask": ("can|could you", "please"), "favour": ("<ask> ~2 @hire me", "a job !board")}


def _set(pattern: str) -> PatternSet:
    return PatternSet([pattern], Compiler(_VOCABULARY, _CONCEPTS))


def _matches(pattern: str, text: str) -> list[str]:
    words = [token.word for token in tokens(text)]
    return [" ".join(words[m.first : m.last]) for m in _set(pattern).find(Text(words))]


@pytest.mark.parametrize(
    ("pattern", "text", "found"),
    [
        ("@hire me", "please take on me", ["take on me"]),
        ("you ~2 hire", "you would never hire", ["you would never hire"]),
        ("you ~1 hire", "you would never hire", []),
        ("you ~3 hire", "you know; hire", []),
        ("you ~3 hire", "you know but hire", []),
        ("please? hire me", "please hire me", ["please hire me", "hire me"]),
        ("take me !on|to", "take me on", []),
        ("take me !on|to", "take me home", ["take me"]),
        ("^ hire", "so hire", []),
        ("^ hire", "so, hire", ["hire"]),
        ("make $", "what do you make, then", ["make"]),
        ("make $", "what do you make of it", []),
        ("make now|$", "what do you make now", ["make now"]),
        ("<ask> hire", "could you hire", ["could you hire"]),
        ("<ask>|do hire", "please hire, or do hire", ["please hire", "do hire"]),
        ("<favour>", "can you now take on me", ["can you now take on me"]),
        ("<favour>", "is a job board a job", ["a job"]),
        ("hire <ask>? me", "hire please me", ["hire please me"]),
        ("hire <ask>? me", "hire me", ["hire me"]),
        ("hire !<ask>", "hire please or hire", ["hire"]),
        ("me & <ask>", "could you, for once, hire me", ["me", "could you"]),
        ("me & <ask>", "hire me", []),
    ],
)
def test_an_element_matches_as_documented(pattern: str, text: str, found: list[str]) -> None:
    """Given a pattern and a text, when it is looked for, then it is found where the table of elements says."""
    assert _matches(pattern, text) == found


@pytest.mark.parametrize("pattern", ["@nobody me", "part-time", "Hire", "<nothing>", "<ask"])
def test_a_pattern_that_can_never_match_is_an_error(pattern: str) -> None:
    """Given an unknown class, or a word that is never read as one plain word, when compiled, then it is refused."""
    with pytest.raises(UnknownWordClass):
        Compiler(_VOCABULARY, _CONCEPTS).pattern(pattern)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("What’s ur salary?", "what is your salary ?"),
        ("Can't u hire me", "can not you hire me"),
        ("your company's job 4 me", "your company 's job for me"),
        ("Résumé—or CV", "resume ; or cv"),
        ("I have 4", "i have 4"),
        ("Pass my C.V. to H.R.", "pass my cv to hr"),
        ("e-mail: a.b.", "e mail : ab"),
        ("You hire US graduates", "you hire usa graduates"),
        ("You hire u.s. graduates", "you hire usa graduates"),
        ("HIRE US", "hire us"),
        ("Hire us", "hire us"),
    ],
)
def test_text_is_read_as_plain_words(text: str, words: str) -> None:
    """Given English as people type it, when it is read, then contractions and shorthand are written out."""
    assert [token.word for token in tokens(text)] == words.split()
