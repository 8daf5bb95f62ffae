"""``mlops decide``: what follows from a check, once its challenger is judged."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from projects import EXAMPLE
from retraining_reports import comparison, drift, question
from workbench import Workbench

from mlops.drift import challenger

ASKED = {**question("wanted", None, None), "start": "2013-06-01", "end": "2013-06-30"}


def folder_with(tmp_path: Path, found: dict[str, Any], judged: dict[str, Any]) -> Workbench:
    project = Workbench(tmp_path)
    shutil.copyfile(EXAMPLE / "params.yaml", tmp_path / "params.yaml")
    (tmp_path / "reports").mkdir()
    for name, content in (("drift", found), ("comparison", judged)):
        (tmp_path / f"reports/{name}.json").write_text(json.dumps(content))
    return project


def asked(**changed: Any) -> dict[str, Any]:
    """A check that waits for its challenger."""
    return drift(decision="watch", challenger=ASKED) | changed


def judged(finding: str, passed: bool, **row: Any) -> dict[str, Any]:
    """A comparison with that finding, which passed the policy ``not_worse`` or did not."""
    made = comparison(finding=finding)
    made["checks"] = [it | {"passed": passed} for it in made["checks"]]
    made["differences"] = [it | row for it in made["differences"]]
    return made


@pytest.mark.parametrize(
    ("given", "state"),
    [
        (judged("better", True), "better"),
        (judged("better", True, difference=0.004), "not worse"),  # less than the margin
        (judged("equivalent", True, difference=0.001), "not worse"),
        (judged("inconclusive", True, difference=0.02), "not worse"),
        (judged("inconclusive", False, difference=0.02), "not better"),
        (judged("worse", False, difference=-0.02), "not better"),
        (judged("worse", True, difference=-0.004), "not worse"),
        (judged("same", True, difference=0.0), "same"),
        (judged("better", True, difference=-0.037, greater_is_better=False), "better"),
        (judged("worse", False, difference=0.037, greater_is_better=False), "not better"),
    ],
)
def test_how_a_challenger_compares(given: dict[str, Any], state: str) -> None:
    answer = challenger.judged(given)
    assert answer["state"] == state
    assert answer["sentence"].startswith("a model trained on 2013-03 to 2013-05 ")
    assert " on 2013-06: ROC AUC 0.691 → 0.728 (" in answer["sentence"]
    assert answer["sentence"].endswith("95% interval +0.030 to +0.040 on 30 days)")


def test_what_moved_the_other_way_is_said() -> None:
    given = judged("better", True)
    (row,) = given["differences"]
    given["differences"] += [
        row | {"metric": name, "verdict": "worse"} for name in ("log_loss", "accuracy")
    ]
    assert challenger.judged(given)["sentence"].endswith("; but log loss, accuracy are worse")


def test_the_report_is_completed_and_as_often_as_one_likes(tmp_path: Path) -> None:
    project = folder_with(tmp_path, asked(), comparison())
    said = project.do("decide")
    assert said.startswith("Retrain champion v7 in 2013-06: a model trained on 2013-03 to 2013-05 ")
    found = project.json("drift")
    assert (found["decision"], found["sentence"]) == ("retrain", said.strip())
    assert found["windows"][-1]["decision"] == "retrain"
    assert found["reasons"][1:] == [*found["moved"], found["lasting"]]
    assert said.strip() in (tmp_path / "reports/drift.md").read_text()
    assert (
        'decision="retrain",model="flight-delays"} 1.0'
        in (tmp_path / "reports/drift.prom").read_text()
    )
    assert project.do("decide") == said
    assert project.json("drift") == found


def test_where_newer_rows_do_not_help_it_is_watched(tmp_path: Path) -> None:
    project = folder_with(tmp_path, asked(), judged("inconclusive", False))
    assert project.do("decide").startswith("Watch champion v7 in 2013-06: 1 of 2 inputs has drift")
    assert project.json("drift")["decision"] == "watch"
    quiet = asked(moved=[], lasting="", drifted=False, decision="none")
    (tmp_path / "reports/drift.json").write_text(json.dumps(quiet))
    assert "; a model trained on 2013-03 to 2013-05 is not surely" in project.do("decide")
    assert project.json("drift")["decision"] == "none"


@pytest.mark.parametrize(
    ("found", "told", "said"),
    [
        ({"challenger": question("skipped", None, None)}, {}, "asks for no challenger: it is skip"),
        ({"challenger": None}, {}, "asks for no challenger: Retrain champion v7"),
        ({}, {"holdout": {"start": "2013-04", "end": "2013-04"}}, "judges on 2013-04, which does"),
        ({"champion": {"version": 8}}, {}, "is about champion 8, and reports/comparison.json ab"),
        ({}, {"mode": "change"}, "judges a change; run `mlops compare --mode retrain`, `mlops dec"),
    ],
)
def test_reports_of_two_checks_decide_nothing(
    tmp_path: Path, found: dict[str, Any], told: dict[str, Any], said: str
) -> None:
    given = asked(**found)
    project = folder_with(tmp_path, given, comparison() | told)
    assert said in project.refused("decide")
    assert project.json("drift") == given
