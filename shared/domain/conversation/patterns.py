"""A small pattern language over plain words, so that every rule can be read aloud.

A pattern is a line of elements parted by blanks:

| element     | matches                                                                          |
|-------------|----------------------------------------------------------------------------------|
| `hire`      | that word                                                                        |
| `job\\|role` | one of those words                                                               |
| `@hire`     | one of the words or phrases of that name in the vocabulary                       |
| `<ask>`     | any of the lines of that name in the concepts, which are lines themselves        |
| `~3`        | up to three words of any kind, never across the end of a clause                  |
| `the?`      | the element before the question mark, or nothing                                 |
| `!@topic`   | nothing, provided that the element does not come next                            |
| `^`         | nothing, provided that a clause begins here                                      |
| `$`         | nothing, provided that a clause or phrase ends here; also as a choice: `now\\|$`   |

Parts of a line joined by a lone `&` may stand anywhere in the sentence and in any order; all must be there:
`<ask> & job for me`.

Matching keeps the set of places reached so far, as a finite automaton does, and every gap is bounded: the work
for one place of the text is bounded by the pattern, so the whole is linear in the length of the text.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from shared.domain.conversation.reading import CLAUSE_BREAKS, STOPS

Phrase = tuple[str, ...]
Vocabulary = Mapping[str, frozenset[Phrase]]
Concepts = Mapping[str, tuple[str, ...]]


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


@dataclass(frozen=True, slots=True)
class Choice:
    """A concept: one of several lines of elements."""

    lines: tuple["Elements", ...]
    optional: bool = False
    absent: bool = False

    def reach(self, words: Sequence[str], at: int) -> Iterator[int]:
        """Yield every place at which this element may end when it begins at `at`."""
        ends = {end for line in self.lines for end in _reach(line, words, at)}
        if self.absent:
            if not ends:
                yield at
            return
        yield from ends
        if self.optional:
            yield at


Element = Phrases | Gap | Edge | Choice
Elements = tuple[Element, ...]


def _at_end(words: Sequence[str], at: int) -> bool:
    return at == len(words) or words[at] in STOPS


def _reach(elements: Elements, words: Sequence[str], at: int) -> set[int]:
    """Return every place a run of elements may end when it begins at `at`."""
    places = {at}
    for element in elements:
        places = {end for place in places for end in element.reach(words, place)}
        if not places:
            break
    return places


@dataclass(frozen=True, slots=True, eq=False)
class Pattern:
    """A compiled line of the pattern language; `parts` are what `&` joins."""

    source: str
    parts: tuple[Elements, ...]


class UnknownWordClass(ValueError):
    """A pattern names a word class or a concept that there is not."""


def compile_pattern(source: str, vocabulary: Vocabulary, concepts: Concepts | None = None) -> Pattern:
    """Read one line of the pattern language. Raises `UnknownWordClass`."""
    return Pattern(source, tuple(_elements(part, vocabulary, concepts or {}) for part in source.split(" & ")))


def _elements(line: str, vocabulary: Vocabulary, concepts: Concepts) -> Elements:
    return tuple(_element(part, vocabulary, concepts) for part in line.split())


def _element(part: str, vocabulary: Vocabulary, concepts: Concepts) -> Element:
    if part == "^":
        return Edge(begins=True)
    if part == "$":
        return Edge(begins=False)
    if part.startswith("~"):
        return Gap(int(part[1:]))
    absent, optional = part.startswith("!"), part.endswith("?")
    body = part.removeprefix("!").removesuffix("?")
    names = body.split("|")
    named = [name for name in names if name.startswith("<")]
    if named:
        plain = "|".join(name for name in names if name not in named)
        lines = [_elements(line, vocabulary, concepts) for name in named for line in _concept(name, concepts)]
        return Choice((*lines, *([(_element(plain, vocabulary, concepts),)] if plain else ())), optional, absent)
    choices: set[Phrase] = set()
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


def _concept(name: str, concepts: Concepts) -> tuple[str, ...]:
    lines = concepts.get(name.removeprefix("<").removesuffix(">"))
    if lines is None or not name.endswith(">"):
        raise UnknownWordClass(f"there is no concept {name}")
    return lines


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
    """Where a part of a pattern matched, as token indices `[first, last)`."""

    first: int
    last: int
    pattern: Pattern


def _always(_: Match) -> bool:
    return True


class PatternSet:
    """Patterns whose parts are indexed by the words they can begin with, so that most are never tried."""

    def __init__(self, sources: Iterable[str], vocabulary: Vocabulary, concepts: Concepts | None = None) -> None:
        self._anywhere: list[tuple[Pattern, int]] = []
        self._by_first: dict[str, list[tuple[Pattern, int]]] = {}
        for source in sources:
            pattern = compile_pattern(source, vocabulary, concepts)
            for number, part in enumerate(pattern.parts):
                first, may_be_nothing = _first_words(part)
                if first is None or may_be_nothing:
                    self._anywhere.append((pattern, number))
                else:
                    for word in first:
                        self._by_first.setdefault(word, []).append((pattern, number))

    def find(self, words: Sequence[str], counts: Callable[[Match], bool] = _always) -> Iterator[Match]:
        """Yield the matches of the patterns of which every part has one that counts.

        Of each part the longest match at each place is looked at, from left to right.
        """
        waiting: dict[Pattern, tuple[set[int], list[Match]]] = {}
        for at, word in enumerate(words):
            for pattern, number in (*self._by_first.get(word, ()), *self._anywhere):
                end = max(_reach(pattern.parts[number], words, at), default=at)
                if end == at or not counts(match := Match(at, end, pattern)):
                    continue
                if len(pattern.parts) == 1:
                    yield match
                    continue
                found, matches = waiting.setdefault(pattern, (set(), []))
                found.add(number)
                matches.append(match)
        for pattern, (found, matches) in waiting.items():
            if len(found) == len(pattern.parts):
                yield from matches


def _first_words(elements: Elements) -> tuple[frozenset[str] | None, bool]:
    """Return the words a match can begin with (None: any word), and whether it can be nothing at all."""
    found: set[str] = set()
    for element in elements:
        if isinstance(element, Edge) and element.begins:
            continue
        if isinstance(element, Gap | Edge) or element.absent:
            return None, False
        optional = element.optional
        if isinstance(element, Phrases):
            found |= element.by_first.keys()
            optional |= element.or_end
        else:
            for line in element.lines:
                words, may_be_nothing = _first_words(line)
                if words is None:
                    return None, False
                found |= words
                optional |= may_be_nothing
        if not optional:
            return frozenset(found), False
    return frozenset(found), True
