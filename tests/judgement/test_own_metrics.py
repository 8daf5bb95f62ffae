"""Metrics of one's own are everywhere that a metric is, or refused in a sentence."""

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from parcels import Parcels, parcels

from mlops.judgement.bootstrap import paired_difference
from mlops.judgement.metric import Metric, Predictions, own
from mlops.project.errors import MlopsError

METRICS = '''"""What a wrong prediction costs."""

import numpy as np

GREATER_IS_BETTER = {"cost": False, "wape": False, "recall_at_5": True}


def cost(truth, label, columns):
    """Money lost for a parcel: its worth when nobody expected it to be late, 2,000 an alarm.

    The mean over all parcels.
    """
    return np.where(label == 1, 2_000.0, truth * columns["worth"])


def wape(truth, prediction):
    return _total(np.abs(truth - prediction)) / _total(truth)


def recall_at_5(truth, prediction, share=0.05):
    top = np.argsort(-prediction, kind="stable")[: int(share * len(truth))]
    return truth[top].sum() / truth.sum()


def _total(values):
    return values.sum()
'''


@pytest.fixture(scope="module")
def champion(tmp_path_factory: pytest.TempPathFactory) -> Parcels:
    """A project whose gate is a cost in money, which a column says that no feature reads."""
    project = parcels(tmp_path_factory.mktemp("own"))
    project.also('table["worth"] = rng.gamma(2, 20_000, n).round(2)')
    project.change("schema", '"late":', '"worth": Column(float),\n        "late":')
    (project / "src/model/metrics.py").write_text(METRICS)
    project.set(gate__metric="cost", gate__floors={"cost": 15_000, "recall_at_5": 0.05})
    project.set(gate__margin="1%", gate__slices={"columns": ["kind"], "min_rows": 100})
    project.do("ingest", "validate", "features", "train", "evaluate", "compare", "register")
    project.do("promote")
    return project


@pytest.fixture
def project(champion: Parcels, tmp_path: Path) -> Parcels:
    return champion.copy(tmp_path / "project")


def row(comparison: dict[str, Any], name: str) -> dict[str, Any]:
    (found,) = [it for it in comparison["differences"] if it["metric"] == name]
    return dict(found)


def test_they_are_shown_gate_and_have_intervals(project: Parcels) -> None:
    project.set(estimator__c=0.0001)
    project.train()
    project.do("evaluate")
    comparison, metrics = project.compare(), project.json("metrics")
    for name in ("cost", "wape", "recall_at_5"):
        found = row(comparison, name)
        assert found["candidate"] == metrics[name]
        assert found["low"] <= found["difference"] <= found["high"]
    assert metrics["baseline"].keys() > {"cost", "wape", "recall_at_5"}
    assert row(comparison, "wape")["verdict"] == "worse"
    assert comparison["metric"] == comparison["slice_metric"] == "cost"
    assert comparison["margins"]["overall"] == pytest.approx(
        0.01 * row(comparison, "cost")["champion"]
    )
    floor = {check["name"]: check for check in comparison["checks"]}["floor: cost"]
    assert floor["limit"] == "≤ 15,000"


def test_the_cost_is_that_of_the_holdout(champion: Parcels) -> None:
    holdout = pd.read_parquet(champion / "data/holdout.parquet")
    counted = champion.json("comparison")["candidate"]["metrics"]["cost"]
    assert 2_000 < counted < (holdout["late"] * holdout["worth"]).mean()


def test_the_comment_reads_money_as_money(project: Parcels) -> None:
    project.set(estimator__c=0.0001)
    project.train()
    project.compare()
    text = project.report()
    assert "| **cost** ↓ | **" in text
    assert "cost: Money lost for a parcel: its worth when nobody" in text
    assert "0.0000" not in text.partition("<details>")[0]
    assert "e+0" not in text
    said = f"{row(project.json('comparison'), 'cost')['champion']:,.1f}"
    assert "," in said
    assert f"from {said} to " in text or f"where production has {said}" in text


def test_drift_asks_for_the_cost_and_the_card_says_it(project: Parcels) -> None:
    project.do("drift")
    concept = project.json("drift")["questions"]["concept"]
    assert concept["metric"] == "cost"
    assert concept["sentence"].startswith("cost ")
    assert concept["holdout"] == pytest.approx(project.json("metrics")["cost"])
    assert "| cost ↓ | " in project.do("card")


def test_the_run_and_the_version_have_it(champion: Parcels) -> None:
    program = (
        "import json, mlflow\n"
        "client = mlflow.MlflowClient('sqlite:///.store/mlflow.db')\n"
        "run = client.get_run(json.load(open('reports/training.json'))['run_id'])\n"
        "tags = client.get_model_version('parcels', '1').tags\n"
        "print(run.data.metrics['cost'], tags['metric.cost'])"
    )
    said = champion.run("python", "-c", program).stdout.split()
    assert [float(one) for one in said] == [champion.json("metrics")["cost"]] * 2


def test_dvc_evaluates_anew_where_it_changes_and_trains_nothing(tmp_path: Path) -> None:
    project = parcels(tmp_path)
    project.run("dvc", "repro")
    assert "cost" not in project.json("metrics")
    (project / "src/model/metrics.py").write_text(METRICS.replace('columns["worth"]', "50.0"))
    said = project.run("dvc", "repro").stdout
    assert "Stage 'train' didn't change, skipping" in said
    assert "Running stage 'evaluate'" in said
    assert project.json("metrics")["cost"] > 0
    assert "Running stage" not in project.run("dvc", "repro").stdout  # bytecode is no change


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (
            'columns["worth"]',
            'int("x")',
            "src/model/metrics.py:13: cost stops: ValueError: invalid",
        ),
        ('columns["worth"]', 'columns["wort"]', "reads column 'wort', which the rows to be judged"),
        (
            "2_000.0, truth",
            "np.nan, truth",
            "src/model/metrics.py: cost is NaN or infinite on the 995",
        ),
        (
            "_total(truth)\n",
            "0\n",
            "metrics.py: wape is NaN or infinite on the 995 rows that",
        ),
        (
            "_total(truth)\n",
            "truth[1:]\n",
            "wape returns float64 of shape (994,); expected a number, or 995",
        ),
        (
            "return truth[top].sum()",
            "return truth[top], truth",
            "recall_at_5 returns tuple; expected a number, or 995 numbers",
        ),
        (
            "return truth[top].sum() / truth.sum()",
            "return str(top)",
            "recall_at_5 returns str; expected",
        ),
        (
            "return truth[top].sum() / truth.sum()",
            "pass",
            "recall_at_5 returns NoneType; ex",
        ),
        (
            "return truth[top].sum() / truth.sum()",
            "return truth[top]",
            "recall_at_5 returns int64 of shape (49,); expect",
        ),
        (
            "def wape(truth, ",
            "def wape(y, ",
            "metrics.py:16: wape wants 'y'; a metric may take truth",
        ),
        ('"cost": False', '"costs": False', "names 'costs'; there is no such function"),
        (
            '"cost": False, ',
            "",
            "cost does not say which direction is better; write GREATER_IS_BETTER",
        ),
        (
            '"cost": False',
            '"cost": "less"',
            "cost does not say which direction is better; write GRE",
        ),
        ("def wape(", "def log_loss(", "names 'wape'; there is no such function"),
        (
            "import numpy as np",
            "import nmpy",
            "metrics.py:3: metrics.py stops: ModuleNotFoundError",
        ),
        ("def cost(", "def cost(:", "metrics.py:8: metrics.py stops: SyntaxError: invalid syntax"),
    ],
)
def test_what_cannot_judge_is_refused_in_a_sentence(
    project: Parcels, old: str, new: str, said: str
) -> None:
    project.change("metrics", old, new)
    for command in ("evaluate", "compare"):
        refused = project.refused(command)
        assert refused.startswith("src/model/metrics.py")
        assert said in refused


@pytest.mark.parametrize("name", ["accuracy", "log_loss", "rows", "confusion_matrix"])
def test_a_name_that_is_taken(project: Parcels, name: str) -> None:
    path = project / "src/model/metrics.py"
    path.write_text(METRICS.replace("wape", name))
    refused = project.refused("evaluate")
    assert f": {name} is the name of something else in the reports; choose another" in refused


def test_a_metric_that_nobody_has(project: Parcels) -> None:
    project.set(gate__metric="costs")
    assert "'costs'; scikit-learn has no such metric, nor has src/model/metrics.py; " in (
        project.refused("evaluate")
    )


def test_a_broken_one_costs_no_training(project: Parcels) -> None:
    project.change("metrics", 'columns["worth"]', 'int("x")')
    project.set(estimator__c=0.5)
    project.do("features")
    assert "not logged to MLflow: src/model/metrics.py:13: cost stops" in project.do("train")


def test_a_value_for_each_row_and_their_mean_have_the_same_interval() -> None:
    rng = np.random.default_rng(1)
    y, blocks, worth = rng.integers(0, 2, 400), np.arange(400) % 20, rng.gamma(2, 100, 400)
    ours, theirs = (
        Predictions(rng.random(400), threshold, {"worth": worth}) for threshold in (0.2, None)
    )

    def each(truth: Any, label: Any, columns: Any) -> Any:
        return np.abs(truth - label) * columns["worth"]

    def mean(truth: Any, label: Any, columns: Any) -> Any:
        return each(truth, label, columns).mean()

    found = []
    for function, kind in ((each, "mean"), (mean, "general")):
        metric = Metric(function.__name__, False, "binary", function, True, own=True)
        metric = metric.tried(y, ours, (0, 1))
        assert metric.kind == kind
        options: dict[str, Any] = {"resamples": 100, "confidence": 0.9, "seed": 3}
        found.append(paired_difference(metric, y, ours, theirs, (0, 1), blocks, **options))
    expected = np.abs(y - (ours.scores >= 0.2)) * worth  # each by its own threshold
    champions = np.abs(y - (theirs.scores > 0.5)) * worth
    assert found[0].difference == pytest.approx((expected - champions).mean())
    for name in ("difference", "low", "high"):
        assert getattr(found[0], name) == pytest.approx(getattr(found[1], name))


def test_several_classes_are_places_in_their_order() -> None:
    prediction = np.array([[0.2, 0.7, 0.1], [0.5, 0.3, 0.2], [0.1, 0.2, 0.7]])
    seen: list[Any] = []

    def cost(truth: Any, prediction: Any, label: Any) -> Any:
        seen.extend([truth.tolist(), prediction.shape, label.tolist()])
        return (truth != label).mean()

    metric = Metric("cost", False, "multiclass", cost, True, own=True)
    assert metric(np.array(["b", "c", "c"]), prediction, ["a", "b", "c"]) == pytest.approx(1 / 3)
    assert seen == [[1, 2, 2], (3, 3), [1, 0, 2]]


def test_a_regression_has_no_label(project: Parcels, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(project.folder)
    monkeypatch.syspath_prepend(project.folder / "src")
    for name in [name for name in sys.modules if name.split(".")[0] == "model"]:
        monkeypatch.delitem(sys.modules, name)
    with pytest.raises(MlopsError, match="cost wants 'label', which a regression does not have"):
        own("regression")


def test_columns_of_a_resample_are_those_of_its_rows() -> None:
    given = Predictions(np.arange(5) / 5, None, {"worth": np.arange(5)})
    some = given[np.array([4, 2, 2])][np.array([0, 2])]
    assert some.columns["worth"].tolist() == [4, 2]
    assert some.scores.tolist() == [0.8, 0.4]
