"""The files in deploy/ name only series that /metrics has."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
SERIES = set(re.findall(r'"(cronzimus_\w+)"', (ROOT / "jobs/selectors/metrics.py").read_text()))


def known(expression: str) -> set[str]:
    found = set(re.findall(r"\bcronzimus_\w+", expression))
    return {re.sub(r"_(bucket|sum|count)$", "", name) for name in found}


def expressions() -> list[str]:
    dashboard = json.loads((ROOT / "deploy/grafana.json").read_text())
    rules = yaml.safe_load((ROOT / "deploy/prometheus.rules.yml").read_text())
    return [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]] + [
        rule["expr"] for group in rules["groups"] for rule in group["rules"]
    ]


@pytest.mark.parametrize("expression", expressions())
def test_every_expression_names_series_that_there_are(expression: str) -> None:
    names = known(expression)
    assert names
    assert names <= SERIES | {"cronzimus_runs_total"}


def test_every_series_is_documented() -> None:
    text = (ROOT / "docs/metrics.md").read_text()
    assert not [name for name in SERIES if name not in text]
