"""Rule 3: what a judgement says, where it points, and that no text can upset it."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter

from shared.domain.conversation import check_question, check_text
from shared.domain.conversation.judgement import MAX_QUESTION, MAX_SENTENCE, RULES
from shared.domain.conversation.patterns import Choice, Edge, Element, Gap, Phrases, Places, Text
from shared.domain.conversation.rule import Rule
from shared.domain.values import Note

_RULES_OWN_WORDS = ["can", "you", "hire", "me", "for", "a", "job", "how", "much", "do", "your", "pay", "not", ",", "?"]


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
def test_a_rule_catches_its_examples(rule: Rule) -> None:
    """Given the examples a rule names, when they are judged, then its verdict comes out."""
    assert rule.examples
    for example in rule.examples:
        judgement = check_question(example)
        assert (judgement.rule, judgement.code, judgement.verdict) == (rule.name, rule.code, rule.verdict), example
        assert judgement.reason
        assert judgement.words
        assert check_question(judgement.suggestion or "").verdict == "ok"


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
def test_a_rule_spares_what_is_innocent(rule: Rule) -> None:
    """Given the innocent questions beside a rule, when they are judged, then nothing is said against them."""
    assert rule.innocent
    for innocent in rule.innocent:
        assert check_question(innocent).verdict == "ok", innocent


def test_rule_names_are_unique() -> None:
    """Given all rules, then a name stands for one rule."""
    names = [rule.name for rule in RULES]
    assert len(names) == len(set(names))


@pytest.mark.parametrize(
    "question",
    [
        "How did you get this job?",
        "what is the pay-off of a mentor?",
        "Does it pay to specialise?",
        "How does your company make money?",
        "what do you look for when hiring?",
        "What would you offer as advice?",
        "how did you earn your certification?",
        "What position would suit a beginner?",
        "Whom else should I talk to, and could you introduce me?",
        "I'm not asking for a job, only for advice.",
    ],
)
def test_questions_that_must_never_be_refused(question: str) -> None:
    """Given an innocent question that shares words with the forbidden ones, then it is judged, and ok."""
    judgement = check_question(question)
    assert (judgement.verdict, judgement.judged) == ("ok", True)


def test_a_refusal_points_at_its_words() -> None:
    """Given a refused sentence amid others, when the text is judged, then the spans cut the very words out of it."""
    text = "Thank you for your time! How much do you make?"
    judgement = check_question(text)
    assert judgement.code == "asks_own_pay"
    assert [text[span.start : span.end] for span in judgement.spans] == list(judgement.words)
    assert judgement.words == ("much do you make",)
    assert (judgement.start, judgement.end) == (0, len(text))


def test_a_request_is_judged_sentence_by_sentence() -> None:
    """Given a request of several sentences, when it is judged, then each has its offsets and its own verdict."""
    text = "I admire your work. Could you pass my résumé on to HR?\nCould we talk for 20 minutes, e.g. on Friday?"
    judgements = check_text(text)
    assert [j.piece for j in judgements] == [
        "I admire your work.",
        "Could you pass my résumé on to HR?",
        "Could we talk for 20 minutes, e.g. on Friday?",
    ]
    assert [j.verdict for j in judgements] == ["ok", "refused", "ok"]


@pytest.mark.parametrize(
    ("text", "verdict"),
    [
        ("I promise I would never ask you to\nhire me.", "ok"),
        ("I am not looking for a job or for\r\n  anybody to hire me, only for\r\n  advice.", "ok"),
        ("How much do you\nearn in your position?", "refused"),
        ("Dear Ms Lee,\nI read your article. Could you\npass my résumé on to\nyour HR department?", "refused"),
        ("I won't ask for a job\nCould you hire me?", "refused"),
        ("I won't ask for a job\n\ncould you hire me?", "refused"),
        ("- not about a job\n- ask what she earns", "refused"),
        ("a) not about a job\nb) ask what she earns", "refused"),
    ],
)
def test_a_line_goes_on_with_a_small_letter(text: str, verdict: str) -> None:
    """Given a line break, when a small letter follows, then the sentence goes on; before an item or a capital not."""
    assert check_question(text).verdict == verdict


def test_words_on_two_lines_are_pointed_at() -> None:
    """Given an ask that is wrapped, when it is refused, then its span reaches over the line break."""
    text = "Thank you.\nCould you\nhire me?"
    (judgement,) = [j for j in check_text(text) if j.verdict == "refused"]
    assert judgement.words == ("you\nhire me",)
    assert text[judgement.start :] == judgement.piece == "Could you\nhire me?"


def test_many_lines_without_a_mark_are_judged() -> None:
    """Given more small lines than one sentence may be long, when they are judged, then none goes unjudged."""
    judgements = check_text("i like your work\n" * MAX_SENTENCE + "can you hire me")
    assert all(judgement.judged for judgement in judgements)
    assert judgements[-1].verdict == "refused"


def test_the_longest_message_is_judged_to_its_end() -> None:
    """Given a message as long as any may be, when its last words ask for a job, then they are found where they are."""
    longest = TypeAdapter(Note).json_schema()["maxLength"]
    ask = "Could you pass my C.V. to H.R.?"
    text = ("I read your article on bridges, and I should like to ask you about it. " * longest)[: longest - len(ask)]
    text = text.rpartition(". ")[0].ljust(longest - len(ask) - 2, "!") + ". " + ask
    judgement = check_question(text)
    assert (len(text), judgement.verdict, judgement.judged) == (longest, "refused", True)
    (span,) = judgement.spans
    assert (span.start, text[span.start : span.end]) == (longest - len(ask), ask[:-1])


@pytest.mark.parametrize("text", ["Could you pass my C.V. to H.R.?", "could you pass my c.v to h.r."])
def test_initials_are_read_and_pointed_at(text: str) -> None:
    """Given initials with their dots, when an ask holds them, then they end no sentence and stand where they stood."""
    (judgement,) = check_text(text)
    assert judgement.verdict == "refused"
    assert [text[span.start : span.end] for span in judgement.spans] == list(judgement.words)
    assert "".join(judgement.words).casefold().count(".") >= 1


def test_a_disclaimer_does_not_excuse_the_next_clause() -> None:
    """Given a promise not to ask followed by the ask, when it is judged, then it is refused."""
    assert check_question("I'm not asking for a job, but could you hire me?").verdict == "refused"


def test_the_gravest_sentence_speaks() -> None:
    """Given a warning before a refusal, when the text is judged as one question, then the refusal is told."""
    assert check_question("What is a typical salary? And what do you earn?").code == "asks_own_pay"


@pytest.mark.parametrize(
    "text",
    [
        "Was verdienen Sie im Jahr?",
        "Können Sie mich einstellen?",
        "Combien gagnez-vous par an ?",
        "¿Puede contratarme?",
        "Quanto você ganha?",
        "Mi può assumere?",
        "Hoeveel verdient u?",
        "Hur mycket tjänar du?",
        "Ile pan zarabia?",
        "Ne kadar kazanıyorsunuz?",
        "Berapa gaji Anda?",
        "Bạn kiếm được bao nhiêu tiền?",
        "Сколько вы зарабатываете?",
        "Πόσα βγάζετε;",
        "あなたの給料はいくらですか",
        "你一年挣多少钱？",
        "كم تكسب؟",
        "כמה אתה מרוויח?",
        "आप कितना कमाते हैं?",
    ],
)
def test_other_languages_are_reported_as_not_judged(text: str) -> None:
    """Given another language, when it is judged, then it says that it did not judge, and why."""
    judgement = check_question(text)
    assert (judgement.judged, judgement.not_judged, judgement.verdict) == (False, "not_english", "ok")
    assert judgement.reason


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "empty"),
        (" \n\t ", "empty"),
        ("???", "no_words"),
        ("😊😊", "no_words"),
        ("\x00", "no_words"),
        ("\ud800", "no_words"),
        ("a b " * 25_000, "too_long"),
        ("why " * (MAX_SENTENCE // 4 + 1), "too_long"),
        ("Can you hire me? " * (MAX_QUESTION // 17 + 1), "too_long"),
    ],
)
def test_what_cannot_be_judged_says_why(text: str, why: str) -> None:
    """Given nothing, no words, or far too much, when it is judged, then it says so and refuses nothing."""
    judgement = check_question(text)
    assert (judgement.verdict, judgement.not_judged) == ("ok", why)


@pytest.mark.parametrize(
    "text", ["Can you hire me? 😊", "Can you hire me?\x00", "\ud800Can you hire me?", "CAN U HIRE ME"]
)
def test_odd_characters_do_not_hide_english(text: str) -> None:
    """Given an English ask with odd characters about it, when it is judged, then it is refused all the same."""
    assert check_question(text).verdict == "refused"


def test_accents_may_be_composed_or_combining() -> None:
    """Given *résumé* spelt with combining accents, when it is judged, then it reads as when they are composed."""
    composed = check_question("Could you pass my r\u00e9sum\u00e9 to HR?")
    combining = check_question("Could you pass my re\u0301sume\u0301 to HR?")
    assert composed.verdict == combining.verdict == "refused"


def test_a_declared_language_is_believed() -> None:
    """Given a declared language, when it is not English, then nothing is judged; when it is, the guess is spared."""
    assert check_question("Can you hire me?", language="fr").not_judged == "not_english"
    assert check_question("Why journalism?", language="en-GB").judged
    assert check_question("Quo vadis, mon ami, et pour quoi?", language="en").judged


@given(st.text())
def test_any_text_is_answered(text: str) -> None:
    """Given any text at all, when it is judged, then sentences lie in order within it, and spans within them."""
    end = 0
    for judgement in check_text(text):
        assert end <= judgement.start < judgement.end <= len(text)
        end = judgement.end
        assert all(judgement.start <= s.start < s.end <= judgement.end for s in judgement.spans)
    assert check_question(text).text == text


@given(
    st.lists(
        st.sampled_from(_RULES_OWN_WORDS),
        max_size=40,
    )
)
def test_a_verdict_is_explained(words: list[str]) -> None:
    """Given any jumble of the rules' own words, when a verdict is given, then it has reason, words and a suggestion."""
    judgement = check_question(" ".join(words))
    if judgement.verdict != "ok":
        assert judgement.code
        assert judgement.reason
        assert judgement.suggestion
        assert all(judgement.words)


@pytest.mark.parametrize(
    "text",
    ["." * 100_000 + "x", "'" * 100_000, "a'" * 50_000, "a." * 50_000, "\n" * 100_000, "\na" * 50_000, "not a " * 300],
)
def test_long_runs_are_read_once(text: str) -> None:
    """Given long runs of one mark, when they are cut into sentences, then it ends (in time linear in the length)."""
    assert all(judgement.verdict == "ok" for judgement in check_text(text))


_HOSTILE = [
    "Could you get me, can you find me, would you know of a job, ",
    "me my job hire pay your company if you know ",
    "not a job, but a job ",
    "can you hire me for a job at your company and pass my CV to HR ",
]


@pytest.mark.parametrize("text", _HOSTILE)
def test_work_is_bounded_by_length(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Given the rules' own words over and over, when there are twice as many, then the steps at most double."""
    short, long = (_steps(text * (length // len(text)), monkeypatch) for length in (800, 1600))
    assert 0 < short <= long <= 2.2 * short


@pytest.mark.parametrize("text", _HOSTILE)
def test_a_long_hostile_text_takes_few_steps(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Given the longest text that is judged, made of the rules' own words, then the steps stay in proportion."""
    sentence = text * (MAX_SENTENCE // len(text) - 1) + "? "
    whole = sentence * (MAX_QUESTION // len(sentence))
    assert len(whole) > MAX_QUESTION * 0.8
    assert _steps(whole, monkeypatch) < 60 * len(whole)


def _steps(text: str, monkeypatch: pytest.MonkeyPatch) -> int:
    """Return how many elements of patterns are tried to judge the text: each handles all places at once."""
    steps = 0

    def counted(step: Callable[[Element, Text, Places], Places]) -> Callable[[Element, Text, Places], Places]:
        def count(element: Element, text: Text, places: Places) -> Places:
            nonlocal steps
            steps += 1
            return step(element, text, places)

        return count

    with monkeypatch.context() as patched:
        for kind in (Phrases, Gap, Edge, Choice):
            for name in ("ahead", "back"):
                patched.setattr(kind, name, counted(getattr(kind, name)))
        check_question(text)
    return steps
