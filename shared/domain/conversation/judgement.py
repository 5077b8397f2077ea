"""Rule 3, *it is not a job interview*: judge a question, a request or an agenda item.

A text is cut into sentences, each is read as plain words, and the rules' patterns are looked for. A match that
shares words with an innocent reading does not count. The gravest rule speaks for the sentence, the gravest sentence for
the text. Deterministic, linear in the length of the text, never raises for any `str`.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from shared.domain.conversation.concepts import CONCEPTS
from shared.domain.conversation.gist_rules import GISTS
from shared.domain.conversation.job_rules import ASKS_FOR_JOB, NEAR_JOB_ASK, NOT_ASKING
from shared.domain.conversation.language import why_not_judged
from shared.domain.conversation.patterns import Compiler, Match, PatternSet, Text
from shared.domain.conversation.pay_rules import ASKS_OWN_PAY, TYPICAL_PAY
from shared.domain.conversation.reading import STOPS, Span, Token, sentences, statements, tokens
from shared.domain.conversation.rule import QuestionVerdict, Rule
from shared.domain.conversation.search_rules import ASKS_TO_FIND_JOB
from shared.domain.conversation.vocabulary import VOCABULARY

MAX_SENTENCE = 2_000
"""Characters of one sentence beyond which it is not judged: no question is that long."""

MAX_QUESTION = 20_000
"""Characters beyond which a text is not judged: as many as the longest request, agenda item or note may have."""

RULES: tuple[Rule, ...] = (*ASKS_FOR_JOB, *ASKS_OWN_PAY, *ASKS_TO_FIND_JOB, *GISTS, *NEAR_JOB_ASK, *TYPICAL_PAY)
"""All rules, gravest first: of several that match a sentence, the first speaks."""

_NOT_JUDGED = {
    "empty": "There is nothing to judge.",
    "no_words": "There are no words to judge.",
    "not_english": "Only English is judged, and this does not look like English.",
    "too_long": f"Too long: {MAX_SENTENCE} characters a sentence and {MAX_QUESTION} a question are judged at most.",
}
_COMPILER = Compiler(VOCABULARY, CONCEPTS)
_GRAVITY: dict[QuestionVerdict, int] = {"ok": 0, "warn": 1, "refused": 2}


@dataclass(frozen=True, slots=True)
class Judgement:
    """What rule 3 says of one piece of text.

    `code`, `reason` and `suggestion` are set when the verdict is not *ok*; `spans` are then the offsets of the words
    that caused it. When `judged` is False nothing can be said (`verdict` is *ok*): `not_judged` is one of `empty`,
    `no_words`, `not_english`, `too_long`, and `reason` says so in words. `start` and `end` delimit the piece.
    """

    text: str
    start: int
    end: int
    verdict: QuestionVerdict = "ok"
    code: str | None = None
    rule: str | None = None
    reason: str | None = None
    suggestion: str | None = None
    spans: tuple[Span, ...] = ()
    not_judged: str | None = None

    @property
    def judged(self) -> bool:
        """Whether the text could be judged at all."""
        return self.not_judged is None

    @property
    def words(self) -> tuple[str, ...]:
        """The exact words that caused the verdict."""
        return tuple(self.text[span.start : span.end] for span in self.spans)

    @property
    def piece(self) -> str:
        """The sentence or text that was judged."""
        return self.text[self.start : self.end]


def check_question(text: str, *, language: str | None = None) -> Judgement:
    """Judge one question; of several sentences the gravest speaks for all.

    `language` is a declared BCP 47 tag: *en* spares the test of the language, another one means *not judged*.
    """
    if len(text) > MAX_QUESTION:
        return _unjudged(text, Span(0, len(text)), "too_long")
    judgements = check_text(text, language=language)
    if not judgements:
        return _unjudged(text, Span(0, len(text)), "empty")
    gravest = max(judgements, key=lambda j: (_GRAVITY[j.verdict], not j.judged and j.not_judged != "no_words"))
    if gravest.verdict == "ok" and gravest.not_judged == "no_words":
        gravest = next((j for j in judgements if j.judged), gravest)
    return _over_whole(gravest)


def check_text(text: str, *, language: str | None = None) -> list[Judgement]:
    """Judge a request or an agenda sentence by sentence; offsets are those of the whole text."""
    return [_judge(text, span, language) for span in sentences(text)]


def _over_whole(judgement: Judgement) -> Judgement:
    return replace(judgement, start=0, end=len(judgement.text))


def _judge(text: str, span: Span, language: str | None) -> Judgement:
    if span.end - span.start > MAX_SENTENCE:
        return _unjudged(text, span, "too_long")
    if language is not None and not _is_english(language):
        return _unjudged(text, span, "not_english")
    why_not = why_not_judged(text[span.start : span.end])
    if why_not and not (why_not == "not_english" and language is not None):
        return _unjudged(text, span, why_not)
    return _apply_rules(text, span)


def _apply_rules(text: str, span: Span) -> Judgement:
    read = tokens(text, span)
    words = [token.word for token in read]
    statement = statements(words)
    known = Text(words)
    spared = _covered(_NOT_ASKING.find(known), len(words))
    for compiled in _COMPILED:
        if guilty := compiled.find(known, statement, spared):
            rule = compiled.rule
            return Judgement(
                text=text,
                start=span.start,
                end=span.end,
                verdict=rule.verdict,
                code=rule.code,
                rule=rule.name,
                reason=rule.reason,
                suggestion=rule.suggestion,
                spans=tuple(_merged(guilty, read, words)),
            )
    return Judgement(text=text, start=span.start, end=span.end)


class _Compiled:
    """A rule ready to be looked for."""

    def __init__(self, rule: Rule) -> None:
        self.rule = rule
        self._patterns = PatternSet(rule.patterns, _COMPILER)
        self._unless = PatternSet(rule.unless, _COMPILER)
        self._silent_in = PatternSet(rule.silent_in, _COMPILER)

    def find(self, text: Text, statement: Sequence[int], not_asking: Sequence[bool]) -> list[Match]:
        """Return the matches that count: neither spared nor in a statement that is about something else."""
        if not self._patterns.found_in(text):
            return []
        spared = _covered(self._unless.find(text), len(statement))
        silent = {statement[match.first] for match in self._silent_in.find(text)}

        def counts(match: Match) -> bool:
            return statement[match.first] not in silent and not any(
                not_asking[at] or spared[at] for at in range(match.first, match.last)
            )

        return list(self._patterns.find(text, counts))


def _covered(matches: Iterable[Match], length: int) -> list[bool]:
    covered = [False] * length
    for match in matches:
        covered[match.first : match.last] = [True] * (match.last - match.first)
    return covered


def _merged(matches: Sequence[Match], read: Sequence[Token], words: Sequence[str]) -> Iterator[Span]:
    """Yield the characters of overlapping matches as one span each, without the marks at their end."""
    first = last = -1
    for match in sorted(matches, key=lambda m: (m.first, m.last)):
        if match.first >= last:
            if last > first:
                yield _span(first, last, read, words)
            first, last = match.first, match.last
        else:
            last = max(last, match.last)
    yield _span(first, last, read, words)


def _span(first: int, last: int, read: Sequence[Token], words: Sequence[str]) -> Span:
    while last - 1 > first and words[last - 1] in STOPS:
        last -= 1
    return Span(read[first].start, read[last - 1].end)


def _unjudged(text: str, span: Span, why: str) -> Judgement:
    return Judgement(text=text, start=span.start, end=span.end, not_judged=why, reason=_NOT_JUDGED[why])


def _is_english(tag: str) -> bool:
    return tag.replace("_", "-").split("-")[0].casefold() in {"en", "eng"}


_COMPILED = tuple(_Compiled(rule) for rule in RULES)
_NOT_ASKING = PatternSet(NOT_ASKING, _COMPILER)
