"""The trained estimator as an ONNX graph: the same bytes each time, the same predictions."""

from typing import Any

import numpy as np

from mlops.artifact.model_folder import Array, ModelArtifact
from mlops.project.errors import MlopsError
from mlops.project.files import PARAMS

TOLERANCE = 1e-5  # largest difference between skops and ONNX; float32 rounding stays under 1e-6
OPSET = 21  # the newest that skl2onnx 1.20 writes; fixed, so that an upgrade is a reviewed change


def to_onnx(estimator: Any, n_features: int) -> bytes:
    """Convert a fitted estimator to an ONNX graph with one float matrix as its input.

    Raises
    ------
    MlopsError
        Naming the step that ONNX cannot express.
    """
    from skl2onnx import convert_sklearn
    from skl2onnx.common.data_types import FloatTensorType
    from skl2onnx.common.exceptions import MissingConverter, MissingShapeCalculator
    from sklearn.base import is_classifier

    # Without zipmap the probabilities are a matrix, not a list of dictionaries.
    options = {id(estimator): {"zipmap": False}} if is_classifier(estimator) else None
    try:
        graph = convert_sklearn(
            estimator,
            name="model",  # the default is a random name, and the bytes would differ on every run
            initial_types=[("features", FloatTensorType([None, n_features]))],
            options=options,
            target_opset=OPSET,
        )
    except (MissingConverter, MissingShapeCalculator, NotImplementedError) as error:
        steps = [type(step).__name__ for step in _steps(estimator)]
        named = next((name for name in steps if name in str(error)), " or ".join(steps))
        said = " ".join(str(error).split()).partition(". ")[0][:200]
        raise MlopsError(
            f"src/model/estimator.py: ONNX cannot express {named} ({said}); "
            "choose an estimator that it can (https://onnx.ai/sklearn-onnx/supported.html), or set "
            f"serving.runtime: skops in {PARAMS}, and scikit-learn itself will serve"
        ) from None
    # skl2onnx collects the operator sets in a set of strings, whose order differs from run to run.
    operator_sets = sorted(graph.opset_import, key=lambda operators: str(operators.domain))
    del graph.opset_import[:]
    graph.opset_import.extend(operator_sets)
    content: bytes = graph.SerializeToString(deterministic=True)
    return content


def _steps(estimator: Any) -> list[Any]:
    """Return the estimators that ``estimator`` is made of, innermost first."""
    inner = [part for part in estimator.get_params().values() if hasattr(part, "get_params")]
    return [*inner, estimator]


def check_agreement(estimator: Any, model: ModelArtifact, matrix: Array) -> None:
    """Refuse a graph that does not predict what the estimator predicts, on any holdout row."""
    if model.facts.task == "regression":
        expected = estimator.predict(matrix)
    else:
        expected = estimator.predict_proba(matrix)
        expected = expected[:, 1] if model.facts.task == "binary" else expected
    scale = max(1.0, float(np.abs(expected).max()))  # a regression predicts in the target's units
    gap = np.abs(model.predict_matrix(matrix) - expected) / scale
    if gap.max() > TOLERANCE:
        row = int(np.argmax(gap if gap.ndim == 1 else gap.max(axis=1)))
        raise MlopsError(
            f"ONNX and scikit-learn disagree by {gap.max():.2g} (allowed {TOLERANCE}) on holdout "
            f"row {row}; a step of src/model/estimator.py does not survive conversion to float32"
        )
