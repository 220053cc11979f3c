"""The alert rules and the dashboard in ops/ speak of metrics that there are, by labels that they have."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client import REGISTRY

from dispatcher import metrics
from vestnik.metrics.collector import InstallationCollector
from web import request_metrics

OPS = Path(__file__).parents[1] / "ops"
METRIC = re.compile(r"\b(vestnik_\w+)(?:\{([^}]*)\})?")
LABEL = re.compile(r'(\w+)\s*(?:=~|!~|!=|=)\s*"([^"]*)"')
GROUPED = re.compile(r"\bby \(([^)]*)\) \((.*)")
COUNTED = (
    request_metrics.REQUESTS,
    request_metrics.REQUEST_SECONDS,
    metrics.ATTEMPT_SECONDS,
    metrics.LIMIT_WAIT_SECONDS,
)


@pytest.fixture
def labels(transactional_db: None, valkey: None) -> dict[str, dict[str, set[str]]]:
    """Of each sample that there may be: its labels, and what is known of their values."""
    for metric in COUNTED:
        if metric in (request_metrics.REQUESTS, request_metrics.REQUEST_SECONDS):
            metric.labels(*(["none", "200"][: len(metric._labelnames)]))
    figures = InstallationCollector()
    found: dict[str, dict[str, set[str]]] = {"vestnik_tick_timestamp_seconds": {}}
    (job,) = yaml.safe_load((OPS / "prometheus" / "prometheus.yml").read_text())["scrape_configs"]
    assert job["relabel_configs"] == [{"source_labels": ["__meta_dns_name"], "target_label": "service"}]
    services = set(job["dns_sd_configs"][0]["names"])
    families = [*figures.collect(), *REGISTRY.collect()]
    figures.close()
    for family in families:
        for sample in family.samples:
            values = found.setdefault(sample.name, {})
            for name, value in sample.labels.items():
                values.setdefault(name, set()).add(value)
    for values in found.values():
        values["service"] = services
    return found


def rules() -> list[dict[str, Any]]:
    """The alerts."""
    read = yaml.safe_load((OPS / "prometheus" / "alerts.yml").read_text())
    return [rule for group in read["groups"] for rule in group["rules"]]


def panels() -> list[dict[str, Any]]:
    """Of the dashboard."""
    read: list[dict[str, Any]] = json.loads((OPS / "grafana" / "vestnik.json").read_text())["panels"]
    return read


def expressions() -> Iterator[str]:
    """Everything that is asked of Prometheus."""
    yield from (rule["expr"] for rule in rules())
    yield from (target["expr"] for panel in panels() for target in panel["targets"])


def test_every_metric_and_label_that_is_asked_for_is_told(labels):
    named = 0
    for expression in expressions():
        for name, selector in METRIC.findall(expression):
            named += 1
            assert name in labels, f"{name} in {expression}"
            for label, values in LABEL.findall(selector):
                assert label in labels[name], f"{label} in {expression}"
                if label != "status":
                    assert set(values.split("|")) <= labels[name][label], expression
        for group, rest in GROUPED.findall(expression):
            (name, _), *_others = METRIC.findall(rest)
            assert {label.strip() for label in group.split(",")} <= labels[name].keys(), expression
    assert named > 30


def test_every_metric_is_looked_at_by_an_alert_or_on_the_dashboard(labels):
    asked = {name for expression in expressions() for name, _ in METRIC.findall(expression)}
    families = {re.sub(r"_(count|sum|bucket|total|created)$", "", name) for name in labels if "vestnik_" in name}

    assert families == {re.sub(r"_(count|sum|bucket|total)$", "", name) for name in asked}


def test_brackets_and_quotes_match():
    for expression in expressions():
        for pair in ("()", "[]", "{}"):
            assert expression.count(pair[0]) == expression.count(pair[1]), expression
        assert expression.count('"') % 2 == 0, expression


def test_every_alert_says_what_is_the_matter_and_how_bad_it_is():
    for rule in rules():
        assert rule["alert"].startswith("Vestnik")
        assert rule["labels"]["severity"] in ("warning", "critical")
        assert rule["annotations"].keys() == {"summary"}
    assert len({rule["alert"] for rule in rules()}) == len(rules())


def test_panels_do_not_lie_upon_each_other():
    places = [
        (column, row)
        for panel in panels()
        for column in range(panel["gridPos"]["x"], panel["gridPos"]["x"] + panel["gridPos"]["w"])
        for row in range(panel["gridPos"]["y"], panel["gridPos"]["y"] + panel["gridPos"]["h"])
    ]
    assert len(places) == len(set(places))
    assert max(column for column, _ in places) < 24
    assert len({panel["id"] for panel in panels()}) == len(panels())


def test_prometheus_finds_the_services_of_the_compose_file():
    root = OPS.parent
    services = yaml.safe_load((root / "docker-compose.yml").read_text())["services"]
    (job,) = yaml.safe_load((OPS / "prometheus" / "prometheus.yml").read_text())["scrape_configs"]
    (found,) = job["dns_sd_configs"]

    for name in found["names"]:
        environment = services[name]["environment"]
        assert environment["METRICS_PORT"] == str(found["port"])
        assert environment["METRICS_HOST"] == "0.0.0.0"  # noqa: S104  # of its container
        assert "ports" not in services[name]
