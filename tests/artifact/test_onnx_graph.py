"""A model that ONNX would change or cannot express is refused while it is trained."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KernelDensity
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler, TargetEncoder

from mlops.artifact.onnx_graph import check_agreement, to_onnx
from mlops.project.errors import MlopsError

X = np.random.default_rng(0).integers(0, 5, (300, 2)).astype(np.float32)
Y = np.arange(300) % 3


def test_the_same_estimator_is_the_same_bytes() -> None:
    model = make_pipeline(StandardScaler(), LogisticRegression()).fit(X, Y)
    assert to_onnx(model, 2) == to_onnx(model, 2)


@pytest.mark.parametrize(
    ("estimator", "named"),
    [
        (KernelDensity(), "KernelDensity"),
        (
            make_pipeline(TargetEncoder(), HistGradientBoostingClassifier(max_iter=2)),
            "TargetEncoder",
        ),
    ],
)
def test_what_onnx_cannot_express_is_named(estimator: Any, named: str) -> None:
    with pytest.raises(MlopsError) as refused:
        to_onnx(estimator.fit(X, Y), 2)
    (line,) = str(refused.value).splitlines()
    assert line.startswith(f"src/model/estimator.py: ONNX cannot express {named} (")


def test_a_graph_that_predicts_otherwise_is_refused(tmp_path: Path) -> None:
    estimator = LogisticRegression().fit(X, Y % 2)
    expected = estimator.predict_proba(X)[:, 1]
    graph = SimpleNamespace(facts=SimpleNamespace(task="binary"), predict_matrix=lambda _: expected)
    check_agreement(estimator, graph, X)
    expected[7] += 2e-5
    with pytest.raises(MlopsError, match=r"disagree by 2e-05 \(allowed 1e-05\) on holdout row 7;"):
        check_agreement(estimator, graph, X)
