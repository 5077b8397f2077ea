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

Matching is that of a finite automaton, run for all places of the text at once: a set of places is one integer, bit
`i` for the place before word `i`. Every gap is bounded, so the work is linear in the length of the text.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from shared.domain.conversation.reading import CLAUSE_BREAKS, STOPS

Phrase = tuple[str, ...]
Vocabulary = Mapping[str, frozenset[Phrase]]
Concepts = Mapping[str, tuple[str, ...]]
Places = int
"""A set of places in a text: bit `i` stands for the place before word `i`, bit `len(text)` for its end."""


class Text:
    """The words of one sentence, and where each of them stands."""

    def __init__(self, words: Sequence[str]) -> None:
        self.everywhere: Places = (1 << (len(words) + 1)) - 1
        self.of: dict[str, Places] = {}
        for at, word in enumerate(words):
            self.of[word] = self.of.get(word, 0) | 1 << at
        stops = self._any(STOPS)
        self.begins: Places = 1 | stops << 1
        self.ends: Places = stops | 1 << len(words)
        self.inside: Places = self.everywhere >> 1 & ~self._any(CLAUSE_BREAKS)
        """Before every word that does not break the clause."""
        self._phrases: dict[Phrases, dict[int, Places]] = {}

    def where(self, phrases: "Phrases") -> dict[int, Places]:
        """Return before which places the phrases stand, by their length in words."""
        if (found := self._phrases.get(phrases)) is None:
            found = {}
            for word in phrases.by_first.keys() & self.of.keys():
                for phrase in phrases.by_first[word]:
                    if places := self._before(phrase):
                        found[len(phrase)] = found.get(len(phrase), 0) | places
            self._phrases[phrases] = found
        return found

    def _before(self, phrase: Phrase) -> Places:
        places = self.everywhere
        for offset, word in enumerate(phrase):
            places &= self.of.get(word, 0) >> offset
        return places

    def _any(self, words: Iterable[str]) -> Places:
        places = 0
        for word in words:
            places |= self.of.get(word, 0)
        return places


@dataclass(frozen=True, slots=True, eq=False)
class Phrases:
    """One of several words or phrases, or the end of the clause; `absent` turns it into *does not come next*."""

    by_first: Mapping[str, tuple[Phrase, ...]]
    """The choices by their first word: a class of a thousand phrases costs one look-up."""
    optional: bool = False
    absent: bool = False
    or_end: bool = False

    def ahead(self, text: Text, places: Places) -> Places:
        """Return where this element may end when it begins at one of the places."""
        if self.absent:
            return places & ~self._nothing(text, text.everywhere)
        reached = self._without(text, places)
        for length, before in text.where(self).items():
            reached |= (places & before) << length
        return reached

    def back(self, text: Text, places: Places) -> Places:
        """Return where this element may begin when it ends at one of the places."""
        if self.absent:
            return places & ~self._nothing(text, text.everywhere)
        return self._nothing(text, places) | self._without(text, places)

    def _nothing(self, text: Text, places: Places) -> Places:
        begun = 0
        for length, before in text.where(self).items():
            begun |= before & places >> length
        return begun

    def _without(self, text: Text, places: Places) -> Places:
        return places if self.optional else places & text.ends if self.or_end else 0


@dataclass(frozen=True, slots=True)
class Gap:
    """Up to `most` words within one clause."""

    most: int

    def ahead(self, text: Text, places: Places) -> Places:
        """Return where this element may end when it begins at one of the places."""
        for _ in range(self.most):
            places |= (places & text.inside) << 1
        return places

    def back(self, text: Text, places: Places) -> Places:
        """Return where this element may begin when it ends at one of the places."""
        for _ in range(self.most):
            places |= places >> 1 & text.inside
        return places


@dataclass(frozen=True, slots=True)
class Edge:
    """The beginning or the end of a clause; takes up no word."""

    begins: bool

    def ahead(self, text: Text, places: Places) -> Places:
        """Return the places at which a clause begins, or a phrase ends."""
        return places & (text.begins if self.begins else text.ends)

    back = ahead


@dataclass(frozen=True, slots=True, eq=False)
class Choice:
    """A concept: one of several lines of elements."""

    lines: tuple["Elements", ...]
    optional: bool = False
    absent: bool = False

    def ahead(self, text: Text, places: Places) -> Places:
        """Return where this element may end when it begins at one of the places."""
        if self.absent:
            return self.back(text, places)
        reached = places if self.optional else 0
        for line in self.lines:
            reached |= _ahead(line, text, places)
        return reached

    def back(self, text: Text, places: Places) -> Places:
        """Return where this element may begin when it ends at one of the places."""
        begun = places if self.optional else 0
        for line in self.lines:
            begun |= _back(line, text, text.everywhere if self.absent else places)
        return places & ~begun if self.absent else begun


Element = Phrases | Gap | Edge | Choice
Elements = tuple[Element, ...]


def _ahead(elements: Elements, text: Text, places: Places) -> Places:
    for element in elements:
        if not places:
            break
        places = element.ahead(text, places)
    return places


def _back(elements: Elements, text: Text, places: Places) -> Places:
    for element in reversed(elements):
        if not places:
            break
        places = element.back(text, places)
    return places


@dataclass(frozen=True, slots=True, eq=False)
class Pattern:
    """A compiled line of the pattern language; `parts` are what `&` joins."""

    source: str
    parts: tuple[Elements, ...]
    needs: tuple[frozenset[str], ...]
    """Sets of words: a text that holds no word of one of them can't match. Most patterns are left out by this."""

    def may_match(self, text: Text) -> bool:
        """Say whether it is worth looking for the pattern in the text."""
        return not any(words.isdisjoint(text.of) for words in self.needs)


class UnknownWordClass(ValueError):
    """A pattern names a word class or a concept that there is not."""


class Compiler:
    """Reads lines of the pattern language; the same element of two lines becomes the same object."""

    def __init__(self, vocabulary: Vocabulary, concepts: Concepts) -> None:
        self._vocabulary = vocabulary
        self._concepts = concepts
        self._known: dict[str, Element] = {}

    def pattern(self, source: str) -> Pattern:
        """Read one line. Raises `UnknownWordClass`."""
        parts = tuple(self._elements(part) for part in source.split(" & "))
        return Pattern(source, parts, tuple(need for part in parts for need in _needs(part)))

    def _elements(self, line: str) -> Elements:
        return tuple(self._element(part) for part in line.split())

    def _element(self, part: str) -> Element:
        if part not in self._known:
            self._known[part] = self._read(part)
        return self._known[part]

    def _read(self, part: str) -> Element:
        if part in {"^", "$"}:
            return Edge(begins=part == "^")
        if part.startswith("~"):
            return Gap(int(part[1:]))
        absent, optional = part.startswith("!"), part.endswith("?")
        names = part.removeprefix("!").removesuffix("?").split("|")
        concepts = [name for name in names if name.startswith("<")]
        if concepts:
            plain = "|".join(name for name in names if name not in concepts)
            lines = [self._elements(line) for name in concepts for line in self._concept(name)]
            return Choice((*lines, *([(self._element(plain),)] if plain else ())), optional, absent)
        choices = {choice for name in names if name != "$" for choice in self._phrases(name)}
        return Phrases(_by_first(choices), optional, absent, or_end="$" in names)

    def _phrases(self, name: str) -> Iterable[Phrase]:
        if not name.startswith("@"):
            return [(_checked(name),)]
        if name[1:] not in self._vocabulary:
            raise UnknownWordClass(f"there is no word class {name}")
        return self._vocabulary[name[1:]]

    def _concept(self, name: str) -> tuple[str, ...]:
        lines = self._concepts.get(name.removeprefix("<").removesuffix(">"))
        if lines is None or not name.endswith(">"):
            raise UnknownWordClass(f"there is no concept {name}")
        return lines


def _needs(elements: Elements) -> Iterator[frozenset[str]]:
    for element in elements:
        if isinstance(element, Gap | Edge) or element.optional or element.absent:
            continue
        if isinstance(element, Choice):
            of_lines = [next(_needs(line), None) for line in element.lines]
            if None not in of_lines:
                yield frozenset[str]().union(*(words for words in of_lines if words))
        elif not element.or_end:
            yield frozenset(element.by_first)


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
    """Patterns that are looked for together."""

    def __init__(self, sources: Iterable[str], compiler: Compiler) -> None:
        self._patterns = tuple(compiler.pattern(source) for source in sources)

    def found_in(self, text: Text) -> bool:
        """Say whether any of the patterns matches."""
        return any(
            all(_back(part, text, text.everywhere) for part in pattern.parts)
            for pattern in self._patterns
            if pattern.may_match(text)
        )

    def find(self, text: Text, counts: Callable[[Match], bool] = _always) -> Iterator[Match]:
        """Yield the matches of the patterns of which every part has one that counts.

        Of each part the longest match at each place is looked at, from left to right.
        """
        for pattern in self._patterns:
            if not pattern.may_match(text):
                continue
            found: list[Match] = []
            for part in pattern.parts:
                matches = [match for match in _matches(pattern, part, text) if counts(match)]
                if not matches:
                    break
                found += matches
            else:
                yield from found


def _matches(pattern: Pattern, part: Elements, text: Text) -> Iterator[Match]:
    starts = _back(part, text, text.everywhere)
    while starts:
        start = starts & -starts
        starts ^= start
        first, last = start.bit_length() - 1, _ahead(part, text, start).bit_length() - 1
        if last > first:
            yield Match(first, last, pattern)
