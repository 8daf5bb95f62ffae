"""A feature that is the answer stops the gate; a table on which one is merely strong does not."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from parcels import Parcels, parcels
from sklearn import datasets
from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split

from mlops.judgement import metric, too_good
from mlops.judgement.blocks import Blocks
from mlops.judgement.too_good import Alone
from mlops.project.params import Task

KNOWS, BELIEVABLE = "no feature knows the answer", "gain is believable"


def checks(project: Parcels) -> dict[str, dict[str, Any]]:
    return {check["name"]: check for check in project.json("comparison")["checks"]}


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Parcels:
    """A project whose champion does not know the answer, and whose data holds it from now on."""
    project = parcels(tmp_path_factory.mktemp("leak"))
    project.also('table["closed"] = table["late"] * 3.0 + 1')
    project.change("schema", '"late":', '"closed": Column(float),\n        "late":')
    project.do("ingest", "validate", "features", "train", "evaluate", "compare", "register")
    project.do("promote")
    return project


@pytest.fixture
def leaking(served: Parcels, tmp_path: Path) -> Parcels:
    project = served.copy(tmp_path / "project")
    project.change("features", "    }\n", '        "closed": columns["closed"],\n    }\n')
    project.do("features", "train", "evaluate", "compare", "report")
    return project


def test_the_honest_model_is_believed(served: Parcels) -> None:
    found = checks(served)[KNOWS]
    assert found["passed"]
    assert found["reason"].startswith("weight, the feature that knows most by itself, reaches ")


def test_a_feature_that_is_the_answer_is_named_and_stops(leaking: Parcels) -> None:
    comparison, found = leaking.json("comparison"), checks(leaking)
    assert comparison["finding"] == "better"
    assert not comparison["passed"]
    assert found[KNOWS]["reason"] == (
        "closed, the feature that knows most by itself, reaches 100% of the model's gain over the "
        "base rate and may be the answer itself; if it is known when a prediction is asked for, "
        "name it in gate.trusted"
    )
    report = (leaking / "reports/report.md").read_text(encoding="utf-8")
    assert report.startswith("## 🚫 Too good to be true\n")
    assert "closed, the feature that knows most by itself" in report


def test_what_is_trusted_passes_on_record(leaking: Parcels) -> None:
    leaking.set(gate__trusted=["closed"])
    leaking.do("compare", "report", "register")
    comparison, found = leaking.json("comparison"), checks(leaking)
    assert comparison["passed"]
    assert found[KNOWS]["reason"].startswith("weight, the feature that")
    assert found[KNOWS]["reason"].endswith("(gate.trusted: closed)")
    assert comparison["gate"]["trusted"] == ["closed"]
    report = (leaking / "reports/report.md").read_text(encoding="utf-8")
    assert "**This pull request changes the gate itself.**" in report
    leaking.do("promote")


def test_a_gain_of_many_times_stops_where_no_single_feature_does(leaking: Parcels) -> None:
    leaking.set(gate__too_good={"alone": 1.0, "times": 1.2})
    leaking.do("compare")
    found = checks(leaking)[BELIEVABLE]
    assert not found["passed"]
    assert (
        "times as much over the base rate as the champion does: look at closed first"
        in (found["reason"])
    )
    leaking.set(gate__trusted=["closed"])
    leaking.do("compare")
    assert checks(leaking)[BELIEVABLE]["passed"]


def test_without_a_champion_a_feature_that_is_the_answer_stops_too(
    leaking: Parcels, tmp_path: Path
) -> None:
    first = leaking.copy(tmp_path / "first")
    first.set(name="other")
    first.do("compare")
    assert first.json("comparison")["finding"] == "first"
    assert not checks(first)[KNOWS]["passed"]


def test_a_name_that_no_feature_has_is_not_trusted(served: Parcels, tmp_path: Path) -> None:
    project = served.copy(tmp_path / "project")
    project.set(gate__trusted=["wieght"])
    assert project.refused("compare") == (
        "params.yaml: gate.trusted: got 'wieght'; the model has no such feature; it has weight, "
        "stops, kind"
    )


@pytest.mark.parametrize("target", ["np.exp(rng.normal(0, 3, n))", "rng.pareto(1.1, n) * 100"])
def test_a_few_huge_values_do_not_hide_the_answer(tmp_path: Path, target: str) -> None:
    project = parcels(tmp_path)
    project.also(f'table["late"] = {target} * (1 + table.stops); table["log"] = np.log(table.late)')
    project.change(
        "schema", "Column(int, Check.isin([0, 1]))", 'Column(float), "log": Column(float)'
    )
    project.change("features", "    }\n", '        "log": columns["log"],\n    }\n')
    project.change(
        "estimator", "LogisticRegression(C=c, random_state=seed)", "KNeighborsRegressor()"
    )
    project.change(
        "estimator",
        "linear_model import LogisticRegression",
        "neighbors import KNeighborsRegressor",
    )
    project.set(task="regression", gate__metric="r2", gate__floors={}, serving={"runtime": "skops"})
    project.do("ingest", "validate", "features", "train", "compare")
    assert not checks(project)[KNOWS]["passed"]


# Real tables, on which some feature is strong, and none is the answer

TABLES = {
    "breast_cancer": "binary",
    "wine": "multiclass",
    "iris": "multiclass",
    "digits": "multiclass",
    "diabetes": "regression",
}
SIGNS = {  # how the answer may hide: as it is, turned round, with noise, as a code
    "times three": lambda y, rng: 3.0 * y,
    "turned round": lambda y, rng: -1.0 * y,
    "noisy": lambda y, rng: y + rng.normal(0, 0.05 * np.std(y), len(y)),
}


def judged(name: str, task: Task, seed: int, leak: str = "") -> Alone:
    table = getattr(datasets, f"load_{name}")()
    x, y = np.asarray(table.data, np.float32), table.target
    rng = np.random.default_rng(seed)
    if leak:
        x = np.column_stack([x, SIGNS[leak](y, rng)]).astype(np.float32)
    some = None if task == "regression" else y
    x, asked, y, truth = train_test_split(x, y, test_size=0.4, random_state=seed, stratify=some)
    if task == "regression":
        model = RandomForestRegressor(50, random_state=seed).fit(x, y)
        classes, prediction = None, model.predict(asked)
        base = np.full(len(truth), y.mean())
    else:
        model = RandomForestClassifier(50, min_samples_leaf=2, random_state=seed).fit(x, y)
        classes = model.classes_.tolist()
        prediction = model.predict_proba(asked)
        base = np.tile([(y == label).mean() for label in classes], (len(truth), 1))
    if task == "binary":
        prediction, base = prediction[:, 1], base[:, 1]
    names = [*map(str, getattr(table, "feature_names", range(64))), *(["leak"] if leak else [])]
    gate_metric = metric.resolve(metric.defaults(task)[0], task)
    proper = metric.resolve(metric.proper(task), task)
    found = too_good.alone(
        pd.DataFrame(x, columns=names),
        *(y, asked, truth, prediction, base, classes),
        metric.Metrics(gate_metric, {}, proper, [gate_metric]),
        Blocks(np.arange(len(truth)) % 30, 30, "days"),
        task=task,
        limit=0.95,
    )
    assert found is not None
    return found


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("name", TABLES)
def test_no_alarm_on_honest_tables(name: str, seed: int) -> None:
    assert not judged(name, TABLES[name], seed).enough


def test_no_alarm_where_a_poor_model_knows_less_than_one_of_its_features() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(20_000, 3))
    y = (rng.random(20_000) < 0.25 + 0.4 * (np.abs(x[:, 0]) > 0.7) + 0.15 * x[:, 1]).astype(int)
    x, asked, y, truth = x[:12_000], x[12_000:], y[:12_000], y[12_000:]
    model = LogisticRegression().fit(x, y)
    proper = metric.resolve("log_loss", "binary")
    found = too_good.alone(
        pd.DataFrame(x, columns=["bends", "other", "noise"]),
        *(y, asked, truth, model.predict_proba(asked)[:, 1], np.full(8000, y.mean()), [0, 1]),
        metric.Metrics(proper, {}, proper, [proper]),
        Blocks(np.arange(8000) % 30, 30, "days"),
        task="binary",
        limit=0.95,
    )
    assert found is not None
    assert found.name == "bends"
    assert found.share > 1
    assert not found.enough


@pytest.mark.parametrize(
    ("name", "leak"),
    [
        *(("breast_cancer", sign) for sign in ("times three", "turned round")),
        *((name, sign) for name in ("digits", "diabetes") for sign in SIGNS),
    ],
)
def test_the_answer_is_found_in_each_disguise(name: str, leak: str) -> None:
    found = judged(name, TABLES[name], 0, leak)
    assert (found.name, found.enough) == ("leak", True)
