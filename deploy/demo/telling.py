"""How the story looks on the terminal."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from rich.console import Console
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from deploy.demo.story import Step

console = Console(highlight=False, width=None if sys.stdout.isatty() else 120)
"""As wide as the terminal; wide enough for the tables where there is none."""


def chapter(title: str) -> None:
    console.print()
    console.rule(f"[bold]{title}", align="left", style="dim")


def tell(step: Step, zone: str) -> None:
    console.print(f"  [dim]{_day(step.at, zone)}[/]  {step.says}  [dim]{step.command}[/]")


def received(event: Mapping[str, Any], zone: str) -> None:
    """A notification event, as the consumer got it."""
    data = event["data"]
    what = event["type"].split(".")[2]
    others = data.get("others", ())
    stages = ", ".join([data["stage"], *(each["stage"] for each in others)])
    whom = " and ".join(dict.fromkeys([data["recipient"]["role"], *(each["role"] for each in others)]))
    line = f"  [bold cyan]◀ {what}[/]  {data['kind']}/{stages} for {whom}"
    if what == "due":
        due = datetime.fromisoformat(data["due_at"])
        line += f", due {_moment(due, zone)}, {data['late_seconds']} s late, because of {data['armed_by']['type']}"
    else:
        line += f": {data['reason']}, because of {data['because']}"
    console.print(f"{line}  [dim]position {int(event['sequence'])}[/]")


def refused(step: Step, problem: Mapping[str, Any]) -> None:
    console.print(f"  {step.says}  [dim]{step.command}[/]")
    console.print(f"  [bold red]refused[/] {problem['code']}: {problem['detail']}")
    console.print(f"  [green]better[/]  {problem['remedy']}")


def mail(text: str) -> None:
    console.print(Panel(Text(text), width=100, style="cyan", padding=(0, 2)))


def table(title: str, columns: Iterable[str], rows: Iterable[Iterable[object]]) -> None:
    drawn = Table(title=title, title_justify="left", title_style="bold", header_style="dim")
    for column in columns:
        drawn.add_column(column, overflow="fold")
    for row in rows:
        drawn.add_row(*("" if cell is None else str(cell) for cell in row))
    console.print()
    console.print(drawn)


def moment(text: str | None, zone: str) -> str:
    return "" if text is None else _moment(datetime.fromisoformat(text), zone)


def _moment(at: datetime, zone: str) -> str:
    return at.astimezone(ZoneInfo(zone)).strftime("%d %b %H:%M")


def _day(at: datetime, zone: str) -> str:
    return at.astimezone(ZoneInfo(zone)).strftime("%d %b")
