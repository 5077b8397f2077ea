"""The state machines, refusals and moves as Markdown, made from the code so that they can't go stale."""

from __future__ import annotations

import re
from collections.abc import Iterable

from shared.domain.catalogue import MACHINES
from shared.domain.kernel import NEW, Machine
from shared.domain.moves import MOVES
from shared.domain.refusals import REFUSALS


def state_machines() -> str:
    """A chapter for each machine: its diagram (Mermaid) and the same as a table."""
    return "\n".join(_chapter(machine) for machine in MACHINES)


def refusals() -> str:
    """A table of all refusals."""
    rows = (
        (f"`{code}`", rule.kind, rule.when, re.sub(r"\{(\w+)\}", r"‹\1›", rule.remedy))
        for code, rule in REFUSALS.items()
    )
    return _table(("code", "kind", "when", "what would be right"), rows)


def moves() -> str:
    """A table of all next moves."""
    return _table(("move", "what to do"), ((f"`{name}`", text) for name, text in MOVES.items()))


def _chapter(machine: Machine) -> str:
    rows = (
        (f"`{event.type}`", ", ".join(sorted(move.sources, key=_first)), move.to or "stays")
        for event, move in machine.moves.items()
    )
    table = _table(("event", "may follow while", "leads to"), rows)
    return f"### {machine.category.capitalize()}\n\n```mermaid\n{machine.mermaid()}```\n\n{table}"


def _first(status: str) -> tuple[bool, str]:
    return status != NEW, status


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = [head, tuple("---" for _ in head), *rows]
    return "".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |\n" for line in lines)
