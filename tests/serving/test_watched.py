"""What rules and board ask for, the service says; asked of a real Prometheus where there is one."""

import json
import re
import shutil
import socket
import subprocess
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml
from projects import ROOT, Project
from running_service import RunningService

from mlops import artifact
from mlops.serving.measures import Measures

MONITORING = ROOT / "deploy" / "monitoring"
BOARD: dict[str, Any] = json.loads((MONITORING / "grafana/board.json").read_text(encoding="utf-8"))
RULES = yaml.safe_load((MONITORING / "rules.yml").read_text(encoding="utf-8"))
# What a service on a binary model has nothing to say to, in its first minute.
SILENT = {"Distance of the scores from the week before", "Predicted classes", "Alerts that fire"}


def expressions() -> list[str]:
    rules = [rule["expr"] for group in RULES["groups"] for rule in group["rules"]]
    return rules + [target["expr"] for panel in BOARD["panels"] for target in panel["targets"]]


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
    loaded = artifact.load(trained / "models")
    facts = loaded.facts.model_copy(update={"task": "multiclass", "classes": ["a", "b", "c"]})
    several: Any = SimpleNamespace(facts=facts, name="several", version="1", lineage={})
    text = Measures(several, logs_predictions=False).text(None).decode()
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


class Prometheus:
    """A real one, that collects from one service, often."""

    def __init__(self, program: str, folder: Path, target: str) -> None:
        config = yaml.safe_load((MONITORING / "prometheus.yml").read_text(encoding="utf-8"))
        config["global"] = {"scrape_interval": "500ms", "evaluation_interval": "500ms"}
        (job,) = config["scrape_configs"]
        del job["dns_sd_configs"]
        job["static_configs"] = [{"targets": [target]}]
        (folder / "prometheus.yml").write_text(yaml.safe_dump(config), encoding="utf-8")
        shutil.copy(MONITORING / "rules.yml", folder)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self._address = f"127.0.0.1:{free.getsockname()[1]}"
        self.process = subprocess.Popen(
            [
                *(program, "--config.file=prometheus.yml", f"--storage.tsdb.path={folder}/data"),
                *(f"--web.listen-address={self._address}", "--log.level=error"),
            ],
            cwd=folder,
        )

    def ask(self, path: str, **query: str) -> Any:
        url = f"http://{self._address}/api/v1/{path}?{urllib.parse.urlencode(query)}"
        with urllib.request.urlopen(url, timeout=10) as answer:
            return json.load(answer)["data"]

    def query(self, expression: str) -> list[dict[str, Any]]:
        return list(self.ask("query", query=expression)["result"])

    def wait_for(self, expression: str) -> None:
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            try:
                if self.query(expression):
                    return
            except OSError:  # not up yet
                assert self.process.poll() is None
            time.sleep(0.1)
        raise AssertionError(f"never true: {expression}")


@pytest.fixture
def prometheus(running: RunningService, tmp_path: Path) -> Iterator[Prometheus]:
    program = shutil.which("prometheus")
    if program is None:
        pytest.skip("prometheus is not installed: apt-get install prometheus")
    server = Prometheus(program, tmp_path, running.url.removeprefix("http://"))
    yield server
    server.process.terminate()
    server.process.wait(20)


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
    for panel in BOARD["panels"]:
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
