"""The policy: each check in the state in which it opens the gate, and in the one that closes it."""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from workbench import Workbench

from mlops.judgement import gate as policy
from mlops.judgement.blocks import Blocks
from mlops.judgement.bootstrap import Difference
from mlops.judgement.finding import Slice, Verdict, _groups
from mlops.judgement.metric import resolve
from mlops.project.errors import MlopsError
from mlops.project.params import Slices

AGAINST, SLICES = "against the champion", "no slice clearly worse"
BASE_RATE = "beats the base rate (log loss)"
BELIEVED = ["no feature knows the answer", "gain is believable"]
BUDGETS = ["calibration error", "one prediction", "model size"]


def check(comparison: dict[str, Any], name: str) -> dict[str, Any]:
    (found,) = [check for check in comparison["checks"] if check["name"] == name]
    return dict(found)


def failed(comparison: dict[str, Any]) -> list[str]:
    """Return the names of the checks that failed, having seen that the rest of the JSON agrees."""
    checks = [check for check in comparison["checks"] if not check["passed"]]
    assert comparison["passed"] == (not checks)
    assert comparison["reasons"] == [check["reason"] for check in checks]
    return [check["name"] for check in checks]


# Against the champion: each finding under both policies

CASES = [
    ("newborn", "change", {}, True, "there is no champion to compare with"),
    ("newborn", "retrain", {}, True, "there is no champion to compare with"),
    ("same", "change", {}, True, "its predictions are the champion's, so there is nothing to ship"),
    ("same", "retrain", {}, True, "its predictions are the champion's"),
    ("better", "change", {}, True, "ROC AUC is better than the champion's by 0.0818 (95% interval"),
    ("better", "retrain", {}, True, "ROC AUC is not worse than the champion's by more than 0.006"),
    ("worse", "change", {}, False, "ROC AUC is worse than the champion's by 0.1337 (95% interval"),
    ("worse", "retrain", {}, False, "ROC AUC is worse than the champion's by more than 0.006"),
    ("worse", "retrain", {"margin": 0.14}, False, "ROC AUC may be worse than the champion's by mo"),
    ("worse", "retrain", {"margin": 0.2}, True, "ROC AUC is not worse than the champion's by more"),
    ("close", "change", {"margin": 0.05}, False, "ROC AUC differs from the champion's by less tha"),
    ("close", "retrain", {"margin": 0.05}, True, "ROC AUC is not worse than the champion's by mor"),
    ("close", "change", {"margin": 0.001}, False, "32 days cannot tell ROC AUC from the champion"),
    ("close", "retrain", {"margin": 0.001}, False, "ROC AUC may be worse than the champion's by m"),
    ("close", "retrain", {"margin": 0.002}, True, "ROC AUC is not worse than the champion's by mo"),
]


@pytest.mark.parametrize(("name", "mode", "gate", "passed", "reason"), CASES)
def test_findings_under_both_policies(
    request: pytest.FixtureRequest,
    tmp_path: Path,
    name: str,
    mode: str,
    gate: dict[str, float],
    passed: bool,
    reason: str,
) -> None:
    project: Workbench = request.getfixturevalue(name).copy(tmp_path / "project")
    project.set(**{f"gate__{key}": value for key, value in gate.items()})
    comparison = project.compare(mode)
    assert comparison["mode"] == mode
    against = check(comparison, AGAINST)
    assert (against["passed"], against["reason"][: len(reason)]) == (passed, reason)
    assert (AGAINST in failed(comparison)) == (not passed)


def test_the_policy_follows_from_what_changed(
    better: Workbench, close: Workbench, blind: Workbench, same: Workbench
) -> None:
    changed = {"better": better, "close": close, "blind": blind, "same": same}
    assert {name: project.json("comparison")["mode"] for name, project in changed.items()} == {
        "better": "retrain",  # the window alone
        "close": "change",  # a parameter
        "blind": "change",  # the window and the code
        "same": "upkeep",  # nothing, as when only libraries differ
    }


def test_a_change_may_be_asked_for_less_and_libraries_are(close: Workbench, tmp_path: Path) -> None:
    project = close.copy(tmp_path / "project")
    project.set(gate__margin=0.002)
    told = {}
    for change in ("better", "not_worse"):
        project.set(gate__change=change)
        for mode in ("change", "upkeep"):
            comparison = project.compare(mode)
            told[change, mode] = (comparison["policy"], check(comparison, AGAINST)["passed"])
    assert told == {
        ("better", "change"): ("better", False),
        ("better", "upkeep"): ("not_worse", True),
        ("not_worse", "change"): ("not_worse", True),
        ("not_worse", "upkeep"): ("not_worse", True),
    }


def test_a_difference_that_nobody_knows_how_sure_it_is_does_not_pass() -> None:
    """As of a rare class, which most resamples lack."""
    unknown = Difference(0.9, 0.8, 0.1, math.nan, math.nan)
    days = Blocks(np.arange(8), 8, "days")
    for asked in ("better", "not_worse"):
        found = policy.improvement(
            asked, "inconclusive", resolve("roc_auc", "binary"), unknown, days, 0.005, 0.95
        )
        assert (found.passed, found.value) == (False, "no interval")
        assert found.reason.startswith("ROC AUC is undefined on too many resamples of 8 days, so")


def test_a_setting_that_the_champion_s_gate_did_not_have_is_no_change(
    better: Workbench, tmp_path: Path
) -> None:
    project = better.copy(tmp_path / "project")
    (path,) = (project / ".store").rglob("comparison.json")
    told = json.loads(path.read_text())
    for newer in ("judgements", "blocks", "change"):
        del told["gate"][newer]
    path.write_text(json.dumps(told))
    assert project.compare()["changes"]["gate"] is False
    project.set(gate__judgements=9)
    assert project.compare()["changes"]["gate"] is True


# The other checks


def test_a_good_candidate_passes_every_check(better: Workbench) -> None:
    comparison = better.json("comparison")
    assert failed(comparison) == []
    names = [check["name"] for check in comparison["checks"]]
    assert names == [AGAINST, "floor: ROC AUC", BASE_RATE, *BELIEVED, SLICES, *BUDGETS]


def test_floors_hold_scores_up_and_errors_down(better: Workbench, tmp_path: Path) -> None:
    project = better.copy(tmp_path / "project")
    floors = {"roc_auc": 0.9, "accuracy": 0.6, "log_loss": 0.4, "neg_brier_score": 0.3}
    project.set(gate__floors=floors)
    comparison = project.compare()
    assert failed(comparison) == ["floor: ROC AUC", "floor: log loss"]
    assert check(comparison, "floor: ROC AUC")["reason"] == (
        "ROC AUC 0.7399 is below the limit 0.9"
    )
    above = check(comparison, "floor: log loss")
    assert above["limit"] == "≤ 0.4"
    assert above["reason"].endswith(" is above the limit 0.4")
    assert check(comparison, "floor: accuracy")["limit"] == "≥ 0.6"
    assert check(comparison, "floor: Brier score")["limit"] == "≤ 0.3"


def test_a_candidate_that_is_better_and_unaffordable(heavy: Workbench) -> None:
    comparison = heavy.json("comparison")
    assert comparison["finding"] == "better"
    assert set(failed(comparison)) >= {BASE_RATE, *BUDGETS}
    # Late flights counted twenty times: it says "late" far too often, and so its log loss is
    # worse than that of the plain share of late flights, however well it ranks.
    assert comparison["candidate"]["predicted"] > comparison["holdout"]["seen"] + 0.15
    assert check(comparison, "calibration error")["reason"].endswith("is over the limit of 0.15")
    assert "which the base rate alone gets" in check(comparison, BASE_RATE)["reason"]
    assert comparison["candidate"]["cost"]["latency_ms"] > 3  # it sleeps that long
    assert "ms is over the limit of 2 ms" in check(comparison, "one prediction")["reason"]
    size = (heavy.folder / "models/model.onnx").stat().st_size / 1e6
    assert comparison["candidate"]["cost"]["size_mb"] == size > 0.5
    assert "MB is over the limit of 0.5 MB" in check(comparison, "model size")["reason"]


def test_a_candidate_worse_for_one_carrier_is_named(blind: Workbench) -> None:
    comparison = blind.json("comparison")
    assert comparison["finding"] == "better"
    assert failed(comparison) == [SLICES]
    (reason,) = comparison["reasons"]
    assert reason.startswith("ROC AUC is clearly worse, by more than 0.0329, for carrier US (−0.")
    (part,) = [part for part in comparison["slices"] if part["failed"]]
    assert (part["column"], part["value"], part["verdict"]) == ("carrier", "US", "worse")
    assert part["candidate"] == pytest.approx(0.5)
    assert part["high"] < 0


def test_a_slice_may_be_worse_within_its_margin(blind: Workbench, tmp_path: Path) -> None:
    project = blind.copy(tmp_path / "project")
    project.set(gate__slices={"columns": ["carrier"], "min_rows": 500, "margin": 0.3})
    comparison = project.compare()
    assert failed(comparison) == []
    assert "worse" in {part["verdict"] for part in comparison["slices"]}


def test_a_slice_with_too_few_rows_is_not_judged(blind: Workbench, tmp_path: Path) -> None:
    project = blind.copy(tmp_path / "project")
    rows = {part["value"]: part["rows"] for part in blind.json("comparison")["slices"]}["US"]
    project.set(gate__slices={"columns": ["carrier"], "min_rows": rows + 1, "margin": 0.03})
    comparison = project.compare()
    assert failed(comparison) == []
    united = {part["value"]: part for part in comparison["slices"]}["US"]
    assert (united["verdict"], united["difference"], united["low"]) == ("too few", None, None)


def test_many_failed_slices_are_counted_in_the_sentence(worse: Workbench) -> None:
    reason = check(worse.json("comparison"), SLICES)["reason"]
    assert reason.count("carrier") + reason.count("origin") == 5
    assert reason.endswith("; 6 more")


@pytest.mark.parametrize(
    ("column", "said"),
    [
        ("carier", "the data has no such column; it has time_hour, carrier, flight, tailnum"),
        ("tailnum", "'tailnum' has 3,205 distinct values"),
    ],
)
def test_a_column_that_cannot_be_sliced_is_refused(
    better: Workbench, tmp_path: Path, column: str, said: str
) -> None:
    project = better.copy(tmp_path / "project")
    project.set(gate__slices={"columns": [column]})
    sentence = project.refused("compare")
    assert sentence.startswith("params.yaml: gate.slices.columns: ")
    assert said in sentence


def test_a_number_is_no_slice() -> None:
    with pytest.raises(MlopsError, match=r"'flight' has 501 distinct values \(at most 500\)"):
        _groups(pd.DataFrame({"flight": range(501)}), "flight")


def test_a_changed_gate_is_on_record(better: Workbench, tmp_path: Path) -> None:
    project = better.copy(tmp_path / "project")
    assert "changes the gate itself" not in project.report()
    project.set(gate__floors={"roc_auc": 0.1}, gate__margin=0.5)
    changes = project.compare()["changes"]
    assert changes["gate"] is True
    assert changes["params"] == [
        {"key": "gate.margin", "champion": "1%", "candidate": 0.5},
        {"key": "gate.floors.roc_auc", "champion": 0.6, "candidate": 0.1},
    ]
    report = project.report()
    assert "**This pull request changes the gate itself.**" in report
    assert "| <code>gate.margin</code> | <code>1%</code> | <code>0.5</code> |" in report


@pytest.mark.parametrize(
    ("verdict", "said"),
    [
        ("too few", "not judged: no slice has 500 rows of enough blocks"),
        ("no champion", "not judged: there is no champion to compare with"),
    ],
)
def test_slices_that_nobody_could_compare_are_neither_green_nor_red(
    verdict: Verdict, said: str
) -> None:
    few = [Slice("kind", "box", 40, 9, None, verdict)]
    found = policy.no_slice_worse(resolve("roc_auc", "binary"), few, Slices(margin=0.03))
    assert (found.value, found.passed, found.judged, found.reason) == (
        *("not judged", True, False),
        said,
    )


def test_what_was_not_judged_is_no_green_check(newborn: Workbench, tmp_path: Path) -> None:
    project = newborn.copy(tmp_path / "project")
    project.do("compare", "report")
    lines = project.report_lines()
    (row,) = [line for line in lines if line.startswith("| no slice clearly worse |")]
    assert row.split("|")[2:5] == [" not judged ", " 0 ", " – "]
    assert any("All other 7 checks passed, 1 could not be judged;" in line for line in lines)


def test_ranks_alone_may_be_asked_for(better: Workbench, tmp_path: Path) -> None:
    project = better.copy(tmp_path / "project")
    project.set(gate__beats_base_rate=False)
    assert BASE_RATE not in [check["name"] for check in project.compare()["checks"]]


def test_probabilities_that_are_off_are_told_how_to_be_mended() -> None:
    worse = Difference(0.65, 0.51, 0.14, 0.1, 0.18)
    found = policy.base_rate(resolve("log_loss", "binary"), worse)
    assert not found.passed
    assert "calibrate them (sklearn.calibration.CalibratedClassifierCV)" in found.reason
    assert "gate.beats_base_rate: false" in found.reason
