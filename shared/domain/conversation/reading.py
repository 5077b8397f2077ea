"""Read English as people type it: sentences, then plain words that remember where they stood.

`"What’s ur salary?"` reads as `what is your salary ?`, each word with the offsets of the text it came from,
so that a judgement can point at the exact words. One pass, linear in the length of the text; any Unicode is
accepted, lone surrogates and NUL included (they read as gaps between words).
"""

import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

CLAUSE_BREAKS = frozenset({";", ":", "(", ")", "/", "but", "however", "though", "although"})
"""Tokens no pattern may reach across: *I won't ask for a job, but could you …* is two statements."""

STOPS = frozenset({",", ".", "?", "!"}) | CLAUSE_BREAKS
"""Tokens at which a phrase may be said to end."""


@dataclass(frozen=True, slots=True)
class Span:
    """Half-open character range `[start, end)` of the text that was judged."""

    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Token:
    """One plain lower-case word or mark, and the characters it was read from."""

    word: str
    start: int
    end: int


def word_set(text: str) -> frozenset[str]:
    """Return the words of a text parted by blanks: how word lists are written here."""
    return frozenset(text.split())


_ENDS = CLAUSE_BREAKS | {"?", "!"}
_BEGINS = word_set("and or so would could can do does is are any may might please will what how")
_APOSTROPHES = str.maketrans("’‘ʼ`´＇", "''''''")
_MARKED = r"(?:[^\W_][\u0300-\u036f]*)+"  # letters and digits, each with its combining accents
_INITIALS = r"(?<![^\W_])[^\W\d_](?:\.[^\W\d_])+(?![^\W_])\.?"  # C.V., U.S
_WORD_OR_MARK = re.compile(rf"{_INITIALS}|{_MARKED}(?:['’‘ʼ`´＇]{_MARKED})*|--+|[—–;:()/,.?!…$£€]")
# A run of marks is tried once only, from its first one: else a long run would be read over and over again.
_SENTENCE_END = re.compile(r"(?<![.!?…])[.!?…]++[\"'”’)\]]*+(?=\s|$)|[\r\n\u2028\u2029]+")
_ONE_LINE_BREAK = frozenset({"\n", "\r\n", "\r", "\u2028"})
_GOING_ON = re.compile(r"[ \t]*+(?!\w[.)]\s)(\w)")  # and no item of a list: a) or b.
_LONGEST_WRAPPED = 1_000
"""Characters of a sentence after which every line break ends it: lines without a mark must not add up to one
sentence that is too long to be judged."""
_LIKE_INITIALS = re.compile(r"(?:[^\W\d_]{1,2}\.){2,}")
_ABBREVIATIONS = frozenset({"e.g.", "i.e.", "etc.", "dr.", "mr.", "mrs.", "ms.", "prof.", "st.", "no.", "vs."})

_CONTRACTIONS = {"'re": "are", "'ve": "have", "'ll": "will", "'d": "would", "'m": "am"}
_IS_AFTER = word_set("what who how where when why it that there here he she")
_SHORTHAND = {
    "u": "you", "ur": "your", "r": "are", "ya": "you", "y'all": "you all", "yall": "you all",
    "pls": "please", "plz": "please", "im": "i am", "ive": "i have", "dont": "do not", "cant": "can not",
    "wont": "will not", "didnt": "did not", "doesnt": "does not", "whats": "what is", "hows": "how is",
    "whos": "who is", "wheres": "where is", "youre": "you are", "theyre": "they are", "wanna": "want to",
    "gonna": "going to", "gotta": "have to", "any1": "anyone", "som1": "someone", "sum1": "someone",
    "every1": "everyone", "anybody": "anyone", "somebody": "someone", "rn": "right now", "thru": "through",
    "won't": "will not", "can't": "can not", "cannot": "can not", "shan't": "shall not", "let's": "let us",
    "wat": "what", "wot": "what", "lmk": "let me know", "wld": "would", "cld": "could", "tmrw": "tomorrow",
    "w": "with", "abt": "about", "hv": "have", "gimme": "give me", "lemme": "let me", "wud": "would",
    "cud": "could", "shud": "should", "ppl": "people", "sth": "something", "smth": "something", "yr": "your",
    "thx": "thanks", "kinda": "kind of", "sorta": "sort of", "dunno": "do not know", "theres": "there is",
    "isnt": "is not", "arent": "are not", "aint": "is not", "ty": "thanks",
    "$": "money", "£": "money", "€": "money",
}  # fmt: skip
_MISSPELT = {
    "salery": "salary", "sallary": "salary", "salaray": "salary", "salry": "salary", "resumee": "resume",
    "hirring": "hiring", "hireing": "hiring", "hier": "hire", "hirng": "hiring", "oppening": "opening",
    "oppenings": "openings", "openning": "opening", "opennings": "openings", "vacany": "vacancy",
    "vacency": "vacancy", "vacancys": "vacancies", "referal": "referral", "referall": "referral",
    "reffer": "refer", "recomend": "recommend", "reccomend": "recommend", "recommand": "recommend",
    "positon": "position", "postion": "position", "possition": "position", "intership": "internship",
    "internhip": "internship", "intersnhip": "internship", "woud": "would", "wuold": "would", "cuold": "could",
    "coud": "could", "shoud": "should", "earm": "earn", "yuo": "you", "yoru": "your", "yor": "your",
    "teh": "the", "mcuh": "much", "muhc": "much", "hw": "how", "jop": "job", "comapny": "company",
    "compnay": "company", "companys": "company", "manger": "manager", "forword": "forward", "foward": "forward",
}  # fmt: skip


def sentences(text: str) -> Iterator[Span]:
    """Yield the sentences of a text in order; white space around them is left out.

    Neither abbreviations end a sentence, nor does a line break after which it goes on with a small letter: mail is
    often wrapped. The items of an agenda begin with a capital or a bullet.
    """
    start = 0
    for mark in _SENTENCE_END.finditer(text):
        if mark.group().isspace():
            if mark.end() - start <= _LONGEST_WRAPPED and _is_wrapped(text, mark):
                continue
        elif _is_abbreviation(text, mark):
            continue
        if span := _trimmed(text, start, mark.end()):
            yield span
        start = mark.end()
    if span := _trimmed(text, start, len(text)):
        yield span


def _is_wrapped(text: str, mark: re.Match[str]) -> bool:
    return mark.group() in _ONE_LINE_BREAK and _goes_on(text, mark)


def _is_abbreviation(text: str, mark: re.Match[str]) -> bool:
    tail = text[max(0, mark.start() - 6) : mark.end()].casefold().split()
    if not tail or mark.end() == len(text):
        return False
    last = tail[-1].lstrip("(\"'“")
    return last in _ABBREVIATIONS or (_LIKE_INITIALS.fullmatch(last) is not None and _goes_on(text, mark))


def _goes_on(text: str, mark: re.Match[str]) -> bool:
    following = _GOING_ON.match(text, mark.end())
    return following is not None and following[1].islower()


def _trimmed(text: str, start: int, end: int) -> Span | None:
    piece = text[start:end]
    inner = piece.strip()
    if not inner:
        return None
    start += piece.index(inner)
    return Span(start, start + len(inner))


def tokens(text: str, span: Span | None = None) -> list[Token]:
    """Read one sentence as plain words. Contractions are written out, so one match may yield several tokens."""
    start, end = (span.start, span.end) if span else (0, len(text))
    shouted = text[start:end].isupper()
    found: list[Token] = []
    for match in _WORD_OR_MARK.finditer(text, start, end):
        for word in _plain(match.group(), shouted=shouted):
            found.append(Token(word, match.start(), match.end()))
    return _join_numerals(found)


def spelt_words(text: str) -> list[str]:
    """Return the words as they are spelt, in lower case without accents, contractions and shorthand left alone."""
    spelt = (
        _without_accents(match.group().translate(_APOSTROPHES)).casefold() for match in _WORD_OR_MARK.finditer(text)
    )
    return [word for word in spelt if word[0].isalnum()]


def _plain(raw: str, *, shouted: bool) -> list[str]:
    """Write one typed word as the plain English words it stands for."""
    word = _without_accents(raw.translate(_APOSTROPHES)).casefold()
    if word[0] in "—–-":
        return [";"]
    initials = "." in word and len(word) > 1
    if initials:
        word = word.replace(".", "")
    if word == "us" and (initials or (raw == "US" and not shouted)):
        return ["usa"]
    word = _MISSPELT.get(word, word)
    if word in _SHORTHAND:
        return _SHORTHAND[word].split()
    if word.endswith("n't"):
        return [word[:-3], "not"]
    stem, mark, ending = word.rpartition("'")
    if not mark:
        return [word]
    if ending == "s":
        return [stem, "is"] if stem in _IS_AFTER else [stem, "'s"]
    if expanded := _CONTRACTIONS.get("'" + ending):
        return [stem, expanded]
    return [word]


def _without_accents(word: str) -> str:
    if word.isascii():
        return word
    return "".join(c for c in unicodedata.normalize("NFKD", word) if not unicodedata.combining(c)) or word


def statements(words: Sequence[str]) -> list[int]:
    """Number the statements of a sentence: the number of its statement for each word.

    A statement ends where a clause breaks, and at a comma after which something new is said or asked.
    """
    numbers: list[int] = []
    for at, word in enumerate(words):
        before = words[at - 1] if at else ""
        begins = before in _ENDS or (before == "," and word in _BEGINS)
        numbers.append((numbers[-1] if numbers else 0) + begins)
    return numbers


def _join_numerals(found: list[Token]) -> list[Token]:
    """Read *job 4 me* as *job for me*; any other 4 stays a number."""
    return [
        replace(token, word="for") if token.word == "4" and after.word in {"me", "us"} else token
        for token, after in pairwise([*found, Token("", 0, 0)])
    ]
