"""An estimator that ONNX cannot express is refused while it is trained."""

from typing import Any

import numpy as np
import pytest
from onnxruntime import InferenceSession
from projects import Project
from sklearn.calibration import CalibratedClassifierCV
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KernelDensity
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import (
    FunctionTransformer,
    KBinsDiscretizer,
    StandardScaler,
    TargetEncoder,
)
from sklearn.svm import LinearSVC

from mlops.artifact import onnx_graph, skops_model
from mlops.artifact.onnx_graph import split_as_onnx, to_onnx
from mlops.project.errors import MlopsError

X = np.random.default_rng(0).integers(0, 5, (300, 2)).astype(np.float32)
Y = np.arange(300) % 3


def test_the_same_estimator_is_the_same_bytes() -> None:
    model = make_pipeline(StandardScaler(), LogisticRegression()).fit(X, Y)
    assert to_onnx(model, X) == to_onnx(model, X)


@pytest.mark.parametrize(
    ("estimator", "named"),
    [
        (KernelDensity(), "KernelDensity"),
        (CalibratedClassifierCV(make_pipeline(StandardScaler(), LinearSVC())), "LinearSVC"),
        (make_pipeline(FunctionTransformer(np.sqrt), LogisticRegression()), "FunctionTransformer"),
        (make_pipeline(KBinsDiscretizer(2), LogisticRegression()), "KBinsDiscretizer or Logistic"),
        (
            make_pipeline(TargetEncoder(), HistGradientBoostingClassifier(max_iter=2)),
            "TargetEncoder",
        ),
    ],
)
def test_what_onnx_cannot_express_is_named(estimator: Any, named: str) -> None:
    with pytest.raises(MlopsError) as refused:
        to_onnx(estimator.fit(X, Y), X)
    (line,) = str(refused.value).splitlines()
    assert line.startswith(f"src/model/estimator.py: ONNX cannot express {named}")
    assert line.endswith(onnx_graph.WAY_OUT)


def test_the_trees_that_train_writes_split_there(trained: Project) -> None:
    estimator = skops_model.load(trained / "models/model.skops")
    splits = [tree.nodes["num_threshold"] for (tree,) in estimator[-1]._predictors]
    before = [it.copy() for it in splits]
    split_as_onnx(estimator)
    assert all((now == it).all() for now, it in zip(splits, before, strict=True))


def test_trees_split_where_onnx_does() -> None:
    # As the two means of the same rows, summed in another order: they differ by the last bit.
    means = np.random.default_rng(3).normal(0.3, 0.1, 40)
    x = np.concatenate([means, np.nextafter(means, 1)]).repeat(10).reshape(-1, 1)
    y = np.arange(len(x)) // (len(x) // 2)
    estimator = HistGradientBoostingRegressor(max_iter=20).fit(x, y)

    def furthest() -> float:
        asked = x.astype(np.float32)
        session = InferenceSession(to_onnx(estimator, asked[:1]))
        (answered,) = session.run(None, {"features": asked})
        return float(np.abs(answered[:, 0] - estimator.predict(x)).max())

    assert furthest() > 0.1
    split_as_onnx(estimator)
    assert furthest() < 1e-5
