"""The state machines, refusals and moves as Markdown, made from the code so that they can't go stale.

`python -m shared.domain.diagrams` writes them to `STATES.md` beside this file; a test says when that is to be done.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from shared.domain.catalogue import MACHINES
from shared.domain.kernel import NEW, Machine, Move
from shared.domain.moves import MOVES
from shared.domain.refusals import REFUSALS

DOCUMENT = Path(__file__).with_name("STATES.md")


def document() -> str:
    """All of it: how each stream lives, what is refused, and the next polite moves."""
    return f"""\
# How each stream lives

Made from the code by `python -m shared.domain.diagrams`: change that, not this.

## States

{state_machines()}
## Refusals

A refusal has one of these codes, says what was wrong, and what would be right. Nothing was written.

{refusals()}
## Next polite moves

{moves()}"""


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
        (f"`{event.type}`", ", ".join(sorted(move.sources, key=_first)), _leads_to(machine, move))
        for event, move in machine.moves.items()
    )
    table = _table(("event", "may follow while", "leads to"), rows)
    return f"### {machine.category.capitalize()}\n\n```mermaid\n{machine.mermaid()}```\n\n{table}"


def _leads_to(machine: Machine, move: Move) -> str:
    if move.to is not None:
        exceptions = (f"stays where `{name}` is {' or '.join(values)}" for name, values in move.unless.items())
        return "; ".join((move.to, *exceptions))
    return f"{machine.first} when {NEW}, else stays" if machine.first != NEW and NEW in move.sources else "stays"


def _first(status: str) -> tuple[bool, str]:
    return status != NEW, status


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = [head, tuple("---" for _ in head), *rows]
    return "".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |\n" for line in lines)


if __name__ == "__main__":
    DOCUMENT.write_text(document(), "utf-8")
