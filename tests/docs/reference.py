"""The tables of the README and its like, made from what they describe. `python -m tests.docs.reference` writes them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path

from deploy.delivery.settings import DeliverySettings, Services
from services.command.metrics import CommandMetrics
from services.command.settings import CommandSettings
from services.projector.metrics import ProjectorMetrics
from services.projector.settings import ProjectorSettings
from shared.contract.cloudevent_schema import ATTRIBUTES, HEADERS
from shared.operations.metrics import Metrics
from shared.operations.settings import Settings, documented

ROOT = Path(__file__).parents[2]
README = ROOT / "README.md"
PAGES = (README, ROOT / "deploy" / "contract" / "README.md", ROOT / "deploy" / "delivery" / "README.md")
METRICS: tuple[Metrics, ...] = (CommandMetrics(), ProjectorMetrics())


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
    for metrics in METRICS:
        for family in metrics.registry.collect():
            if family.name.startswith("kithlog_") and family.name not in seen:
                seen.add(family.name)
                name = f"{family.name}_total" if family.type == "counter" else family.name
                yield f"| `{name}` | {family.type} | {family.documentation} |"


def delivery_table() -> Iterator[str]:
    yield "| variable | default | meaning |"
    yield "|---|---|---|"
    for kind in (Services, DeliverySettings):
        for name, info in kind.model_fields.items():
            default = info.get_default(call_default_factory=True)
            shown = "" if default is None or not info.repr else f"`{default}`"
            yield f"| `{kind.model_config['env_prefix']}{name.upper()}` | {shown} | {info.description} |"


def envelope_table() -> Iterator[str]:
    yield "| attribute | JSON | meaning |"
    yield "|---|---|---|"
    for name, schema in ATTRIBUTES.items():
        kind = f"`{schema['const']}`" if "const" in schema else schema.get("format") or schema["type"]
        yield f"| `{name}` | {kind} | {schema['description']} |"


def headers_table() -> Iterator[str]:
    yield "| header | AMQP | meaning |"
    yield "|---|---|---|"
    for name, schema in HEADERS["properties"].items():
        kind = f"`{schema['const']}`".lower() if "const" in schema else schema["type"]
        yield f"| `{name}` | {kind} | {schema['description']} |"


TABLES: dict[str, Callable[[], Iterator[str]]] = {
    "settings": settings_table,
    "metrics": metrics_table,
    "delivery": delivery_table,
    "envelope": envelope_table,
    "headers": headers_table,
}


def written(text: str) -> str:
    """The page with its tables as they should be: each follows its mark."""
    for name, table in TABLES.items():
        mark = f"<!-- {name} -->\n"
        if mark in text:
            body = "\n".join(table())
            head, _, rest = text.partition(mark)
            text = f"{head}{mark}{body}\n" + re.sub(r"^(\|[^\n]*\n)*", "", rest, count=1)
    return text


if __name__ == "__main__":
    for page in PAGES:
        page.write_text(written(page.read_text(encoding="utf-8")), encoding="utf-8")
