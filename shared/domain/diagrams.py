"""The state machines, refusals and moves as Markdown, made from the code so that they can't go stale.

`python -m shared.domain.diagrams` writes them to `STATES.md` beside this file; a test says when that is to be done.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from shared.domain.catalogue import EVENT_OF, MACHINES
from shared.domain.kernel import NEW, Command, Machine, Move
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


def taken(command: type[Command]) -> str:
    """When a command is taken, and where it leads, in a sentence for each machine that its event belongs to."""
    event = EVENT_OF[command]
    told = [f"Recorded as `{event.type}`."]
    for machine in MACHINES:
        if move := machine.moves.get(event):
            # An event that may come first need not come by command, as what ends a notification.
            begins = command.creates or machine.category != command.category
            while_in = _either(sorted({*move.sources} - ({NEW} if not begins else set()), key=_first))
            told.append(f"Taken while the {machine.category} is {while_in}; {_becomes(machine, move, begins)}.")
    return " ".join(told)


def _either(states: Iterable[str]) -> str:
    *more, last = ("not there yet" if state == NEW else f"`{state}`" for state in states)
    return f"{', '.join(more)} or {last}" if more else last


def _becomes(machine: Machine, move: Move, begins: bool) -> str:
    if move.to is None:
        return f"it stays so, a new one is `{machine.first}`" if begins and NEW in move.sources else "it stays so"
    leads_on = any(move.to in other.sources and other.to not in (None, move.to) for other in machine.moves.values())
    stays = "".join(f", unless `{name}` is `{'` or `'.join(values)}`" for name, values in move.unless.items())
    return f"it is `{move.to}` then{'' if leads_on else ' and for good'}{stays}"


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
