"""One scikit-learn metric, scored on predictions instead of on an estimator."""

import inspect
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from mlops.project.errors import MlopsError
from mlops.project.params import Task

Array = npt.NDArray[Any]
Float = npt.NDArray[np.float64]
Classes = Sequence[str | int] | None
Kind = Literal["mean", "rank", "general"]

RANKS = ("roc_auc", "average_precision")
ROUNDING = 1e-4  # ONNX sums trees in float32: a probability can pass 1 by less than this


@dataclass(frozen=True)
class Metric:
    """A scikit-learn metric for one task; :func:`mlops.judgement.metrics.resolve` makes it.

    Attributes
    ----------
    name : str
        As shown to people: the scorer's name without ``neg_``.
    greater_is_better : bool
    task : {"binary", "multiclass", "regression"}
    function : callable
        ``function(truth, prediction)`` of :mod:`sklearn.metrics`.
    probabilities : bool
        Whether ``function`` reads probabilities, not labels.
    """

    name: str
    greater_is_better: bool
    task: Task
    function: Callable[..., Any]
    probabilities: bool

    @property
    def kind(self) -> Kind:
        """How it can be recomputed fast: from row scores, from ranks, or only by scikit-learn."""
        if self.task == "binary" and self.name in RANKS:
            return "rank"
        return "mean" if self.name in _ROWS else "general"

    def __call__(self, y: Array, prediction: Array, classes: Classes = None) -> float:
        """Score ``n`` predictions in the metric's own units (log loss is positive).

        Parameters
        ----------
        y : array of shape (n,)
            Raw target values.
        prediction : array of shape (n,) or (n, k)
            As :meth:`mlops.artifact.model_folder.ModelArtifact.predict` returns it.
        classes : sequence of length k, or None for regression
            Target values in the order of the probabilities; the second of two is positive.

        Returns
        -------
        float
            NaN where the metric is undefined on these rows, such as ROC AUC of one class.

        Raises
        ------
        MlopsError
            When ``y`` holds a class that the model does not know, or ``prediction`` is no number
            or no probability.
        """
        truth, prediction = self.prepare(y, prediction, classes)
        if self.kind == "rank" and len(np.unique(truth)) == 1:
            return float("nan")
        extra = {}
        if self.probabilities and "labels" in inspect.signature(self.function).parameters:
            extra["labels"] = np.arange(len(classes or ()))  # these rows may lack a class
        try:
            return self.score(truth, self.readable(prediction), **extra)
        except ValueError:
            return float("nan")

    def rows(self, y: Array, prediction: Array, classes: Classes = None) -> Float:
        """Score each row, shape (n,), so that ``finish(mean of rows)`` is the metric.

        Only for ``kind == "mean"``; parameters and errors as for calling the metric.
        """
        return _ROWS[self.name](*self.prepare(y, prediction, classes)).astype(np.float64)

    def finish(self, mean: float) -> float:
        """Turn the mean of :meth:`rows` into the metric."""
        return float(np.sqrt(mean) if self.name == "root_mean_squared_error" else mean)

    def prepare(self, y: Array, prediction: Array, classes: Classes) -> tuple[Array, Float]:
        """Check both; return targets (classes as positions, int64) and predictions as float64.

        Raises
        ------
        MlopsError
            As for calling the metric.
        """
        prediction = np.asarray(prediction, np.float64)
        columns = (len(classes or ()),) if self.task == "multiclass" else ()
        if prediction.shape != (len(y), *columns):
            raise ValueError(f"{len(y)} rows, but predictions of shape {prediction.shape}")
        if bad := int(np.count_nonzero(~np.isfinite(prediction))):
            raise MlopsError(
                f"the model predicts NaN or infinity {bad} times in {len(y)} rows; "
                "look at its features (src/model/features.py) for values that training never had"
            )
        if self.task == "regression":
            return np.asarray(y, np.float64), prediction
        if (np.abs(prediction - 0.5) > 0.5 + ROUNDING).any():
            raise MlopsError(
                f"the model predicts from {prediction.min():g} to {prediction.max():g}; for the "
                f"task {self.task} build_estimator must return a model with predict_proba "
                "(src/model/estimator.py)"
            )
        return encode(y, classes or ()), np.clip(prediction, 0, 1)

    def readable(self, prediction: Float) -> Array:
        """Return predictions in the form that ``function`` reads: as they are, or as labels."""
        return prediction if self.probabilities or self.task == "regression" else _label(prediction)

    def score(self, truth: Array, prediction: Array, **extra: Any) -> float:
        """Call ``function`` on class positions (or numbers) and a :meth:`readable` prediction."""
        with warnings.catch_warnings():
            # An undefined score says so as NaN; float32 probabilities never quite sum to one.
            warnings.simplefilter("ignore")
            return float(self.function(truth, prediction, **extra))


def encode(y: Array, classes: Sequence[str | int]) -> npt.NDArray[np.int64]:
    """Turn target values of shape (n,) into their positions in ``classes``.

    Raises
    ------
    MlopsError
        When a value is none of ``classes``.
    """
    y = np.asarray(y)
    codes = np.full(len(y), -1, np.int64)
    for code, value in enumerate(classes):
        codes[y == value] = code
    if (codes < 0).any():
        unknown = y[codes < 0].tolist()
        raise MlopsError(
            f"{len(unknown)} of {len(y)} rows have a target that is no class of the model, such as "
            f"{unknown[0]!r}; it knows {', '.join(map(repr, classes))}; "
            "train on a window that has every class"
        )
    return codes


def _label(prediction: Float) -> npt.NDArray[np.int64]:
    # An exact half is the first class, as in argmax and so in scikit-learn's classifiers.
    chosen = prediction > 0.5 if prediction.ndim == 1 else prediction.argmax(axis=1)
    return np.asarray(chosen, np.int64)


def _log_loss(truth: Array, prediction: Float) -> Float:
    if prediction.ndim == 1:
        of_truth = np.where(truth == 1, prediction, 1 - prediction)
    else:
        of_truth = prediction[np.arange(len(truth)), truth]
    eps = np.finfo(np.float64).eps  # scikit-learn's clipping
    return np.asarray(-np.log(np.clip(of_truth, eps, 1 - eps)))


def _brier_score(truth: Array, prediction: Float) -> Float:
    if prediction.ndim == 1:
        return (truth - prediction) ** 2
    classes = prediction.shape[1]
    squares = ((np.eye(classes)[truth] - prediction) ** 2).sum(axis=1)
    return np.asarray(squares / 2 if classes == 2 else squares)  # scikit-learn's scale_by_half


def _wrong(truth: Array, prediction: Float) -> Array:
    return np.asarray(_label(prediction) != truth)


def _absolute_percentage(truth: Array, prediction: Float) -> Float:
    return np.abs(truth - prediction) / np.maximum(np.abs(truth), np.finfo(np.float64).eps)


_ROWS: dict[str, Callable[[Array, Float], Array]] = {
    "log_loss": _log_loss,
    "brier_score": _brier_score,
    "accuracy": lambda truth, prediction: ~_wrong(truth, prediction),
    "zero_one_loss": _wrong,
    "hamming_loss": _wrong,
    "mean_absolute_error": lambda truth, prediction: np.abs(truth - prediction),
    "mean_squared_error": lambda truth, prediction: (truth - prediction) ** 2,
    "root_mean_squared_error": lambda truth, prediction: (truth - prediction) ** 2,
    "mean_absolute_percentage_error": _absolute_percentage,
}
