"""The README's tables, made from what they describe. `python -m tests.docs.reference` writes them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path

from shared.operations.metrics import CommandMetrics, Metrics, ProjectorMetrics
from shared.operations.settings import CommandSettings, ProjectorSettings, Settings, documented

README = Path(__file__).parents[2] / "README.md"


def settings_table() -> Iterator[str]:
    yield "| variable | default | meaning |"
    yield "|---|---|---|"
    shared = [row.variable for row in documented(Settings)]
    for title, kind in (("both", Settings), ("command", CommandSettings), ("projector", ProjectorSettings)):
        for row in documented(kind):
            if kind is Settings or row.variable not in shared:
                where = "" if kind is Settings else f" ({title} service)"
                yield f"| `{row.variable}` | `{row.default}` | {row.description}{where} |"


def metrics_table() -> Iterator[str]:
    yield "| metric | kind | meaning |"
    yield "|---|---|---|"
    seen: set[str] = set()
    services: tuple[tuple[str, Metrics], ...] = (("command", CommandMetrics()), ("projector", ProjectorMetrics()))
    for _, metrics in services:
        for family in metrics.registry.collect():
            if family.name.startswith("kithlog_") and family.name not in seen:
                seen.add(family.name)
                name = f"{family.name}_total" if family.type == "counter" else family.name
                yield f"| `{name}` | {family.type} | {family.documentation} |"


TABLES: dict[str, Callable[[], Iterator[str]]] = {"settings": settings_table, "metrics": metrics_table}


def written(text: str) -> str:
    """The README with its tables as they should be: each follows its mark."""
    for name, table in TABLES.items():
        mark = f"<!-- {name} -->"
        body = "\n".join(table())
        head, _, rest = text.partition(f"{mark}\n")
        text = f"{head}{mark}\n{body}\n" + re.sub(r"^(\|[^\n]*\n)*", "", rest, count=1)
    return text


if __name__ == "__main__":
    README.write_text(written(README.read_text(encoding="utf-8")), encoding="utf-8")
