"""Other questions about the same flights, by changing only ``src/model`` and ``params.yaml``."""

import json

import pytest
from projects import Project, make_project

ESTIMATOR = '''"""The unfitted model."""

from sklearn.ensemble import {kind} as Trees


def build_estimator(*, seed: int, max_iter: int = 100) -> Trees:
    """Return gradient-boosted trees."""
    return Trees(max_iter=max_iter, min_samples_leaf=200, random_state=seed)
'''

OUTCOME = """    delay = table.pop("arr_delay")
    names = ["early", "on time", "late"]
    table["outcome"] = pd.cut(delay, [-1e9, -1, LATE_MINUTES, 1e9], labels=names).astype("str")
    return table[[*SCHEDULE, *WEATHER, *PLANE, "outcome"]]
"""

MINUTES = """    return table[[*SCHEDULE, *WEATHER, *PLANE, "arr_delay"]]
"""

LATE = """    table["late"] = (table.pop("arr_delay") > LATE_MINUTES).astype("int64")
    return table[[*SCHEDULE, *WEATHER, *PLANE, "late"]]
"""


def ask(project: Project, task: str, target: str, column: str, metric: str, floor: str) -> None:
    project.replace("src/model/schema.py", '"late": Column(int, Check.isin([0, 1]))', column)
    project.replace("params.yaml", "task: binary", f"task: {task}")
    project.replace("params.yaml", "target: late", f"target: {target}")
    project.replace("params.yaml", "metric: roc_auc", f"metric: {metric}")
    project.replace("params.yaml", "{ roc_auc: 0.6 }", floor)
    project.replace("params.yaml", "resamples: 2000", "resamples: 100")
    for line in ("learning_rate: 0.05", "max_leaf_nodes: 15", "min_samples_leaf: 200"):
        project.replace("params.yaml", f"  {line}\n", "")
    project.replace("params.yaml", "max_iter: 100", "max_iter: 30")


@pytest.fixture(scope="module")
def multiclass(tmp_path_factory: pytest.TempPathFactory) -> Project:
    project = make_project(tmp_path_factory.mktemp("multiclass") / "project")
    project.replace("src/model/data.py", LATE, OUTCOME)
    kind = "HistGradientBoostingClassifier"
    (project / "src/model/estimator.py").write_text(ESTIMATOR.format(kind=kind))
    column = '"outcome": Column(str, Check.isin(["early", "on time", "late"]))'
    ask(project, "multiclass", "outcome", column, "f1_macro", "{ log_loss: 1.1 }")
    return judged_twice(project)


@pytest.fixture(scope="module")
def regression(tmp_path_factory: pytest.TempPathFactory) -> Project:
    project = make_project(tmp_path_factory.mktemp("regression") / "project")
    project.replace("src/model/data.py", LATE, MINUTES)
    kind = "HistGradientBoostingRegressor"
    (project / "src/model/estimator.py").write_text(ESTIMATOR.format(kind=kind))
    column = '"arr_delay": Column(float, Check.in_range(-120, 1500))'
    floor = "{ mean_absolute_error: 30 }"
    ask(project, "regression", "arr_delay", column, "mean_absolute_error", floor)
    return judged_twice(project)


def judged_twice(project: Project) -> Project:
    """Make a champion, then judge a model with another parameter against it."""
    project.run("dvc", "repro")
    project.run("mlops", "register")
    project.run("mlops", "promote", "--override", "not judged: nothing to compare it with")
    project.replace("params.yaml", "max_iter: 30", "max_iter: 10")
    project.run("dvc", "repro")
    project.run("mlops", "compare")
    project.run("mlops", "report")
    return project


def read(project: Project, name: str) -> dict:
    return json.loads((project / f"reports/{name}.json").read_text())


def test_multiclass_metrics_and_base_rate(multiclass: Project) -> None:
    metrics = read(multiclass, "metrics")
    assert {"log_loss", "accuracy", "balanced_accuracy", "f1_macro", "roc_auc_ovr"} <= set(metrics)
    assert metrics["log_loss"] < metrics["baseline"]["log_loss"]
    assert metrics["baseline"]["balanced_accuracy"] == pytest.approx(1 / 3)
    assert json.loads((multiclass / "models/model.json").read_text())["classes"] == [
        "early",
        "late",
        "on time",
    ]


def test_multiclass_judgement_on_a_general_metric(multiclass: Project) -> None:
    comparison = read(multiclass, "comparison")
    rows = {row["metric"]: row for row in comparison["differences"]}
    assert comparison["metric"] == "f1_macro"
    assert rows["f1_macro"]["low"] <= rows["f1_macro"]["difference"] <= rows["f1_macro"]["high"]
    assert rows["log_loss"]["verdict"] == "worse"  # ten trees say less than thirty
    assert comparison["slice_metric"] == "log_loss"
    assert len(comparison["candidate"]["predicted"]) == 3
    curve = (multiclass / "reports/plots/curve.csv").read_text().splitlines()
    assert curve[0] == "actual,predicted,rows"
    assert sum(int(line.rpartition(",")[2]) for line in curve[1:]) == comparison["holdout"]["rows"]


def test_regression_metrics_and_base_rate(regression: Project) -> None:
    metrics = read(regression, "metrics")
    assert metrics["mean_absolute_error"] < metrics["baseline"]["mean_absolute_error"]
    assert metrics["baseline"]["r2"] < 0.01
    assert json.loads((regression / "models/model.json").read_text())["classes"] is None


def test_regression_judgement_where_less_is_better(regression: Project) -> None:
    comparison = read(regression, "comparison")
    row = next(r for r in comparison["differences"] if r["metric"] == "mean_absolute_error")
    assert not row["greater_is_better"]
    assert row["low"] < row["difference"] < row["high"]
    floor = next(check for check in comparison["checks"] if check["name"].startswith("floor"))
    assert floor["passed"]
    assert floor["limit"] == "≤ 30"
    assert (regression / "reports/plots/curve.csv").read_text().startswith("share_of_rows,error")


@pytest.mark.parametrize("task", ["multiclass", "regression"])
def test_report_speaks_the_task(task: str, request: pytest.FixtureRequest) -> None:
    project = request.getfixturevalue(task)
    report = (project / "reports/report.md").read_text()
    name = {"multiclass": "F1 (macro)", "regression": "mean absolute error"}[task]
    assert f"**{name}**" in report
    assert "None" not in report
    assert "nan" not in report


def test_only_the_users_files_changed(multiclass: Project, regression: Project) -> None:
    for project in (multiclass, regression):
        changed = project.run("git", "status", "--porcelain").stdout.split("\n")
        paths = {line[3:] for line in changed if line}
        assert {path for path in paths if not path.startswith("src/model/")} == {
            "dvc.lock",
            "params.yaml",
        }
