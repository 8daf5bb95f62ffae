"""The champion's scores as columns: asked of the model again, or read from the prediction log."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from operator import itemgetter
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from mlops.artifact.model_folder import Facts, ModelArtifact

Array = npt.NDArray[Any]
Computed = Mapping[str, Callable[[dict[str, Array]], Array]]

LOGGED = "logged "  # before a score's name in the log's table: an input may have the same name


def names(facts: Facts) -> list[str]:
    """Return a name for the score of a row, or for the probability of each class."""
    return list(names_in_log(facts))


def names_in_log(facts: Facts) -> dict[str, str]:
    """Return by name what the prediction log calls each score."""
    if facts.task != "multiclass":
        return {"score": "score"}
    return {f"score of {name}": str(name) for name in facts.classes or []}


def predicted(model: ModelArtifact) -> Computed:
    """Return the scores as functions of raw columns; the model is asked once for all of them."""
    latest: list[Any] = [None, None]

    def score(place: int, columns: dict[str, Array]) -> Array:
        if latest[0] is not columns:
            prediction = model.predict(columns)
            latest[:] = columns, prediction[:, None] if prediction.ndim == 1 else prediction
        return np.asarray(latest[1][:, place])

    return {name: partial(score, place) for place, name in enumerate(names(model.facts))}


def logged(facts: Facts) -> Computed:
    """Return the scores as functions of the columns that hold what was answered."""
    return {name: itemgetter(f"{LOGGED}{name}") for name in names(facts)}


def from_table(table: pd.DataFrame, columns: Sequence[str]) -> Array:
    """Return score columns as a metric takes them: shape (n,), or (n, k) of several classes."""
    values = table[list(columns)].to_numpy(np.float64)
    return values[:, 0] if len(columns) == 1 else values
