"""Fields of work and study as people write them: when two are the same, and when one is part of the other."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal
from unicodedata import normalize

Fit = Literal["exact", "related"]
"""The same words; or all the words of one among those of the other, as marketing and digital marketing."""

_WORD = re.compile(r"[\w+#]+")
"""C++ and C# are no C."""
_CONNECTING = frozenset({"and", "of", "the"})


@dataclass(frozen=True, slots=True)
class Common:
    """A field that somebody wants, the one that somebody else has to offer, and how well the two fit."""

    wanted: str
    offered: str
    fit: Fit


@lru_cache(maxsize=8192)
def words(field: str) -> frozenset[str]:
    """What a field's name says, whatever its case, width, punctuation and order: `Art history` is `History of art`."""
    found = frozenset(_WORD.findall(normalize("NFKC", normalize("NFKC", field).casefold())))
    return found - _CONNECTING or found or frozenset({field.strip()})


def fit(one: str, other: str) -> Fit | None:
    """How well two fields fit, either way round; None: they share too little."""
    these, those = words(one), words(other)
    if these == those:
        return "exact"
    return "related" if these < those or those < these else None


def common(wanted: Iterable[str], offered: Iterable[str]) -> Common | None:
    """The best fit of what is wanted and what is offered: an exact one before a related one, then the first wanted."""
    offers = tuple(offered)
    pairs = [Common(one, other, how) for one in wanted for other in offers if (how := fit(one, other)) is not None]
    return min(pairs, key=lambda pair: pair.fit != "exact", default=None)
