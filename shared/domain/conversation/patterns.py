"""A small pattern language over plain words, so that every rule can be read aloud.

A pattern is a line of elements parted by blanks:

| element     | matches                                                                          |
|-------------|----------------------------------------------------------------------------------|
| `hire`      | that word                                                                        |
| `job\\|role` | one of those words                                                               |
| `@hire`     | one of the words or phrases of that name in the vocabulary                       |
| `~3`        | up to three words of any kind, never across the end of a clause                  |
| `the?`      | the element before the question mark, or nothing                                 |
| `!@topic`   | nothing, provided that the element does not come next                            |
| `^`         | nothing, provided that a clause begins here                                      |
| `$`         | nothing, provided that a clause or phrase ends here; also as a choice: `now\\|$`   |

Matching keeps the set of places reached so far, as a finite automaton does, and every gap is bounded: the work
for one place of the text is bounded by the pattern, so the whole is linear in the length of the text.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from shared.domain.conversation.reading import CLAUSE_BREAKS, STOPS

Phrase = tuple[str, ...]
Vocabulary = Mapping[str, frozenset[Phrase]]


@dataclass(frozen=True, slots=True)
class Phrases:
    """One of several words or phrases, or the end of the clause; `absent` turns it into *does not come next*."""

    by_first: Mapping[str, tuple[Phrase, ...]]
    """The choices by their first word: a class of a thousand phrases costs one look-up."""
    optional: bool = False
    absent: bool = False
    or_end: bool = False

    def reach(self, words: Sequence[str], at: int) -> Iterator[int]:
        """Yield every place at which this element may end when it begins at `at`."""
        choices = self.by_first.get(words[at], ()) if at < len(words) else ()
        ends = [at + len(choice) for choice in choices if tuple(words[at : at + len(choice)]) == choice]
        if self.absent:
            if not ends:
                yield at
            return
        yield from ends
        if self.optional or (self.or_end and _at_end(words, at)):
            yield at


@dataclass(frozen=True, slots=True)
class Gap:
    """Up to `most` words within one clause."""

    most: int

    def reach(self, words: Sequence[str], at: int) -> Iterator[int]:
        """Yield every place at which this element may end when it begins at `at`."""
        yield at
        for end in range(at, min(at + self.most, len(words))):
            if words[end] in CLAUSE_BREAKS:
                return
            yield end + 1


@dataclass(frozen=True, slots=True)
class Edge:
    """The beginning or the end of a clause; takes up no word."""

    begins: bool

    def reach(self, words: Sequence[str], at: int) -> Iterator[int]:
        """Yield `at` if a clause begins, or a phrase ends, there."""
        if self.begins:
            if at == 0 or words[at - 1] in STOPS:
                yield at
        elif _at_end(words, at):
            yield at


def _at_end(words: Sequence[str], at: int) -> bool:
    return at == len(words) or words[at] in STOPS


Element = Phrases | Gap | Edge


@dataclass(frozen=True, slots=True)
class Pattern:
    """A compiled line of the pattern language."""

    source: str
    elements: tuple[Element, ...]

    def longest(self, words: Sequence[str], at: int) -> int | None:
        """Return the furthest place a match that begins at `at` can end, or None."""
        places = {at}
        for element in self.elements:
            places = {end for place in places for end in element.reach(words, place)}
            if not places:
                return None
        return max(places)


class UnknownWordClass(ValueError):
    """A pattern names a word class that the vocabulary does not hold."""


def compile_pattern(source: str, vocabulary: Vocabulary) -> Pattern:
    """Read one line of the pattern language. Raises `UnknownWordClass`."""
    return Pattern(source, tuple(_element(part, vocabulary) for part in source.split()))


def _element(part: str, vocabulary: Vocabulary) -> Element:
    if part == "^":
        return Edge(begins=True)
    if part == "$":
        return Edge(begins=False)
    if part.startswith("~"):
        return Gap(int(part[1:]))
    absent, optional = part.startswith("!"), part.endswith("?")
    choices: set[Phrase] = set()
    names = part.removeprefix("!").removesuffix("?").split("|")
    for name in names:
        if name == "$":
            continue
        if not name.startswith("@"):
            choices.add((_checked(name),))
        elif name[1:] in vocabulary:
            choices |= vocabulary[name[1:]]
        else:
            raise UnknownWordClass(f"{name} in pattern {part!r}")
    return Phrases(_by_first(choices), optional, absent, or_end="$" in names)


def _by_first(choices: Iterable[Phrase]) -> dict[str, tuple[Phrase, ...]]:
    index: dict[str, tuple[Phrase, ...]] = {}
    for choice in choices:
        index[choice[0]] = (*index.get(choice[0], ()), choice)
    return index


def _checked(word: str) -> str:
    if not (word == "'s" or (word.isalnum() and word == word.casefold())):
        raise UnknownWordClass(f"{word!r} is never read as one plain word")
    return word


@dataclass(frozen=True, slots=True)
class Match:
    """Where a pattern matched, as token indices `[first, last)`."""

    first: int
    last: int
    pattern: Pattern

    def overlaps(self, other: "Match") -> bool:
        """Say whether the two matches share a token."""
        return self.first < other.last and other.first < self.last


class PatternSet:
    """Patterns indexed by the words they can begin with, so that most are never tried."""

    def __init__(self, sources: Iterable[str], vocabulary: Vocabulary) -> None:
        self._anywhere: list[Pattern] = []
        self._by_first: dict[str, list[Pattern]] = {}
        for source in sources:
            pattern = compile_pattern(source, vocabulary)
            for word in _first_words(pattern) or ():
                self._by_first.setdefault(word, []).append(pattern)
            if _first_words(pattern) is None:
                self._anywhere.append(pattern)

    def find(self, words: Sequence[str]) -> Iterator[Match]:
        """Yield the longest match of each pattern at each place, from left to right."""
        for at, word in enumerate(words):
            for pattern in (*self._by_first.get(word, ()), *self._anywhere):
                if (end := pattern.longest(words, at)) is not None and end > at:
                    yield Match(at, end, pattern)


def _first_words(pattern: Pattern) -> frozenset[str] | None:
    """Return the words a match can begin with, or None when any word will do."""
    found: set[str] = set()
    for element in pattern.elements:
        if isinstance(element, Edge) and element.begins:
            continue
        if not isinstance(element, Phrases) or element.absent:
            return None
        found |= element.by_first.keys()
        if not (element.optional or element.or_end):
            return frozenset(found)
    return None
