"""What rules and board ask for, the service says; asked of a real Prometheus where there is one."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml
from projects import Project
from running_prometheus import MONITORING, Prometheus
from running_service import RunningService

from mlops.artifact import model_folder
from mlops.serving.measures import Measures
from mlops.serving.prediction_log import LogState

BOARD: dict[str, Any] = json.loads((MONITORING / "grafana/board.json").read_text(encoding="utf-8"))
# Below a heading of its own is what drift checks say: tests/drift/test_drift_export.py.
PANELS = BOARD["panels"][: [panel["type"] for panel in BOARD["panels"]].index("row")]
RULES = yaml.safe_load((MONITORING / "rules.yml").read_text(encoding="utf-8"))
# What a service on a binary model has nothing to say to, in its first minute.
SILENT = {"Distance of the scores from the week before", "Predicted classes", "Alerts that fire"}


def expressions() -> list[str]:
    rules = [rule["expr"] for group in RULES["groups"] for rule in group["rules"]]
    return rules + [target["expr"] for panel in PANELS for target in panel["targets"]]


def asked_for() -> set[str]:
    """Return the metrics that are looked at, but for those that rules record."""
    recorded = {
        rule["record"] for group in RULES["groups"] for rule in group["rules"] if "record" in rule
    }
    names = set(re.findall(r"\bserving[\w:]+", "\n".join(expressions())))
    assert recorded <= names
    return names - recorded


def said(running: RunningService, trained: Project) -> set[str]:
    """Return the metrics of this service, and of one on a model with several classes."""
    loaded = model_folder.load(trained / "models")
    facts = loaded.facts.model_copy(update={"task": "multiclass", "classes": ["a", "b", "c"]})
    several: Any = SimpleNamespace(facts=facts, name="several", version="1", lineage={})
    text = Measures(several, logs_predictions=False).text(LogState()).decode()
    text += running.request("GET", "/metrics").body.decode()
    return {
        name
        for name in re.findall(r"^(\w+)", text, re.MULTILINE)
        if not name.startswith(("process_", "python_"))
    }


def test_what_is_looked_at_is_what_the_service_says(
    running: RunningService, trained: Project
) -> None:
    running.predict({"nonsense": 1})
    names = said(running, trained)
    assert asked_for() <= names
    base = {re.sub("_(bucket|count|sum)$", "", name) for name in names}
    looked_at = {re.sub("_(bucket|count|sum)$", "", name) for name in asked_for()}
    assert base == looked_at, "a metric that nobody looks at, or a panel that is missing"


@pytest.fixture
def prometheus(running: RunningService, tmp_path: Path) -> Iterator[Prometheus]:
    server = Prometheus(tmp_path, "model", running.url.removeprefix("http://"))
    yield server
    server.stop()


def test_a_prometheus_understands_the_service_and_fills_the_board(
    running: RunningService, prometheus: Prometheus
) -> None:
    prometheus.wait_for('up{job="model"} == 1')
    row = running.example()
    columns = running.request("GET", "/model").json()["columns"]
    unknown = next(it["name"] for it in columns if it["categories"] and it["type"] == "string")
    nullable = next(it["name"] for it in columns if it["nullable"])
    for _ in range(2):  # a rate needs two values
        before = sum(float(it["value"][1]) for it in prometheus.query("serving_rows_total"))
        running.predict([row, row | {unknown: "new here"}, row | {nullable: None}])
        running.predict({"nonsense": 1})
        prometheus.wait_for(f"serving_rows_total >= {before + 3}")
    prometheus.wait_for("sum(rate(serving_rows_total[15s])) > 0")
    prometheus.wait_for("serving_prediction_log_written_total > 0")

    empty = set()
    for panel in PANELS:
        for target in panel["targets"]:
            found = prometheus.query(target["expr"].replace("$__rate_interval", "15s"))
            shown = {name for it in found for name in it["metric"]}
            assert set(re.findall(r"{{(\w+)}}", target["legendFormat"])) <= shown or not found
            if not found:
                empty.add(panel["title"])
    assert empty == SILENT
    rules = [rule for group in prometheus.ask("rules")["groups"] for rule in group["rules"]]
    assert len(rules) == sum(len(group["rules"]) for group in RULES["groups"])
    assert {rule["health"] for rule in rules} <= {"ok", "unknown"}, rules
    assert not [rule["name"] for rule in rules if rule.get("state") == "firing"]
