"""The trained estimator as an ONNX graph: the same bytes each time, the same predictions."""

from typing import Any

from mlops.artifact import boosters
from mlops.project.errors import MlopsError, first_line
from mlops.project.files import PARAMS

TOLERANCE = 1e-5  # largest difference from scikit-learn; float32 rounding stays under 1e-6
# The newest that skl2onnx 1.20 and onnxmltools 1.16 write; fixed, so that an upgrade is a reviewed
# change.
OPSET = {"": 21, "ai.onnx.ml": 3}
WAY_OUT = f"set serving.runtime: skops in {PARAMS}, and the estimator itself will serve"


def to_onnx(estimator: Any, n_features: int) -> bytes:
    """Convert a fitted estimator to an ONNX graph with one float matrix as its input.

    Raises
    ------
    MlopsError
        Naming the step that ONNX cannot express, or the library that expresses it.
    """
    from skl2onnx import convert_sklearn
    from skl2onnx.common.data_types import FloatTensorType
    from sklearn.base import is_classifier

    boosters.register_converters(boosters.used(estimator))
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
        # skl2onnx collects the operator sets in a set of strings; their order changes by the run.
        operator_sets = sorted(graph.opset_import, key=lambda operators: str(operators.domain))
        del graph.opset_import[:]
        graph.opset_import.extend(operator_sets)
        content: bytes = graph.SerializeToString(deterministic=True)
    except Exception as error:  # each converter stops in its own way
        made_of = steps(estimator)
        at = next((name for name in made_of.split(" or ") if name in str(error)), made_of)
        raise MlopsError(
            f"src/model/estimator.py: ONNX cannot express {at} ({first_line(error)}); "
            f"choose an estimator that it can (https://onnx.ai/sklearn-onnx/supported.html), or "
            f"{WAY_OUT}"
        ) from None
    return content


def steps(estimator: Any) -> str:
    """Name the estimators that ``estimator`` is made of, innermost first."""
    inner = [part for part in estimator.get_params().values() if hasattr(part, "get_params")]
    names = [type(part).__name__ for part in (*inner, estimator)]
    return " or ".join(dict.fromkeys(name for name in names if name != "Pipeline"))
