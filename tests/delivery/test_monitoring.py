"""Alert rules and board: each rule has a test that fires it and one that does not."""

import json
import math
import re
import subprocess
from collections.abc import Callable
from itertools import combinations
from pathlib import Path
from shutil import copyfile
from typing import Any

import msgspec
import pytest
import yaml
from projects import ROOT

from mlops.project.params import Drift, flatten
from mlops.serving import settings

MONITORING = ROOT / "deploy" / "monitoring"
RUNBOOKS = (ROOT / "deploy" / "alerts.md").read_text(encoding="utf-8")
SETTINGS = (ROOT / "deploy" / "settings.md").read_text(encoding="utf-8")
PAGES = [(MONITORING / name).read_text(encoding="utf-8") for name in ("README.md", "tuning.md")]
GROUPS = yaml.safe_load((MONITORING / "rules.yml").read_text(encoding="utf-8"))["groups"]
ALERTS = {rule["alert"]: rule for group in GROUPS for rule in group["rules"] if "alert" in rule}
TEST_FILES = sorted((ROOT / "tests" / "delivery" / "alerts").glob("*_test.yml"))
TESTS = [
    test
    for path in TEST_FILES
    for test in yaml.safe_load(path.read_text(encoding="utf-8"))["tests"]
]
EXPECTED = [expected for test in TESTS for expected in test["alert_rule_test"]]
BOARD: dict[str, Any] = json.loads((MONITORING / "grafana/board.json").read_text(encoding="utf-8"))
# A panel is a heading, or shows something.
SHOWING = [panel for panel in BOARD["panels"] if panel["type"] != "row"]
each_alert = pytest.mark.parametrize("alert", ALERTS)


@each_alert
def test_an_alert_has_a_test_that_fires_it_and_one_that_does_not(alert: str) -> None:
    tests = [bool(it["exp_alerts"]) for it in EXPECTED if it["alertname"] == alert]
    assert set(tests) == {True, False}


@each_alert
def test_an_alert_says_how_bad_it_is_and_what_to_do(alert: str) -> None:
    rule = ALERTS[alert]
    assert rule["labels"]["severity"] in ("critical", "warning")
    assert set(rule["annotations"]) == {"summary", "description", "runbook_url"}
    assert rule["annotations"]["runbook_url"] == f"deploy/alerts.md#{alert.lower()}"
    runbook = RUNBOOKS.partition(f"\n## {alert}\n")[2].partition("\n##")[0]
    assert len(runbook.split()) > 20


def test_no_runbook_is_left_behind() -> None:
    assert re.findall(r"^##+ (.+)$", RUNBOOKS, re.MULTILINE) == list(ALERTS)


def test_the_rules_do_what_their_tests_expect(promtool: str, tmp_path: Path) -> None:
    copyfile(MONITORING / "rules.yml", tmp_path / "rules.yml")
    done = run_tests(promtool, tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda expr: f"({expr}) and vector(1) > 2", "got:[]"),
        (lambda _: "vector(0)", "exp:[]"),
    ],
    ids=["never fires", "always fires"],
)
def test_a_rule_that_is_wrong_fails_its_test(
    promtool: str, tmp_path: Path, spoil: Callable[[str], str], said: str
) -> None:
    spoilt = yaml.safe_load((MONITORING / "rules.yml").read_text(encoding="utf-8"))
    for group in spoilt["groups"]:
        for rule in group["rules"]:
            if "alert" in rule:
                rule["expr"] = spoil(rule["expr"])
    (tmp_path / "rules.yml").write_text(yaml.safe_dump(spoilt), encoding="utf-8")
    done = run_tests(promtool, tmp_path)
    assert done.returncode != 0
    failures = (done.stdout + done.stderr).split("alertname: ")[1:]
    bitten = {text.partition(",")[0] for text in failures if said in re.sub(r"\s", "", text)}
    assert bitten == set(ALERTS)


def run_tests(promtool: str, folder: Path) -> "subprocess.CompletedProcess[str]":
    """Test the ``rules.yml`` in a folder."""
    for path in TEST_FILES:  # they name the rules that lie beside them
        copyfile(path, folder / path.name)
    command = [promtool, "test", "rules", *(path.name for path in TEST_FILES)]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


def test_prometheus_takes_its_configuration(promtool: str) -> None:
    command = [promtool, "check", "config", "prometheus.yml"]
    done = subprocess.run(command, cwd=MONITORING, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "SUCCESS: 1 rule files found" in done.stdout


def test_the_panels_lie_side_by_side() -> None:
    panels = BOARD["panels"]
    assert [panel["id"] for panel in panels] == list(range(1, len(panels) + 1))
    assert len({panel["title"] for panel in panels}) == len(panels)
    places = [panel["gridPos"] for panel in panels]
    assert all(it["x"] >= 0 and it["x"] + it["w"] <= 24 for it in places)  # Grafana's grid
    for one, other in combinations(places, 2):
        apart = one["x"] + one["w"] <= other["x"] or other["x"] + other["w"] <= one["x"]
        below = one["y"] + one["h"] <= other["y"] or other["y"] + other["h"] <= one["y"]
        assert apart or below, (one, other)


def test_the_board_reads_from_the_source_that_is_provisioned() -> None:
    provisioning = MONITORING / "grafana" / "provisioning"
    (source,) = yaml.safe_load((provisioning / "datasources/prometheus.yaml").read_text())[
        "datasources"
    ]
    for panel in SHOWING:
        assert panel["targets"]
        for asked in (panel, *panel["targets"]):
            assert asked["datasource"] == {"type": source["type"], "uid": source["uid"]}
    (provider,) = yaml.safe_load((provisioning / "dashboards/boards.yaml").read_text())["providers"]
    grafana = yaml.safe_load((ROOT / "deploy/compose.yaml").read_text())["services"]["grafana"]
    board = f"{provider['options']['path']}/board.json"
    assert f"./monitoring/grafana/board.json:{board}:ro" in grafana["volumes"]
    assert grafana["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"] == board
    prometheus = yaml.safe_load((MONITORING / "prometheus.yml").read_text())
    assert source["jsonData"]["timeInterval"] == prometheus["global"]["scrape_interval"]


def test_prometheus_understands_what_the_board_asks(promtool: str, tmp_path: Path) -> None:
    """As rules, as ``promtool`` checks nothing else; what Grafana puts in is put in."""
    asked = [target["expr"] for panel in SHOWING for target in panel["targets"]]
    rules = [
        {"record": "asked", "labels": {"number": str(number)}, "expr": expr}
        for number, expr in enumerate(it.replace("$__rate_interval", "1m") for it in asked)
    ]
    rules_file = tmp_path / "asked.yml"
    rules_file.write_text(yaml.safe_dump({"groups": [{"name": "board", "rules": rules}]}))
    command = [promtool, "check", "rules", str(rules_file)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert f"SUCCESS: {len(asked)} rules found" in done.stdout


def test_limits_that_the_board_draws_are_those_of_the_rules() -> None:
    drawn = {
        "p99 of a request": "ServiceSlow",
        "Requests that end with 5xx": "ServiceErrors",
        "Distance of the scores from the week before": "ScoresMoved",
        "Rows with an unknown category": "UnknownCategories",
        "Age of the last drift check": "DriftCheckMissing",
    }
    for panel in SHOWING:
        if alert := drawn.pop(panel["title"], None):
            (*_, step) = panel["fieldConfig"]["defaults"]["thresholds"]["steps"]
            (limit, *_) = re.findall(r"> ([\d.]+(?: \* \d+)*)", ALERTS[alert]["expr"])
            factors = map(float, limit.split(" * "))
            assert step == {"color": "red", "value": math.prod(factors)}, alert
    assert not drawn


def test_the_page_lists_the_settings_of_the_service() -> None:
    listed = re.findall(r"^\| `([A-Z_]+)` \| (?:`(.*?)`)? *\| (.*) \|$", SETTINGS, re.MULTILINE)
    defaults = {
        field.name.upper(): msgspec.json.encode(field.default).decode().strip('"')
        for field in msgspec.structs.fields(settings.Settings)
    }
    assert listed == [(name, defaults[name], text) for name, text in settings.MEANING.items()]


def test_the_pages_about_drift_speak_of_every_setting() -> None:
    keys = {*flatten(Drift().model_dump()), "columns.own"}  # an empty one has no keys
    spoken_of = set(re.findall(r"`([a-z_.]+)", "\n".join(PAGES)))
    for key in keys:
        assert {key, key.rpartition(".")[2]} & spoken_of, key
