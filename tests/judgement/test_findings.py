"""What ``mlops compare`` finds, for real models on real flights, and what it refuses to judge."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from workbench import Workbench

from mlops.project import files

COMPARISON, REPORT = "reports/comparison.json", "reports/report.md"
JUNE_1 = {"start": "2013-06-01", "end": "2013-06-01"}
JULY_1 = {"start": "2013-07-01", "end": "2013-07-01"}

ONLY_IN_JUNE = """table.loc[table["seats"] > 300, "late"] = 2
    return table[(table["late"] < 2) | (table["time_hour"].dt.month == 6)]"""


def metric(comparison: dict[str, Any], name: str = "roc_auc") -> dict[str, Any]:
    (row,) = [row for row in comparison["differences"] if row["metric"] == name]
    return dict(row)


def measured_times_aside(comparison: dict[str, Any]) -> dict[str, Any]:
    text = json.dumps(comparison)
    for check in comparison["checks"]:
        if check["name"] == "one prediction":
            text = text.replace(check["value"], "TIME")
    for side in ("candidate", "champion"):
        text = text.replace(repr(comparison[side]["cost"]["latency_ms"]), "0")
    return dict(json.loads(text))


# The six findings


def test_first(newborn: Workbench, tmp_path: Path) -> None:
    project = newborn.copy(tmp_path / "project")
    assert "finding: first, gate passed (change)" in project.do("compare")
    comparison = project.json("comparison")
    assert (comparison["finding"], comparison["passed"]) == ("first", True)
    assert comparison["champion"] is comparison["changes"] is None
    assert {part["verdict"] for part in comparison["slices"]} == {"no champion", "too few"}
    best = max(part["candidate"] for part in comparison["slices"] if part["candidate"])
    assert comparison["candidate"]["metrics"]["roc_auc"] < best < 1
    row = metric(comparison)
    assert row["candidate"] == newborn.json("metrics")["roc_auc"]
    assert row["champion"] is row["difference"] is row["low"] is row["high"] is None


def test_floors_apply_to_the_first_model_too(newborn: Workbench, tmp_path: Path) -> None:
    project = newborn.copy(tmp_path / "project")
    project.set(gate__floors={"roc_auc": 0.99})
    said = project.do("compare")
    assert "finding: first, gate failed (change)" in said
    assert "- ROC AUC 0.6581 is below the limit 0.99" in said


def test_same(same: Workbench) -> None:
    comparison = same.json("comparison")
    assert (comparison["finding"], comparison["passed"]) == ("same", True)
    assert comparison["candidate"]["model_md5"] == comparison["champion"]["model_md5"]
    for row in comparison["differences"]:
        assert (row["difference"], row["low"], row["high"], row["verdict"]) == (0, 0, 0, "same")
    nothing = dict.fromkeys(("window", "data"))
    nothing |= {"params": [], "gate": False, "schema": [], "code": [], "requirements": False}
    assert comparison["changes"].items() >= nothing.items()


def test_better(better: Workbench) -> None:
    comparison = better.json("comparison")
    assert (comparison["finding"], comparison["passed"]) == ("better", True)
    row = metric(comparison)
    assert 0 < row["low"] < row["difference"] < row["high"]
    assert row["difference"] == pytest.approx(row["candidate"] - row["champion"])
    assert comparison["changes"]["window"] == {"champion": "2013-01", "candidate": "2013-06"}
    assert comparison["holdout"]["rows"] == 28280


def test_flights_of_one_day_are_not_so_many_independent_ones(
    better: Workbench, tmp_path: Path
) -> None:
    project, widths = better.copy(tmp_path / "project"), {}
    for blocks in ("day", "carrier", "row"):
        project.set(gate__blocks=blocks)
        comparison = project.compare()
        row = metric(comparison)
        widths[comparison["holdout"]["blocks"]] = row["high"] - row["low"]
    assert list(widths) == ["32 days", "15 carrier values", "28,280 rows"]
    assert widths["32 days"] > 3 * widths["28,280 rows"]


def test_a_smaller_error_is_better(better: Workbench, tmp_path: Path) -> None:
    project = better.copy(tmp_path / "project")
    project.set(gate__metric="neg_log_loss")
    comparison = project.compare("change")
    assert (comparison["finding"], comparison["metric"]) == ("better", "log_loss")
    row = metric(comparison, "log_loss")
    assert row["low"] < row["high"] < 0
    assert (row["greater_is_better"], row["verdict"]) == (False, "better")


def test_a_metric_without_a_fast_path_decides_and_log_loss_judges_the_slices(
    better: Workbench, tmp_path: Path
) -> None:
    project = better.copy(tmp_path / "project")
    project.set(gate__metric="balanced_accuracy", gate__resamples=100)
    comparison = project.compare("change")
    assert comparison["finding"] == "better"
    assert metric(comparison, "balanced_accuracy")["low"] > 0
    assert comparison["slice_metric"] == "log_loss"
    assert {part["verdict"] for part in comparison["slices"]} >= {"better", "too few"}


def test_shuffled_labels_are_worse(worse: Workbench, better: Workbench) -> None:
    comparison = worse.json("comparison")
    assert (comparison["finding"], comparison["passed"]) == ("worse", False)
    row = metric(comparison)
    assert row["low"] < row["difference"] < row["high"] < 0
    assert row["candidate"] == pytest.approx(0.5, abs=0.03)  # it has learned nothing
    assert comparison["changes"]["data"] is not None
    # The rows that judge have their true labels: the champion scores what it always did.
    assert row["champion"] == metric(better.json("comparison"))["champion"]


def test_equivalent(close: Workbench, tmp_path: Path) -> None:
    project = close.copy(tmp_path / "project")
    project.set(gate__margin=0.05)
    said = project.do("compare")
    assert "finding: equivalent, gate failed (change)" in said
    row = metric(project.json("comparison"))
    assert -0.05 < row["low"] < 0 < row["high"] < 0.05


def test_inconclusive_says_how_many_days_could_tell(close: Workbench, tmp_path: Path) -> None:
    project = close.copy(tmp_path / "project")
    project.set(gate__margin=0.0015)
    said = project.do("compare")
    assert "finding: inconclusive, gate failed (change)" in said
    assert "- 32 days cannot tell ROC AUC from the champion's; about " in said
    row = metric(project.json("comparison"))
    assert -0.002 < row["low"] < 0 < 0.0015 < row["high"]  # it may be better, by enough to matter


def test_a_metric_that_the_holdout_leaves_undefined(newborn: Workbench, tmp_path: Path) -> None:
    project = newborn.copy(tmp_path / "project")
    project.replace("src/model/schema.py", "isin([0, 1])", "isin([0, 1, 2])")
    project.replace("src/model/data.py", "return table", ONLY_IN_JUNE)
    project.replace("src/model/estimator.py", "TargetEncoder(cv=folds)", '"passthrough"')
    project.set(task="multiclass", data__window=JUNE_1, data__holdout=JULY_1)
    project.set(gate__metric="log_loss", gate__floors={}, gate__blocks="row")
    project.train(data=True)
    comparison = project.compare()
    assert metric(comparison, "roc_auc_ovr")["candidate"] is None
    assert metric(comparison, "log_loss")["candidate"] > 0
    assert "| ROC AUC (one class against the rest) ↑ | – |" in project.report()
    project.set(gate__metric="roc_auc_ovr")
    assert project.refused("compare") == (
        "params.yaml: gate.metric: roc_auc_ovr is undefined on the 869 rows of the holdout "
        "(2013-07-01), as when they lack a class; choose a longer holdout or another metric"
    )
    project.set(gate__metric="log_loss", gate__floors={"roc_auc_ovr": 0.5})
    assert "params.yaml: gate.floors.roc_auc_ovr: roc_auc_ovr is" in project.refused("compare")


# The same question gets the same answer


def test_another_process_writes_the_same_but_for_measured_times(
    better: Workbench, tmp_path: Path
) -> None:
    project = better.copy(tmp_path / "elsewhere")
    before = project.json("comparison")
    command = [str(Path(sys.executable).with_name("mlops")), "--project", str(project.folder)]
    done = subprocess.run([*command, "compare"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "finding: better, gate passed (retrain)" in done.stdout
    assert measured_times_aside(project.json("comparison")) == measured_times_aside(before)


def test_the_champion_is_judged_with_its_own_feature_code(
    blind: Workbench, better: Workbench
) -> None:
    ours, plain = blind.json("comparison"), better.json("comparison")
    assert ours["changes"]["code"] == ["features.py"]
    assert ours["candidate"]["metrics"] != plain["candidate"]["metrics"]
    for told in ("metrics", "calibration", "predicted", "plots", "model_md5", "features"):
        assert ours["champion"][told] == plain["champion"][told], told


# What is refused, in one line, and leaves nothing behind that looks fresh


def refused(project: Workbench) -> str:
    """Return why the comparison is refused; the one that was there before must be gone."""
    assert (project.folder / COMPARISON).exists()
    assert (project.folder / REPORT).exists()
    sentence = project.refused("compare")
    assert not (project.folder / COMPARISON).exists()
    assert not (project.folder / REPORT).exists()
    assert "run `mlops compare` first" in project.refused("report")
    return sentence


@pytest.fixture
def project(better: Workbench, tmp_path: Path) -> Workbench:
    """A candidate that was compared and reported, to be changed."""
    return better.copy(tmp_path / "project")


def test_a_champion_that_has_seen_the_holdout_is_refused(project: Workbench) -> None:
    project.set(data__window=JUNE_1, data__holdout={"start": "2013-01-31", "end": "2013-01-31"})
    project.train()
    assert refused(project) == (
        "champion v1 trained on 2013-01, which covers the holdout 2013-01-31: it would be judged "
        "on rows it has seen; move data.holdout in params.yaml to after 2013-01"
    )


def test_a_champion_of_another_task_is_refused(project: Workbench) -> None:
    project.set(task="multiclass", data__window=JUNE_1, data__holdout=JULY_1)
    project.set(gate__metric="log_loss", gate__floors={}, gate__blocks="row")
    project.train()
    assert refused(project) == (
        "champion v1 has task 'binary' and the candidate 'multiclass': they cannot be compared; "
        "a new question wants a new name (params.yaml: name)"
    )


def test_a_champion_of_another_target_is_refused(project: Workbench) -> None:
    project.replace(
        "src/model/data.py", "return table", 'return table.rename(columns={"late": "on"})'
    )
    project.replace("src/model/schema.py", '"late"', '"on"')
    project.set(data__target="on", data__window=JUNE_1, data__holdout=JULY_1, gate__blocks="row")
    project.train(data=True)
    assert "champion v1 has target 'late' and the candidate 'on'" in refused(project)


def test_a_champion_that_needs_a_lost_column_is_refused(project: Workbench) -> None:
    project.replace("src/model/data.py", "return table", 'return table.drop(columns="pressure")')
    schema = '        "pressure": Column(float, Check.in_range(870, 1090), nullable=True),\n'
    project.replace("src/model/schema.py", schema, "")
    project.replace("src/model/features.py", '"precip", "pressure", "visib"', '"precip", "visib"')
    project.set(data__window=JUNE_1, data__holdout=JULY_1, gate__blocks="row")
    project.train(data=True)
    sentence = refused(project)
    assert "needs column pressure, which the data no longer has; keep the column" in sentence


def test_params_edited_after_training_are_refused(project: Workbench) -> None:
    project.set(estimator__max_iter=31)
    assert refused(project) == (
        "models was trained from other data or params.yaml; run `dvc repro`"
    )


def test_data_validated_after_training_are_refused(project: Workbench) -> None:
    project.replace("src/model/data.py", "return table", "return table.iloc[:-1]")
    project.do("ingest", "validate")
    assert "models was trained from other data" in refused(project)


def test_refused_data_are_not_compared(project: Workbench) -> None:
    project.replace("src/model/data.py", "return table", "return table.assign(distance=-1)")
    project.do("ingest")
    project.refused("validate")
    assert "the data was refused (reports/data.json)" in project.refused("compare")


@pytest.mark.parametrize("name", ["model.onnx", "features.py"])
def test_a_damaged_model_is_refused(project: Workbench, name: str) -> None:
    path = project.folder / "models" / name
    path.write_bytes(path.read_bytes()[:-9])
    assert refused(project) == f"models is not what one training wrote; {files.MEND}"


def test_half_a_model_is_refused(project: Workbench) -> None:
    (project.folder / "models/model.onnx").unlink()
    assert refused(project) == "the model in models lacks model.onnx"


def test_damaged_facts_are_refused(project: Workbench) -> None:
    (project.folder / "models/model.json").write_text('{"task": "binary"', encoding="utf-8")
    assert "models/model.json is damaged: " in refused(project)


def test_a_model_that_dvc_kept_has_no_clock_of_another_training(
    project: Workbench, production: Workbench
) -> None:
    """As after `dvc repro` with settings of last week: models/ comes from DVC's run-cache."""
    old = (production.folder / "reports/training.json").read_text(encoding="utf-8")
    (project.folder / "reports/training.json").write_text(old, encoding="utf-8")
    compared = project.compare()
    ours, theirs = compared["candidate"], compared["champion"]
    assert [ours[name] for name in ("run_id", "started", "seconds", "peak_memory_mb")] == [None] * 4
    assert theirs["seconds"] > 0
    report = project.report()
    assert "**Cost** trained in unknown time (champion " in report
    assert ", unknown memory (" in report
    assert "| MLflow run | unknown | <code>" in report


def test_a_lost_holdout_is_refused(project: Workbench) -> None:
    (project.folder / "data/holdout.parquet").unlink()
    assert refused(project) == "data/holdout.parquet is not there; run `dvc repro`"


def test_a_damaged_champion_is_refused(project: Workbench) -> None:
    (graph,) = (project.folder / ".store").rglob("versions/*/model.onnx")
    graph.write_bytes(graph.read_bytes()[:-9])
    sentence = refused(project)
    assert "is not what was registered as flight-delays version 1; restore the store" in sentence
