"""Tables for people: nothing is cut off, and words, such as ids that are to be copied, stay in one piece."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Sequence

from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

_NUMBER = re.compile(r"-?[\d,]*\d(\.\d+)?")
_ENDLESS = 1_000_000
"""Columns of what is no terminal, such as a pipe."""


def console() -> Console:
    """Standard output, as wide as the terminal; what is none is as wide as its longest line, or as `COLUMNS` says."""
    found = Console()
    return found if found.is_terminal or os.environ.get("COLUMNS", "").isdigit() else Console(width=_ENDLESS)


def show_table(
    columns: Sequence[str],
    rows: Iterable[Sequence[object]],
    *,
    title: str | None = None,
    style: Callable[[Sequence[str]], str | None] = lambda row: None,
) -> None:
    """A table with its numbers to the right; where its words don't fit beside each other, one field a line instead.

    `style` gives a row a style of Rich's, by its cells.
    """
    cells = [[printable("" if cell is None else str(cell)) for cell in row] for row in rows]
    by_column = [[row[index] for row in cells if row[index]] for index in range(len(columns))]
    screen = console()
    room = screen.width - 3 * len(columns) - 1  # a border and two blanks for each, and the last border
    widths = _widths([[name, *found] for name, found in zip(columns, by_column, strict=True)], room)
    if widths is None and len(columns) > 2:
        table = Table.grid(padding=(0, 2, 0, 0))
        table.title = title
        table.add_column(style="bold", no_wrap=True)
        table.add_column(overflow="fold")
        for row in cells:
            if table.row_count:
                table.add_row()
            for name, cell in zip(columns, row, strict=True):
                if cell:
                    table.add_row(name, Text(cell), style=style(row))
    else:
        table = Table(title=title)
        for index, (name, found) in enumerate(zip(columns, by_column, strict=True)):
            numbers = bool(found) and all(_NUMBER.fullmatch(cell) for cell in found)
            width = widths[index] if widths else None
            table.add_column(name, width=width, justify="right" if numbers else "left", overflow="fold")
        for row in cells:
            table.add_row(*map(Text, row), style=style(row))
    screen.print(table)


def _widths(columns: Sequence[Sequence[str]], room: int) -> list[int] | None:
    """Of each column: its longest word, and of the room that is left what its longest line asks for, in proportion.
    None where the words alone don't fit."""
    least = [max((cell_len(word) for cell in column for word in cell.split()), default=0) for column in columns]
    most = [max((cell_len(line) for cell in column for line in cell.splitlines()), default=0) for column in columns]
    left, asked = room - sum(least), sum(most) - sum(least)
    if left < 0:
        return None
    share = min(1.0, left / asked) if asked else 0.0
    return [few + int((many - few) * share) for few, many in zip(least, most, strict=True)]


def printable(text: str) -> str:
    """Keep control characters in the data from the terminal."""
    return "".join(c if c.isprintable() or c == "\n" else "\N{REPLACEMENT CHARACTER}" for c in text)
