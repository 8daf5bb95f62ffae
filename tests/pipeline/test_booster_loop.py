"""LightGBM and XGBoost once around: trained, judged, registered, served without them, watched."""

import json
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from parcels import Parcels, parcels
from projects import ROOT
from running_service import RunningService

from mlops.artifact import model_folder
from mlops.registry import tracking

# The estimator that docs/data.md shows.
PAGE = (ROOT / "docs/data.md").read_text(encoding="utf-8")
LIGHTGBM = PAGE.partition("```python\n")[2].partition("```")[0]
XGBOOST = '''"""Trees."""

from xgboost import XGBClassifier


def build_estimator(*, seed: int, n_estimators: int = 200) -> XGBClassifier:
    return XGBClassifier(n_estimators=n_estimators, random_state=seed, verbosity=0)
'''
ESTIMATORS = {"lightgbm": LIGHTGBM, "xgboost": XGBOOST}
NULLS = (
    "table.loc[::13, 'weight'] = np.nan; table['stops'] = table['stops'].astype(float); "
    "table.loc[::17, 'stops'] = np.nan; table.loc[::19, 'kind'] = None"
)
# What an image for ONNX has not.
NOT_THERE = ("lightgbm", "xgboost", "sklearn", "skops", "pandas", "onnxmltools")


def choose(project: Parcels, library: str, task: str) -> None:
    text = ESTIMATORS[library]
    if task == "regression":
        text = text.replace("Classifier", "Regressor")
    (project / "src/model/estimator.py").write_text(text)
    project.set(estimator={"n_estimators": 50})


@pytest.fixture(scope="module", params=["binary", "multiclass", "regression"])
def task(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory, task: str) -> Parcels:
    """Parcels with a null in every column of the features, checked."""
    project = parcels(tmp_path_factory.mktemp(f"parcels-{task}"))
    project.also(NULLS)
    for name, check in {
        "weight": "Column(float, Check.in_range(0, 100)",
        "stops": "Column(int, Check.in_range(1, 20)",
        "kind": 'Column(str, Check.isin(["box", "bag", "tube"])',
    }.items():
        nullable = check.replace("(int", "(float") + ", nullable=True"
        project.change("schema", f'"{name}": {check}', f'"{name}": {nullable}')
    late = "Column(int, Check.isin([0, 1]))"
    if task == "regression":
        project.also("table['late'] = 10 * p + rng.normal(size=n)")
        project.change("schema", late, "Column(float)")
        project.set(task=task, gate__metric="r2", gate__floors={"r2": 0.6})
        project.set(gate__slices={"columns": []})
    if task == "multiclass":
        project.also("table['late'] = np.digitize(p + rng.logistic(size=n), [-1.0, 1.0])")
        words = "['on time', 'late', 'early']"
        project.also(f"table['late'] = np.array({words})[table['late']]")
        project.change("schema", late, "Column(str)")
        project.set(task=task, gate__metric="log_loss", gate__floors={})
        project.set(gate__slices={"columns": []})
    project.do("ingest", "validate")
    return project


@pytest.fixture(scope="module", params=list(ESTIMATORS))
def library(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def champion(
    data: Parcels, library: str, task: str, tmp_path_factory: pytest.TempPathFactory
) -> Parcels:
    project = data.copy(tmp_path_factory.mktemp(f"{library}-{task}") / "project")
    choose(project, library, task)
    project.do("features", "train", "evaluate", "compare", "report", "register", "promote")
    return project


@pytest.fixture
def service(champion: Parcels, tmp_path: Path) -> Iterator[RunningService]:
    """The champion's export served where nothing but the image's libraries can be imported."""
    champion.do(f"export {tmp_path}/export champion")
    blocked = tmp_path / "blocked"
    blocked.mkdir()
    for name in NOT_THERE:
        (blocked / f"{name}.py").write_text(f"raise ModuleNotFoundError({name!r})\n")
    path = f"{blocked}:{ROOT / 'src'}"
    running = RunningService(tmp_path / "export/model", tmp_path / "service", pythonpath=path)
    yield running.wait()
    running.stop()


def test_the_service_without_the_library_answers_the_same_scores(
    service: RunningService, tmp_path: Path
) -> None:
    sample = json.loads((tmp_path / "export/sample.json").read_text())
    rows = sample["rows"]
    assert any(row["weight"] is None for row in rows)
    answered = service.predict(rows).json()["predictions"]
    scores = [list(it["scores"].values()) if "scores" in it else it["score"] for it in answered]
    np.testing.assert_allclose(scores, sample["scores"], rtol=1e-6)
    nothing = dict.fromkeys(("weight", "stops", "kind"))
    assert service.predict({**rows[0], **nothing}).status == 200


def test_plain_mlflow_loads_it(
    champion: Parcels, library: str, task: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(champion.folder)
    tracking.connect()
    import mlflow.sklearn

    loaded = mlflow.sklearn.load_model("models:/parcels@champion")
    assert type(loaded).__module__.partition(".")[0] == library
    model = model_folder.load(champion / "models")
    rows = pd.read_parquet(champion / "data/train.parquet").iloc[:, :-1].to_numpy(np.float32)
    expected = model.ask(rows)
    if task == "regression":
        np.testing.assert_allclose(loaded.predict(rows), expected, rtol=1e-5, atol=1e-4)
    else:
        got = loaded.predict_proba(rows)
        np.testing.assert_allclose(got[:, 1] if task == "binary" else got, expected, atol=1e-5)
    if task == "multiclass":
        assert model.facts.classes == ["early", "late", "on time"]
        # XGBoost learns the positions of these classes.
        known = [0, 1, 2] if library == "xgboost" else model.facts.classes
        assert loaded.classes_.tolist() == known
    (needed,) = (champion / ".store").rglob("versions/*/requirements.txt")
    versions = {"lightgbm": "lightgbm==4.7.0", "xgboost": "xgboost==3.2.0"}
    assert versions[library] in needed.read_text().splitlines()


def test_it_is_judged_and_watched(champion: Parcels, tmp_path: Path) -> None:
    project = champion.copy(tmp_path / "project")
    project.set(estimator={"n_estimators": 5})
    project.do("train", "evaluate")
    comparison = project.compare()
    changed = {"key": "estimator.n_estimators", "champion": 50, "candidate": 5}
    assert comparison["changes"]["params"] == [changed]
    judged = champion.json("comparison")["candidate"]["metrics"]
    assert comparison["champion"]["metrics"] == judged != comparison["candidate"]["metrics"]
    assert "of 3 inputs have drifted" in project.do("drift")


def test_training_again_gives_the_same_bytes(champion: Parcels, tmp_path: Path) -> None:
    project = champion.copy(tmp_path / "project")
    shutil.rmtree(project / "models")
    project.do("train")
    for name in ("model.onnx", "model.skops"):
        assert (project / "models" / name).read_bytes() == (champion / "models" / name).read_bytes()


@pytest.mark.parametrize("task", ["binary"], indirect=True)
def test_where_the_library_is_missing_it_says_how_to_add_it(
    champion: Parcels, library: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = champion.copy(tmp_path / "project")
    monkeypatch.setitem(sys.modules, library, None)
    assert project.refused("train") == (
        f"src/model/estimator.py:3: build_estimator stops: {library} is not installed; "
        f"run `make add GROUP={library}`"
    )
