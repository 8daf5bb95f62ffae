"""Features as an estimator is asked with them: a matrix of numbers, or with texts, each by name."""

from collections.abc import Collection, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
# A float32 matrix of shape (n, k); or, where a feature is text, each by its name, of shape (n,):
# numbers as float32, texts as objects, a missing one "".
Asked = npt.NDArray[np.float32] | dict[str, Array]


def to_matrix(features: Mapping[str, Array]) -> npt.NDArray[np.float32]:
    """Stack features of shape (n,) into one matrix of shape (n, k)."""
    # float32 is what ONNX computes in; trained on float64, a split can fall between the two.
    # For one row, three times as fast as np.column_stack.
    return np.ascontiguousarray(np.array(list(features.values()), np.float32).T)


def to_features(features: Mapping[str, Array], texts: Collection[str]) -> Asked:
    """Return what an estimator is asked with, of features of shape (n,); ``texts`` names some."""
    if not texts:
        return to_matrix(features)
    return {
        name: to_text(values) if name in texts else np.asarray(values, np.float32)
        for name, values in features.items()
    }


def to_text(values: Array) -> Array:
    """Return texts of shape (n,) as ONNX takes them, which knows no missing one: it is ""."""
    known = [value if isinstance(value, str) else "" for value in values.tolist()]
    return np.array(known, object)


def take(asked: Asked, rows: Any) -> Asked:
    """Return some of the rows: indices, a slice or a mask."""
    if isinstance(asked, dict):
        return {name: values[rows] for name, values in asked.items()}
    some: Asked = asked[rows]
    return some


def count(asked: Asked) -> int:
    """Return the number of rows."""
    return len(next(iter(asked.values())) if isinstance(asked, dict) else asked)


def to_table(asked: Asked) -> Any:
    """Return what an estimator of scikit-learn is given: the matrix, or a pandas DataFrame."""
    if not isinstance(asked, dict):
        return asked
    import pandas as pd  # which a service of ONNX does not have

    # As objects: pandas has several kinds of text, and an encoder keeps what it was fitted on.
    return pd.DataFrame(
        {name: pd.Series(values, dtype=values.dtype) for name, values in asked.items()}
    )
