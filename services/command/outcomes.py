"""How commands end, as metrics count them: few words, so that their number stays bounded."""

from __future__ import annotations

from shared.domain.kernel import Refusal
from shared.log import Appended
from shared.operations.problems import problem_of


def outcome_of(outcome: Appended | Exception) -> str:
    """`accepted`, `repeated`, a refusal's kind (`conflict`, `invalid`, `missing`), else the problem's code."""
    if isinstance(outcome, Appended):
        return "repeated" if outcome.repeated else "accepted"
    if isinstance(outcome, Refusal):
        return outcome.kind
    return problem_of(outcome).code
