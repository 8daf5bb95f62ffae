"""The trained estimator as an ONNX graph: the same bytes each time, the same predictions."""

from typing import Any

import numpy as np

from mlops.artifact import boosters
from mlops.artifact.features import Asked
from mlops.project.errors import MlopsError, first_line
from mlops.project.files import PARAMS

TOLERANCE = 1e-5  # largest difference from scikit-learn; float32 rounding stays under 1e-6
# The newest that skl2onnx 1.20 and onnxmltools 1.16 write; fixed, so that an upgrade is a reviewed
# change.
OPSET = {"": 21, "ai.onnx.ml": 3}
# What scikit-learn takes for a word, and the same as ONNX Runtime's RE2 says it.
WORDS, RE2_WORDS = r"(?u)\b\w\w+\b", r"[\pL\pN_][\pL\pN_]+"
WAY_OUT = f"set serving.runtime: skops in {PARAMS}, and the estimator itself will serve"


def to_onnx(estimator: Any, asked: Asked) -> bytes:
    """Convert a fitted estimator to an ONNX graph that is ``asked`` as the estimator is.

    Its input is one float matrix; with texts, one input for each feature, by its name.

    Raises
    ------
    MlopsError
        Naming the step that ONNX cannot express, or the library that expresses it.
    """
    from skl2onnx import convert_sklearn
    from skl2onnx.common.data_types import FloatTensorType, StringTensorType
    from sklearn.base import is_classifier

    boosters.register_converters(boosters.used(estimator))
    # Without zipmap the probabilities are a matrix, not a list of dictionaries.
    options: dict[int, Any] = {id(estimator): {"zipmap": False}} if is_classifier(estimator) else {}
    for part in _vectorizers(estimator):
        if part.lowercase:
            raise MlopsError(
                f"src/model/estimator.py: {type(part).__name__} lower-cases, which ONNX does to A-Z"
                " only; lower-case the text in src/model/features.py, and set lowercase=False"
            )
        # Else the graph wants a locale that slim images do not have, and knows words of a-z only.
        options[id(part)] = {"locale": "C"}
        if part.token_pattern == WORDS:
            options[id(part)]["tokenexp"] = RE2_WORDS
    inputs: list[tuple[str, Any]] = []
    if isinstance(asked, dict):
        for name, values in asked.items():
            kind = StringTensorType if values.dtype == object else FloatTensorType
            inputs.append((name, kind([None, 1])))
    else:
        inputs.append(("features", FloatTensorType([None, asked.shape[1]])))
    try:
        graph = convert_sklearn(
            estimator,
            name="model",  # the default is a random name, and the bytes would differ on every run
            initial_types=inputs,
            options=options or None,
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


def split_as_onnx(estimator: Any) -> None:
    """Let gradient-boosted trees split their rows where float32 does, in which ONNX compares.

    What an encoder before them computes is float64, and a split can fall between two values that
    float32 does not tell apart, such as two means of the same rows that were summed otherwise.
    """
    for part in _parts(estimator):
        for trees in getattr(part, "_predictors", []):
            for tree in trees:
                # The largest float64 that float32 rounds to the split, or to what is below it.
                rounded = tree.nodes["num_threshold"].astype(np.float32)
                above = np.nextafter(rounded, np.float32(np.inf)).astype(np.float64)
                middle = np.nextafter((rounded + above) / 2, -np.inf)
                tree.nodes["num_threshold"] = np.where(np.isfinite(middle), middle, rounded)


def _vectorizers(estimator: Any) -> list[Any]:
    """Return what turns texts to words, fitted."""
    parts = _parts(estimator)
    return [part for part in parts if hasattr(part, "lowercase") and hasattr(part, "vocabulary_")]


def _parts(estimator: Any) -> list[Any]:
    """Return an estimator and, fitted, what it is made of: steps, by column, or side by side."""
    parts = [estimator]
    for part in parts:  # grows by what is in a step
        inner = [*getattr(part, "steps", []), *getattr(part, "transformers_", [])]
        parts += [step[1] for step in inner if hasattr(step[1], "get_params")]
        parts += [it for it in getattr(part, "estimators_", []) if hasattr(it, "get_params")]
        parts += [it.estimator for it in getattr(part, "calibrated_classifiers_", [])]
    return parts


def steps(estimator: Any) -> str:
    """Name the estimators that ``estimator`` is made of, innermost first."""
    inner = [part for part in estimator.get_params().values() if hasattr(part, "get_params")]
    names = [type(part).__name__ for part in (*inner, estimator)]
    return " or ".join(dict.fromkeys(name for name in names if name != "Pipeline"))
