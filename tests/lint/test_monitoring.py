"""Alerts and dashboard: each expression is PromQL about metrics and labels that there are, hints lead somewhere."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import promql_parser
import pytest
from prometheus_client.metrics import MetricWrapperBase
from ruamel.yaml import YAML

from services.cli.main import GROUPS
from tests.docs.reference import METRICS

ROOT = Path(__file__).parents[2]
[GROUP] = YAML(typ="safe").load(ROOT / "deploy" / "prometheus" / "alerts.yml")["groups"]
RULES: list[dict[str, Any]] = GROUP["rules"]
BOARD: dict[str, Any] = json.loads((ROOT / "deploy" / "grafana" / "kithlog.json").read_text("utf-8"))
TARGETS: list[dict[str, str]] = [target for panel in BOARD["panels"] for target in panel["targets"]]
OF_PROMETHEUS = {"job", "instance"}
"""Labels that every series has from where it was scraped."""


def series() -> Iterator[tuple[str, set[str]]]:
    """Each series that the services show, with its labels."""
    yield "up", set()
    for metrics in METRICS:
        for family in metrics.registry.collect():
            yield from ((sample.name, set(sample.labels)) for sample in family.samples)
        for metric in vars(metrics).values():
            if isinstance(metric, MetricWrapperBase):
                [family] = metric.describe()
                labels = set(metric._labelnames)
                ends = {"counter": ["_total"], "histogram": ["_bucket", "_count", "_sum"]}.get(family.type, [""])
                yield from ((family.name + end, labels | ({"le"} if end == "_bucket" else set())) for end in ends)


SERIES = dict(series())


def labels_of(expression: str) -> set[str]:
    """The labels of all series that it is about. It must be PromQL, and name nothing that there is not."""
    known, named = set(OF_PROMETHEUS), set[str]()

    def visit(part: promql_parser.Expr) -> None:
        if isinstance(part, promql_parser.MatrixSelector):
            part = part.vector_selector
        if isinstance(part, promql_parser.VectorSelector):
            assert part.name in SERIES, part.name
            has = SERIES[part.name] | OF_PROMETHEUS
            assert {matcher.name for matcher in part.matchers.matchers} <= has, part.name
            known.update(has)
        elif isinstance(part, promql_parser.AggregateExpr) and part.modifier is not None:
            named.update(part.modifier.labels)

    promql_parser.walk(promql_parser.parse(expression.replace("$__rate_interval", "5m")), visit)
    assert named <= known, expression
    return known


@pytest.mark.parametrize("rule", [pytest.param(rule, id=rule["alert"]) for rule in RULES])
def test_an_alert_is_about_what_there_is_and_says_where_to_look(rule: dict[str, Any]) -> None:
    """Given an alert, then its expression and summary name metrics and labels of the services, its runbook a part of a
    page, and no verb that there is not."""
    assert rule.keys() - {"for"} == {"alert", "expr", "labels", "annotations"}
    assert rule["labels"].keys() == {"severity"}
    summary, runbook = rule["annotations"]["summary"], rule["annotations"]["runbook"]
    assert set(re.findall(r"\$labels\.(\w+)", summary)) <= labels_of(rule["expr"])
    assert set(re.findall(r"`kithlog (\w+)", runbook)) <= GROUPS.keys()
    [(page, part)] = re.findall(r"(\S+\.md)#(\S+)", runbook)
    heads = re.findall(r"^#+ (.+)$", (ROOT / page).read_text("utf-8"), re.MULTILINE)
    assert part in {re.sub(r"[^\w -]", "", head).lower().replace(" ", "-") for head in heads}


def test_the_alerts_are_those_of_the_readme() -> None:
    """Given a metric that the README tells to be woken for, then there is an alert about it."""
    [table] = re.findall(r"\| alert when \|.*?\n\n", (ROOT / "README.md").read_text("utf-8"), re.DOTALL)
    watched = set(re.findall(r"`(kithlog_\w+)`", table))
    assert len(watched) > 5
    assert [name for name in watched if not any(name in rule["expr"] for rule in RULES)] == []


@pytest.mark.parametrize("target", [pytest.param(target, id=target["expr"]) for target in TARGETS])
def test_a_graph_shows_what_there_is(target: dict[str, str]) -> None:
    assert set(re.findall(r"{{(\w+)}}", target["legendFormat"])) <= labels_of(target["expr"])


def test_each_graph_has_its_place() -> None:
    """Given the dashboard, then no panel has another's id, or lies over it, and all ask the source that is chosen."""
    panels = BOARD["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    places = [
        (x, y)
        for place in (panel["gridPos"] for panel in panels)
        for x in range(place["x"], place["x"] + place["w"])
        for y in range(place["y"], place["y"] + place["h"])
    ]
    assert len(set(places)) == len(places)
    assert max(x for x, _ in places) < 24
    [variable] = BOARD["templating"]["list"]
    assert {panel["datasource"]["uid"] for panel in panels} == {f"${{{variable['name']}}}"}
