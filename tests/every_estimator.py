"""Estimators taken through what ``train`` does with them, without DVC and MLflow: one, or all."""

import inspect
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from lightgbm import LGBMClassifier, LGBMRegressor
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils import all_estimators
from xgboost import XGBClassifier, XGBRegressor

from mlops.artifact.model_folder import Array, ModelArtifact
from mlops.artifact.sandbox import FeatureCode
from mlops.pipeline import train
from mlops.project import files
from mlops.project.errors import MlopsError
from mlops.project.params import Runtime, Task

PASSED_ON = "def build_features(columns):\n    return dict(columns)\n"
NUMBER: dict[str, Any] = {"type": "number", "dtype": "float32", "nullable": False, "example": 0.5}
HOLDOUT = 60
NAMES = ("a", "b", "c", "d")
BOOSTERS = {
    "classification": (LGBMClassifier, XGBClassifier),
    "regression": (LGBMRegressor, XGBRegressor),
}


def train_on(
    unfitted: Any,
    task: Task,
    x: Array,
    y: Array,
    *,
    columns: list[dict[str, Any]],
    features: str = PASSED_ON,
    runtime: Runtime = "onnx",
) -> ModelArtifact:
    """Train in the working folder; the last rows are the holdout."""
    Path("features.py").write_text(features)
    files.MODEL.mkdir(exist_ok=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        estimator = train.fit(unfitted, x[:-HOLDOUT], y[:-HOLDOUT])
    train.check_probabilities(task, estimator)
    names = [column["name"] for column in columns]
    facts = {
        **{"task": task, "runtime": runtime, "target": "y", "rows": len(x) - HOLDOUT},
        **{"features": names, "inputs": names, "columns": columns, "base_rate": [0.5]},
        "classes": None if task == "regression" else estimator.classes_.tolist(),
        "window": {"start": "2013-01", "end": "2013-03"},
        **{"params": {}, "schema_columns": {}, "code": {}, "data_md5": "", "requirements_md5": ""},
    }
    code = FeatureCode(Path("features.py"), "y")
    return train.write_model(estimator, facts, code, x[:-HOLDOUT], x[-HOLDOUT:])


class Outcome(NamedTuple):
    """What became of an estimator; ``refusal`` is the sentence that ``train`` said, if it did."""

    estimator: str
    task: Task
    missing: bool
    runtime: Runtime
    refusal: str | None


def sweep() -> Iterator[Outcome]:
    """Train every classifier and regressor, and a linear model behind every transformer."""
    tasks: tuple[Task, ...] = ("binary", "multiclass", "regression")
    runtimes: tuple[Runtime, ...] = ("onnx", "skops")
    for task in tasks:
        for missing in (False, True):
            x, y = table(task, missing)
            bounds = {"nullable": missing, "minimum": -6.0, "maximum": 6.0}
            columns = [NUMBER | bounds | {"name": name} for name in NAMES]
            for name, estimator in estimators(task):
                for runtime in runtimes:
                    refusal = None
                    try:
                        train_on(estimator, task, x, y, columns=columns, runtime=runtime)
                    except MlopsError as error:
                        refusal = str(error)
                    yield Outcome(name, task, missing, runtime, refusal)


def table(task: Task, missing: bool) -> tuple[Array, Array]:
    """Return three continuous numbers and a small whole one, and what they predict.

    Of a column, what is missing means something: the target then is high.
    """
    rng = np.random.default_rng(0)
    x = rng.normal(size=(180 + HOLDOUT, len(NAMES))).astype(np.float32)
    x[:, 3] = rng.integers(0, 4, len(x))
    y = x[:, 0] + x[:, 1] + rng.normal(size=len(x)) / 2
    if missing:
        gone = rng.random(len(x)) < 0.1
        x[gone, 1], y[gone] = np.nan, 3
    if task == "regression":
        return x, np.exp(y)
    return x, np.digitize(y, [0] if task == "binary" else [-1, 1])


def estimators(task: Task) -> Iterator[tuple[str, Any]]:
    """Yield every estimator for a task, by its name; one that needs others gets linear ones."""
    lightgbm, xgboost = BOOSTERS["regression" if task == "regression" else "classification"]
    yield lightgbm.__name__, lightgbm(n_estimators=20, random_state=0, verbose=-1)
    yield xgboost.__name__, xgboost(n_estimators=20, random_state=0)
    linear = Ridge() if task == "regression" else LogisticRegression()
    for name, kind in all_estimators(
        type_filter="regressor" if task == "regression" else "classifier"
    ):
        yield name, build(kind, linear)
    for name, kind in all_estimators(type_filter="transformer"):
        if task != "multiclass" and name != "TSNE":  # which transforms only what it was fitted on
            yield f"{name} + {type(linear).__name__}", make_pipeline(build(kind, linear), linear)


def build(kind: type, linear: Any) -> Any:
    """Return an estimator of a kind with what it demands, and what keeps it quick."""
    if kind.__name__ == "QuantileTransformer":
        return kind(n_quantiles=10)  # its graph has a node for each
    needed = {
        "estimator": linear,
        "estimators": [("one", linear), ("two", linear)],
        "steps": [("scale", StandardScaler()), ("last", linear)],
        "transformers": [("scale", StandardScaler(), [0, 1])],
        "transformer_list": [("scale", StandardScaler())],
        "param_grid": {},
        "param_distributions": {"fit_intercept": [True, False]},
        "dictionary": np.eye(len(NAMES)),
        "random_state": 0,
    }
    asked = inspect.signature(kind).parameters.values()
    demanded = {one.name for one in asked if one.default is one.empty or one.name == "random_state"}
    if kind.__name__ == "SelfTrainingClassifier":  # its default is refused by itself
        demanded = {"estimator"}
    return kind(**{name: part for name, part in needed.items() if name in demanded})
