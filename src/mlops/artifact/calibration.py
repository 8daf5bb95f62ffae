"""Whether predictions mean what they say."""

from typing import Any

import numpy as np
import numpy.typing as npt

from mlops.project.params import Task

Array = npt.NDArray[Any]

BINS = 10


def reliability(predicted: Array, seen: Array) -> tuple[Array, Array, Array]:
    """Group rows by prediction and compare the means.

    Parameters
    ----------
    predicted, seen : array of shape (n,)
        Probability and 0/1 outcome, or predicted and true value.

    Returns
    -------
    predicted, seen, rows : arrays of shape (m,)
        Means and row counts of up to 10 groups of equal size, by rising prediction.
    """
    order = np.argsort(predicted, kind="stable")
    groups = [group for group in np.array_split(order, BINS) if len(group)]
    return (
        np.array([predicted[group].mean() for group in groups]),
        np.array([seen[group].mean() for group in groups]),
        np.array([len(group) for group in groups]),
    )


def error(task: Task, y: Array, prediction: Array, classes: list[Any] | None) -> float:
    """Return the expected calibration error; 0 is perfect.

    Classification: the mean gap between predicted and seen share over groups of equal size (Guo et
    al. 2017, https://arxiv.org/abs/1706.04599, with equal-count bins), the worst class deciding.
    Regression: the same gap in units of the target's standard deviation.
    """
    if task == "regression":
        spread = float(np.std(y))
        return _gap(prediction, y) / spread if spread else _gap(prediction, y)
    assert classes is not None
    if task == "binary":
        return _gap(prediction, (y == classes[1]).astype(float))
    return max(
        _gap(prediction[:, column], (y == label).astype(float))
        for column, label in enumerate(classes)
    )


def _gap(predicted: Array, seen: Array) -> float:
    mean_predicted, mean_seen, rows = reliability(predicted, seen)
    return float(np.average(np.abs(mean_predicted - mean_seen), weights=rows))
