"""Other questions about the same flights, by changing only ``src/model`` and ``params.yaml``."""

import json

import pytest
from projects import make_project
from workbench import Workbench

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


def ask(
    project: Workbench, task: str, target: str, column: str, metric: str, floors: dict[str, float]
) -> None:
    project.replace("src/model/schema.py", '"late": Column(int, Check.isin([0, 1]))', column)
    project.set(
        task=task,
        data__target=target,
        estimator={"max_iter": 30},
        gate__metric=metric,
        gate__floors=floors,
        gate__resamples=100,
    )


@pytest.fixture(scope="module")
def multiclass(tmp_path_factory: pytest.TempPathFactory) -> Workbench:
    project = make_project(tmp_path_factory.mktemp("multiclass") / "project", Workbench)
    project.replace("src/model/data.py", LATE, OUTCOME)
    kind = "HistGradientBoostingClassifier"
    (project / "src/model/estimator.py").write_text(ESTIMATOR.format(kind=kind))
    column = '"outcome": Column(str, Check.isin(["early", "on time", "late"]))'
    ask(project, "multiclass", "outcome", column, "f1_macro", {"log_loss": 1.1})
    return judged_twice(project)


@pytest.fixture(scope="module")
def regression(tmp_path_factory: pytest.TempPathFactory) -> Workbench:
    project = make_project(tmp_path_factory.mktemp("regression") / "project", Workbench)
    project.replace("src/model/data.py", LATE, MINUTES)
    kind = "HistGradientBoostingRegressor"
    (project / "src/model/estimator.py").write_text(ESTIMATOR.format(kind=kind))
    column = '"arr_delay": Column(float, Check.in_range(-120, 1500))'
    floors = {"mean_absolute_error": 30}
    ask(project, "regression", "arr_delay", column, "mean_absolute_error", floors)
    return judged_twice(project)


def judged_twice(project: Workbench) -> Workbench:
    """Make a champion, then judge a model with another parameter against it."""
    project.train(data=True)
    project.do("evaluate", "register")
    project.do("promote --override unjudged")
    project.set(estimator__max_iter=2)
    project.train()
    project.do("evaluate", "compare", "report")
    return project


def test_multiclass_metrics_and_base_rate(multiclass: Workbench) -> None:
    metrics = multiclass.json("metrics")
    assert {"log_loss", "accuracy", "balanced_accuracy", "f1_macro", "roc_auc_ovr"} <= set(metrics)
    assert metrics["log_loss"] < metrics["baseline"]["log_loss"]
    assert metrics["baseline"]["balanced_accuracy"] == pytest.approx(1 / 3)
    assert json.loads((multiclass / "models/model.json").read_text())["classes"] == [
        "early",
        "late",
        "on time",
    ]


def test_multiclass_judgement_on_a_general_metric(multiclass: Workbench) -> None:
    comparison = multiclass.json("comparison")
    rows = {row["metric"]: row for row in comparison["differences"]}
    assert comparison["metric"] == "f1_macro"
    assert rows["f1_macro"]["low"] <= rows["f1_macro"]["difference"] <= rows["f1_macro"]["high"]
    assert rows["f1_macro"]["verdict"] == "worse"  # two trees say less than thirty
    assert comparison["slice_metric"] == "log_loss"
    assert len(comparison["candidate"]["predicted"]) == 3
    curve = (multiclass / "reports/plots/curve.csv").read_text().splitlines()
    assert curve[0] == "actual,predicted,rows"
    assert sum(int(line.rpartition(",")[2]) for line in curve[1:]) == comparison["holdout"]["rows"]


def test_regression_metrics_and_base_rate(regression: Workbench) -> None:
    metrics = regression.json("metrics")
    assert metrics["mean_absolute_error"] < metrics["baseline"]["mean_absolute_error"]
    assert metrics["baseline"]["r2"] < 0.01
    assert json.loads((regression / "models/model.json").read_text())["classes"] is None


def test_regression_judgement_where_less_is_better(regression: Workbench) -> None:
    comparison = regression.json("comparison")
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


def test_only_the_users_files_changed(multiclass: Workbench, regression: Workbench) -> None:
    for project in (multiclass, regression):
        changed = project.run("git", "status", "--porcelain").stdout.split("\n")
        paths = {line[3:] for line in changed if line}
        assert {path for path in paths if not path.startswith("src/model/")} == {"params.yaml"}
