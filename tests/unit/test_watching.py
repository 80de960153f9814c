"""The files that watch the system ask for metrics that exist, and every alert says what to do."""

import json
import re
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from interest_center.metrics import RANKER, WORKER

DOCKER = Path(__file__).parents[2] / "docker"
SUFFIXES = {"counter": ["_total"], "histogram": ["_bucket", "_count", "_sum"], "gauge": [""]}


def exposed(registry: CollectorRegistry) -> set[str]:
    """Return the names under which Prometheus sees our metrics."""
    return {
        family.name + suffix
        for family in registry.collect()
        if family.name.startswith("uic_")
        for suffix in SUFFIXES[family.type]
    }


@pytest.mark.parametrize("name", ["alerts.yml", "grafana-dashboard.json", "runbook.md"])
def test_every_metric_that_is_asked_for_exists(name: str) -> None:
    asked = set(re.findall(r"\buic_[a-z_]+", (DOCKER / name).read_text()))
    assert asked
    known = exposed(WORKER) | exposed(RANKER)
    if name == "runbook.md":
        # Prose names a metric without what its type adds.
        known |= {re.sub(r"_(total|bucket)$", "", metric) for metric in known}
    assert asked <= known


def test_every_alert_has_its_section_in_the_runbook() -> None:
    alerts = re.findall(r"alert: (\w+)", (DOCKER / "alerts.yml").read_text())
    headings = "\n".join(
        line for line in (DOCKER / "runbook.md").read_text().splitlines() if line.startswith("#")
    )
    assert alerts
    assert [alert for alert in alerts if alert not in headings] == []


def test_every_panel_of_the_dashboard_asks_something() -> None:
    dashboard = json.loads((DOCKER / "grafana-dashboard.json").read_text())
    assert all(panel["targets"] and panel["title"] for panel in dashboard["panels"])
