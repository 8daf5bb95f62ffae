"""The way out for estimators that ONNX cannot express: scikit-learn itself serves them."""

import json
import os
import subprocess
import sys
import zipfile
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from projects import Workshop
from sklearn.base import clone
from sklearn.cluster import FeatureAgglomeration
from sklearn.compose import ColumnTransformer
from sklearn.datasets import fetch_openml
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.feature_selection import SelectKBest
from sklearn.impute import SimpleImputer
from sklearn.kernel_ridge import KernelRidge
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.neighbors import KNeighborsTransformer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import (
    FunctionTransformer,
    KBinsDiscretizer,
    SplineTransformer,
    StandardScaler,
)
from sklearn.semi_supervised import LabelSpreading
from sklearn.utils import _testing
from toy_project import ToyProject
from workbench import Workbench
from xgboost import XGBClassifier

from mlops.artifact import model_folder, skops_model
from mlops.project import files
from mlops.project.errors import MlopsError
from mlops.registry import tracking, versions

X = np.random.default_rng(0).normal(size=(60, 2)).astype(np.float32)
Y = (X[:, 0] > 0).astype(int)

MODEL = {
    "__init__": """
        from model.data import load_data
        from model.estimator import build_estimator
        from model.features import build_features
        from model.schema import SCHEMA
    """,
    "data": """
        import numpy as np
        import pandas as pd

        def load_data():
            rng = np.random.default_rng(0)
            a, b = rng.normal(size=(2, 480))
            times = pd.date_range("2013-01-01", periods=480, freq="6h")
            late = (a + rng.normal(size=480) > 0).astype("int64")
            return pd.DataFrame({"time": times, "a": a, "b": b, "late": late})
    """,
    "schema": """
        from pandera.pandas import Column, DataFrameSchema

        SCHEMA = DataFrameSchema(
            {"time": Column("datetime64[ns]", coerce=True), "a": Column(float),
             "b": Column(float), "late": Column(int)},
        )
    """,
    "features": """
        def build_features(columns):
            return {"a": columns["a"], "b": columns["b"]}
    """,
    "estimator": """
        from importlib import import_module

        def build_estimator(*, seed, module, name):
            return getattr(import_module(f"sklearn.{module}"), name)()
    """,
}
PARAMS = {
    "name": "spread",
    "task": "binary",
    "seed": 1,
    "data": {
        "target": "late",
        "time": "time",
        "window": {"start": "2013-01", "end": "2013-03"},
        "holdout": {"start": "2013-04", "end": "2013-04"},
    },
    "estimator": {"module": "semi_supervised", "name": "LabelSpreading"},
    "gate": {
        "metric": "roc_auc",
        "margin": 0.05,
        "resamples": 100,
        "slices": {"columns": []},
        **{"calibration": 0.5, "latency_ms": 1000.0, "size_mb": 20.0},
    },
    "serving": {"runtime": "skops"},
}
OWN_STEP = """
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

def halve(x):
    return x / 2

def build_estimator(*, seed, module, name):
    return make_pipeline(FunctionTransformer(halve), LogisticRegression())
"""
LINEAR = {"module": "linear_model", "name": "LogisticRegression"}


def start(folder: Path) -> Workbench:
    (folder / "src/model").mkdir(parents=True)
    for name, text in MODEL.items():
        lines = [line.removeprefix(" " * 8) for line in text.splitlines()]
        (folder / f"src/model/{name}.py").write_text("\n".join(lines))
    (folder / "params.yaml").write_text(yaml.safe_dump(PARAMS, sort_keys=False))
    (folder / "requirements.txt").write_text("")
    return Workbench(folder)


@pytest.fixture(scope="module")
def champion(tmp_path_factory: pytest.TempPathFactory) -> Workbench:
    """A project whose champion scikit-learn serves; look, and copy before changing it."""
    workshop = Workshop(tmp_path_factory.mktemp("skops"))

    def change(project: Workbench) -> None:
        project.train(data=True)
        project.do("evaluate", "compare", "register", "promote --override rough")

    return workshop.make("champion", Workbench, start, change)


@pytest.fixture
def project(champion: Workbench, tmp_path: Path) -> Workbench:
    return champion.copy(tmp_path / "project")


# Training


def test_onnx_names_the_way_out(project: Workbench) -> None:
    project.set(serving={"runtime": "onnx"})
    said = project.refused("train")
    assert said.startswith("src/model/estimator.py: ONNX cannot express LabelSpreading (")
    assert (
        "or set serving.runtime: skops in params.yaml, and the estimator itself will serve" in said
    )


def test_the_model_is_the_skops_file(champion: Workbench) -> None:
    folder = champion / "models"
    written = {"model.skops", "features.py", "model.json", "rows.npy", "sample.json"}
    assert {path.name for path in folder.iterdir()} == written
    model = model_folder.load(folder)
    assert (model.facts.runtime, model.model_path) == ("skops", folder / "model.skops")
    assert model.facts.model_md5 == files.md5(folder / "model.skops")
    assert champion.json("training")["model_md5"] == model.facts.model_md5
    assert champion.json("metrics")["roc_auc"] > 0.6


def test_training_again_gives_the_same_bytes(project: Workbench) -> None:
    before = {path.name: path.read_bytes() for path in (project / "models").iterdir()}
    project.do("train")
    assert {path.name: path.read_bytes() for path in (project / "models").iterdir()} == before


def test_a_change_of_the_runtime_leaves_no_file_of_the_other(project: Workbench) -> None:
    project.set(serving={"runtime": "onnx"}, estimator=LINEAR)
    project.do("train")
    assert (project / "models/model.onnx").is_file()
    project.set(serving={"runtime": "skops"})
    assert "was trained from other data or params.yaml" in project.refused("compare")
    project.do("train")
    assert not (project / "models/model.onnx").exists()


def test_a_classifier_without_probabilities_is_refused(project: Workbench) -> None:
    project.set(estimator={"module": "linear_model", "name": "RidgeClassifier"})
    assert project.refused("train").startswith(
        "src/model/estimator.py: RidgeClassifier gives no probabilities (predict_proba)"
    )


# Judging, registering, exporting


def test_champion_and_candidate_of_two_runtimes_are_compared(
    champion: Workbench, project: Workbench
) -> None:
    project.set(serving={"runtime": "onnx"}, estimator=LINEAR)
    project.train()
    comparison = project.compare()
    assert comparison["candidate"]["metrics"]["roc_auc"] > 0.6
    assert comparison["champion"]["metrics"] == champion.json("comparison")["candidate"]["metrics"]
    assert {"key": "serving.runtime", "champion": "skops", "candidate": "onnx"} in comparison[
        "changes"
    ]["params"]
    size = (champion / "models/model.skops").stat().st_size / 1e6
    assert comparison["champion"]["cost"]["size_mb"] == size
    project.do("evaluate", "register")
    project.do("promote --override smaller")
    project.set(serving={"runtime": "skops"}, estimator=PARAMS["estimator"])
    project.train()
    back = project.compare()
    assert back["champion"]["metrics"] == comparison["candidate"]["metrics"]
    assert back["candidate"]["model_md5"] == comparison["champion"]["model_md5"]


def test_an_export_is_what_was_trained(project: Workbench) -> None:
    assert project.do("lineage champion --field runtime") == "skops\n"
    assert "spread version 1 is in out" in project.do("export out champion")
    names = {path.name for path in (project / "out/model").iterdir()}
    assert names == {"model.skops", "features.py", "model.json", "version.json"}
    sample = json.loads((project / "out/sample.json").read_text())
    model = model_folder.load(project / "out/model")
    columns = {name: np.array([row[name] for row in sample["rows"]]) for name in ("a", "b")}
    np.testing.assert_allclose(model.predict(columns), sample["scores"], atol=1e-9)
    assert "served by the estimator itself (skops)" in (project / "out/model_card.md").read_text()


def test_a_file_that_changed_is_not_promoted(project: Workbench) -> None:
    (stored,) = (project / ".store").rglob("model.skops")
    stored.write_bytes(stored.read_bytes() + b"x")
    said = project.refused("export", "out", "champion")
    assert "model.skops is not what was registered as spread version 1" in said
    (project / "models/model.skops").write_bytes(b"half")
    assert "is not what one training wrote" in project.refused("register")
    assert "is not what one training wrote" in project.refused("compare")
    stored.unlink()
    assert "spread version 1 lacks model.skops in" in project.refused("export", "out", "champion")


def test_models_from_before_there_was_a_choice_are_onnx(
    project: Workbench, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    ToyProject().train(1)
    facts = json.loads((files.MODEL / "model.json").read_text())
    assert facts.pop("runtime") == "onnx"
    (files.MODEL / "model.json").write_text(json.dumps(facts))
    assert model_folder.load(files.MODEL).predict({"a": X[:, 0], "b": X[:, 1]}).shape == (60,)


# What is imported where

PREDICT = """
import sys
from pathlib import Path

class NotInstalled:
    def find_spec(self, name, path, target=None):
        if name in {missing!r}:
            raise ModuleNotFoundError(name, name=name)

sys.meta_path.insert(0, NotInstalled())
import numpy as np
from mlops.artifact import model_folder
model = model_folder.load(Path({folder!r}))
print(model.predict({{"a": np.zeros(2), "b": np.ones(2)}}).shape)
print([name for name in ("onnxruntime", "sklearn", "skops") if name in sys.modules])
"""


def predicts(folder: Path, missing: list[str]) -> "subprocess.CompletedProcess[str]":
    code = PREDICT.format(missing=missing, folder=str(folder))
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)


def test_a_service_needs_neither_pandas_nor_mlflow_for_it(champion: Workbench) -> None:
    done = predicts(champion / "models", ["pandas", "mlflow", "onnx", "skl2onnx", "pandera"])
    assert done.stdout.splitlines() == ["(2,)", "['sklearn', 'skops']"], done.stderr


def test_without_scikit_learn_it_says_what_to_install(champion: Workbench) -> None:
    done = predicts(champion / "models", ["skops"])
    assert done.stdout == ""
    assert done.stderr.splitlines()[-1] == (
        f"mlops.project.errors.MlopsError: {champion / 'models/model.skops'} is a model of "
        "scikit-learn (serving.runtime: skops), but skops is not installed here; install what "
        "requirements-serve-skops.txt locks, as `make image` does for such a model"
    )


def test_an_onnx_model_needs_no_scikit_learn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    ToyProject().train(1)
    done = predicts(files.MODEL.resolve(), ["skops", "pandas", "mlflow", "threadpoolctl"])
    assert done.stdout.splitlines() == ["(2,)", "['onnxruntime']"], done.stderr


# The file


def dumped(estimator: Any, path: Path) -> Path:
    path.write_bytes(skops_model.dump(estimator))
    return path


@pytest.mark.parametrize(
    "build",
    [
        lambda: make_pipeline(StandardScaler(), LogisticRegression()),
        lambda: make_pipeline(
            ColumnTransformer([("one", StandardScaler(), [0])], remainder="passthrough"),
            HistGradientBoostingClassifier(max_iter=3, categorical_features=[1], random_state=0),
        ),
        LabelSpreading,
    ],
)
def test_the_same_fit_gives_the_same_bytes_and_predictions(build: Any, tmp_path: Path) -> None:
    x = np.column_stack([X[:, 0], np.arange(60) % 3]).astype(np.float32)
    first, again = build().fit(x, Y), build().fit(x, Y)
    assert skops_model.dump(first) == skops_model.dump(again)
    predict = skops_model.predictor(dumped(first, tmp_path / "model.skops"), "binary")
    np.testing.assert_array_equal(predict(x), first.predict_proba(x)[:, 1])


def test_predictions_have_the_shape_of_their_task(tmp_path: Path) -> None:
    classes = LabelSpreading().fit(X, np.arange(60) % 3)
    predict = skops_model.predictor(dumped(classes, tmp_path / "classes.skops"), "multiclass")
    np.testing.assert_array_equal(predict(X), classes.predict_proba(X))
    number = KernelRidge().fit(X, X[:, :1])  # a target of shape (n, 1) gives predictions like it
    predict = skops_model.predictor(dumped(number, tmp_path / "number.skops"), "regression")
    assert predict(X).shape == (60,)
    assert predict(X).dtype == np.float64


@pytest.mark.parametrize(
    "step",
    [
        SimpleImputer(),
        KBinsDiscretizer(3),
        SplineTransformer(),
        SelectKBest(k=1),
        FunctionTransformer(np.log1p),
        FunctionTransformer(partial(np.clip, a_min=-1, a_max=1)),
        FeatureAgglomeration(),
        KNeighborsTransformer(),
    ],
)
def test_everyday_steps_are_loaded(step: Any, tmp_path: Path) -> None:
    x = np.abs(X)
    model = make_pipeline(step, LogisticRegression()).fit(x, Y)
    predict = skops_model.predictor(dumped(model, tmp_path / "model.skops"), "binary")
    np.testing.assert_array_equal(predict(x), model.predict_proba(x)[:, 1])


def test_a_search_keeps_its_scorer(tmp_path: Path) -> None:
    model = GridSearchCV(LogisticRegression(), {"C": [1, 2]}, scoring="roc_auc").fit(X, Y)
    predict = skops_model.predictor(dumped(model, tmp_path / "model.skops"), "binary")
    np.testing.assert_array_equal(predict(X), model.predict_proba(X)[:, 1])


def named(module: str, name: str) -> type:
    return type(name, (), {"__module__": module})


@pytest.mark.parametrize(
    ("function", "name"),
    [
        (os.system, "posix.system"),
        (np.save, "numpy.save"),
        (clone, "sklearn.base.clone"),
        (fetch_openml, "sklearn.datasets._openml.fetch_openml"),
        (
            partial(_testing.assert_run_python_script_without_output, "print(1)"),
            "sklearn.utils._testing.assert_run_python_script_without_output",
        ),
        (LogisticRegression().fit, "sklearn.linear_model._logistic.LogisticRegression.fit"),
        (named("sklearn.utils._testing", "TempMemmap"), "sklearn.utils._testing.TempMemmap"),
        (named("sklearn.pipeline", "defaultdict"), "sklearn.pipeline.defaultdict"),
        (named("sklearn.conftest", "Any"), "sklearn.conftest.Any"),
        (named("antigravity", "webbrowser"), "antigravity.webbrowser"),
        (XGBClassifier().save_model, "xgboost.sklearn.XGBClassifier.save_model"),
        (named("lightgbm.basic", "_InnerPredictor"), "lightgbm.basic._InnerPredictor"),
        (named("xgboost.core", "DMatrix"), "xgboost.core.DMatrix"),
    ],
)
def test_what_could_run_code_is_not_loaded(function: Any, name: str, tmp_path: Path) -> None:
    path = dumped(FunctionTransformer(function), tmp_path / "model.skops")
    with pytest.raises(MlopsError) as refused:
        skops_model.load(path)
    assert f"model.skops needs {name}; only types of scikit-learn," in str(refused.value)
    assert not {"antigravity", "sklearn.conftest"} & sys.modules.keys()


@pytest.mark.parametrize("runtime", ["onnx", "skops"])
def test_what_registering_could_not_load_is_refused_in_training(
    project: Workbench, runtime: str
) -> None:
    """Before ONNX is tried, whose way out is skops."""
    project.set(serving={"runtime": runtime})
    (project / "src/model/estimator.py").write_text(OWN_STEP)
    said = project.refused("train")
    assert said.startswith("models/model.skops needs model.estimator.halve; only types of scikit")
    assert not (project / "models/model.json").exists()


def test_mlflow_loads_what_is_registered(
    project: Workbench, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = OWN_STEP.replace("FunctionTransformer(halve)", "SimpleImputer()")
    (project / "src/model/estimator.py").write_text(text)
    project.do("train", "evaluate", "compare", "register")
    monkeypatch.chdir(project.folder)
    tracking.connect()
    import mlflow.sklearn

    loaded = mlflow.sklearn.load_model("models:/spread@challenger")
    predict = skops_model.predictor(project / "models/model.skops", "binary")
    np.testing.assert_array_equal(loaded.predict_proba(X)[:, 1], predict(X))


def test_what_fit_says_is_a_sentence(project: Workbench) -> None:
    project.set(estimator={"module": "naive_bayes", "name": "ComplementNB"})
    assert project.refused("train").strip() == (
        "src/model/estimator.py: fit stopped: ValueError: Negative values in data passed to "
        "ComplementNB (input X)"
    )


def test_estimators_run_on_one_thread(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from sklearn.neighbors import KNeighborsClassifier
    from threadpoolctl import threadpool_info

    seen: list[tuple[Any, set[int]]] = []
    ask = KNeighborsClassifier.predict_proba

    def spied(self: Any, x: Any) -> Any:
        seen.append((self.n_jobs, {pool["num_threads"] for pool in threadpool_info()}))
        return ask(self, x)

    model = make_pipeline(StandardScaler(), KNeighborsClassifier(n_jobs=-1)).fit(X, Y)
    path = dumped(model, tmp_path / "model.skops")
    monkeypatch.setattr(KNeighborsClassifier, "predict_proba", spied)
    skops_model.predictor(path, "binary")(X)
    assert seen == [(1, {1})]


def test_a_champion_is_found_in_the_registry_by_its_own_file(
    project: Workbench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(project.folder)
    found = versions.fetch(tracking.connect(), "spread", "champion")
    assert found is not None
    assert found[0].tags["model_md5"] == files.md5(found[1] / "model.skops")


@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("numpy", "clip"),
        ("sklearn.utils.validation", "check_array"),
        ("sklearn.metrics._classification", "accuracy_score"),
    ],
)
def test_a_function_that_a_model_may_hold_is_never_called_by_loading(
    module: str, name: str, tmp_path: Path
) -> None:
    """As the type of a list would be, with what the list holds."""
    held = dumped(FunctionTransformer(np.clip, kw_args={"a_min": [1, 2]}), tmp_path / "held.skops")
    skops_model.load(held)
    with zipfile.ZipFile(held) as archive:
        schema = json.loads(archive.read("schema.json"))

    def forge(node: Any) -> None:
        for part in node.values() if isinstance(node, dict) else node:
            if isinstance(part, dict | list):
                forge(part)
        if isinstance(node, dict) and node.get("__loader__") == "ListNode":
            node.update(__module__=module, __class__=name)

    forge(schema)
    path = tmp_path / "model.skops"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("schema.json", json.dumps(schema))
    with pytest.raises(MlopsError, match=rf"needs .*{name}\(\); only types of"):
        skops_model.load(path)
