"""What a rule is: a name, what it says to the seeker, and the phrasings it looks for."""

from dataclasses import dataclass
from typing import Literal

QuestionVerdict = Literal["ok", "warn", "refused"]


@dataclass(frozen=True, slots=True)
class Rule:
    """One reason not to ask something.

    `patterns` are lines of the pattern language; any one of them is enough. A match that shares words with one of
    the `unless` lines, the innocent readings of the same words, does not count; nor does one in a statement in which a
    `silent_in` line is found anywhere. `examples` must be caught by this very
    rule and `innocent` by no rule that refuses: both are tested.
    """

    name: str
    code: str
    reason: str
    suggestion: str
    patterns: tuple[str, ...]
    examples: tuple[str, ...]
    innocent: tuple[str, ...]
    unless: tuple[str, ...] = ()
    silent_in: tuple[str, ...] = ()
    verdict: QuestionVerdict = "refused"
