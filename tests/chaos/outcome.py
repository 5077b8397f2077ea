"""What rounds came to, one by one and all together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import ceil, inf
from statistics import median

SLOW = 10.0
"""Seconds after which lag should be normal again; more is counted, and a violation only once it is never."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one round came to."""

    seed: int
    number: int
    faults: tuple[str, ...]
    commands: int
    unknown: int
    """Of these, those of which no client was told what became of them. All since the run began."""
    rate: float
    """Commands a second that were asked and told in this round, outages included."""
    events: int
    """Since the run began."""
    recovered: float | None
    """Seconds from the last fault's end until all was ready and the lag normal, under load; None: it never was."""
    last: str
    """Whose lag was normal last, or `readiness` where all was once the services were ready."""
    violations: tuple[str, ...] = field(default=())

    def __str__(self) -> str:
        back = "never" if self.recovered is None else f"{self.recovered:.1f} s ({self.last})"
        return (
            f"seed {self.seed} round {self.number}: {self.commands} commands ({self.rate:.0f}/s), "
            f"{self.events} events, lag normal after {back}, {len(self.violations)} violations; "
            f"faults: {', '.join(self.faults)}"
        )


def summary(outcomes: Sequence[Outcome]) -> str:
    """All rounds of all seeds in two lines: totals, and how soon lag was normal again. Raises ValueError for none.

    A round is judged from its run's beginning, so a violation is found again in each that follows: it counts once.
    """
    last = {outcome.seed: outcome for outcome in outcomes}.values()
    soon = sorted(inf if outcome.recovered is None else outcome.recovered for outcome in outcomes)
    return (
        f"{len(outcomes)} rounds, {len(last)} seeds, {sum(len(each.faults) for each in outcomes)} faults, "
        f"{sum(each.commands for each in last)} commands ({sum(each.unknown for each in last)} of unknown fate), "
        f"{median(each.rate for each in outcomes):.0f}/s (median of the rounds), "
        f"{sum(each.events for each in last)} events, "
        f"{len({(each.seed, violation) for each in outcomes for violation in each.violations})} violations\n"
        f"lag normal after {median(soon):.1f} s (median), {soon[ceil(0.9 * len(soon)) - 1]:.1f} s (p90), "
        f"{soon[-1]:.1f} s (max); after more than {SLOW:g} s in {sum(each > SLOW for each in soon)} rounds"
    )
